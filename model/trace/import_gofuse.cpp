#include "fuse/opcode.h"
#include "fuse/sizes.h"
#include "trace/daemon_log.h"
#include "trace/import.h"
#include "trace/names.h"
#include "trace/strace_line.h"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace fusesim::trace {

namespace {

using foreign::LogStamp;
using foreign::take_number;
using foreign::take_word;
using fuse::Opcode;

/// Reads what go-fuse logs with Debug set: "rx" lines are requests, "tx" lines replies.
class GoFuseImport {
  public:
    GoFuseImport(ByteSource& source, Header& header, const Sink& sink, const ImportOptions& options)
        : import_(source, header, sink, options, Layer::fuse, "go-fuse-debug"), log_(import_) {}

    ImportReport run();

  private:
    void take(std::string_view line);
    bool take_request(std::string_view text, const LogStamp& stamp);
    bool take_reply(std::string_view text, const LogStamp& stamp);
    void take_init(std::string_view text);

    foreign::Import import_;
    foreign::DaemonLog log_;
    foreign::LogClock clock_;
    std::optional<std::uint64_t> init_;
};

bool number_after(std::string_view text, std::string_view word, std::uint64_t& number) {
    const std::size_t at = text.find(word);
    if (at == std::string_view::npos) {
        return false;
    }
    text.remove_prefix(at + word.size());
    return take_number(text, number);
}

// Up to two quoted names in brackets: ["a"], ["a" "b"]. Go quotes as C does, but for \u.
void take_names(std::string_view text, Record& record) {
    const std::size_t at = text.find("[\"");
    if (at == std::string_view::npos) {
        return;
    }
    text.remove_prefix(at + 1);
    bool cut = false;
    record.name = strace::quoted(text, cut).value_or("");
    const std::size_t second = text.find("\" \"");
    if (second != std::string_view::npos) {
        record.name2 = strace::quoted(text.substr(second + 2), cut).value_or("");
    }
}

// " 3: CREATE i1 {0100100 [TRUNC,WRONLY,CREAT,0x8000] (022)} [\"name\"] 20b p123", after "rx".
bool GoFuseImport::take_request(std::string_view text, const LogStamp& stamp) {
    Record record;
    if (!take_word(text, " ") || !take_number(text, record.unique) || !take_word(text, ": ")) {
        return false;
    }
    const auto opcode = opcode_of(Layer::fuse, foreign::take_token(text));
    if (!opcode || !(take_word(text, "n") || take_word(text, "i")) ||
        !take_number(text, record.nodeid)) {
        return false;
    }
    record.opcode = *opcode;
    // Names and data are quoted: numbers are sought before them.
    const std::string_view plain = text.substr(0, text.find('"'));
    number_after(plain, "Fh ", record.fh);
    const std::size_t range = plain.find(" [");
    if (range != std::string_view::npos) {
        std::string_view rest = plain.substr(range + 2);
        std::uint64_t offset = 0;
        std::uint64_t size = 0;
        if (take_number(rest, offset) && take_word(rest, " +") && take_number(rest, size)) {
            record.offset = offset;
            record.size = size;
        }
    }
    const auto kind = Opcode{record.opcode};
    if (kind == Opcode::forget) {
        number_after(plain, "Nlookup=", record.size);
    } else if (kind == Opcode::batch_forget) {
        number_after(plain, "Count=", record.size);
    } else if (kind == Opcode::getxattr || kind == Opcode::listxattr) {
        number_after(plain, "{sz ", record.size);
    } else if (kind == Opcode::interrupt) {
        std::uint64_t victim = 0;
        number_after(plain, "{ix ", victim);
        record.flags = static_cast<std::uint32_t>(victim);
    }
    take_names(text, record);
    const std::size_t last = text.rfind(" p");
    if (last != std::string_view::npos) {
        std::string_view digits = text.substr(last + 2);
        std::uint64_t pid = 0;
        if (take_number(digits, pid) && digits.empty() && pid <= foreign::largest_u32) {
            record.pid = record.caller = static_cast<std::uint32_t>(pid);
        }
    }
    if (kind == Opcode::init || kind == Opcode::destroy) {
        import_.leave_out("INIT and DESTROY");
        init_ = record.unique;
        return true;
    }
    log_.begin(std::move(record), stamp);
    return true;
}

// {7.27 Ra 0x20000 NAMES 0/0 Wr 0x10000 Tg 0x0}
void GoFuseImport::take_init(std::string_view text) {
    std::uint64_t number = 0;
    if (number_after(text, "{7.", number) && number < 1000) {
        import_.header().protocol_minor = static_cast<unsigned>(number);
    }
    for (const auto& [word, key] : {std::pair(" Ra ", "mount.max_readahead"),
                                    std::pair(" Wr ", "mount.max_write"),
                                    std::pair(" MaxPages ", "mount.max_pages")}) {
        const std::size_t at = text.find(word);
        if (at != std::string_view::npos) {
            std::string_view digits = text.substr(text.find(' ', at + 1) + 1);
            if (foreign::take_any_number(digits, number) && number != 0) {
                import_.fact(key, std::to_string(number));
            }
        }
    }
    const std::size_t write = text.find(" Wr ");
    const std::size_t slash = text.substr(0, write).rfind('/');
    if (write != std::string_view::npos && slash != std::string_view::npos) {
        const std::size_t begin = text.substr(0, slash).rfind(' ') + 1;
        std::string_view digits = text.substr(begin);
        if (take_number(digits, number) && number != 0) {
            import_.fact("mount.congestion_threshold", std::to_string(number));
        }
        digits = text.substr(slash + 1);
        if (take_number(digits, number) && number != 0) {
            import_.fact("mount.max_background", std::to_string(number));
        }
    }
}

// " 3:     OK, {...}", " 2:     2=no such file or directory, {...}", after "tx".
bool GoFuseImport::take_reply(std::string_view text, const LogStamp& stamp) {
    std::uint64_t unique = 0;
    if (!take_word(text, " ") || !take_number(text, unique) || !take_word(text, ":")) {
        return false;
    }
    foreign::skip_blanks(text);
    std::uint64_t error = 0;
    if (!take_word(text, "OK") &&
        !(take_number(text, error) && error <= 4095 && text.starts_with('='))) {
        return false;
    }
    if (init_ == unique) {
        init_.reset();
        take_init(text);
        return true;
    }
    // "6b data": what READ and its like return.
    std::uint32_t bytes_out = 0;
    std::uint64_t data = 0;
    const std::size_t end = text.substr(0, text.find('"')).find("b data");
    if (end != std::string_view::npos && end > 0) {
        const std::size_t before = text.find_last_not_of("0123456789", end - 1);
        std::string_view digits = text.substr(before == std::string_view::npos ? 0 : before + 1);
        if (take_number(digits, data) && data + fuse::out_header_bytes <= foreign::largest_u32) {
            bytes_out = static_cast<std::uint32_t>(data) + fuse::out_header_bytes;
        }
    }
    log_.reply(unique, stamp, -static_cast<std::int32_t>(error), bytes_out);
    return true;
}

void GoFuseImport::take(std::string_view line) {
    const LogStamp stamp = clock_.take(line);
    foreign::skip_blanks(line);
    // Loggers may put a word before it.
    const std::size_t rx = line.find("rx ");
    const std::size_t tx = line.find("tx ");
    const std::size_t at = std::min(rx, tx);
    if (at == std::string_view::npos || at > 40) {
        import_.leave_out("what the file system says about itself");
        return;
    }
    const std::string_view text = line.substr(at + 2);
    if (at == tx && (text.starts_with(" 0:") || text.find(" NOTIFY_") < 20)) {
        import_.leave_out("notification from the daemon");
        return;
    }
    if (!(at == rx ? take_request(text, stamp) : take_reply(text, stamp))) {
        import_.unknown(at == rx ? "malformed request" : "malformed reply");
    }
}

ImportReport GoFuseImport::run() {
    import_.fact("missing", "time in the queue, background, bytes_in, open flags");
    std::string_view line;
    while (import_.next(line)) {
        if (!line.empty()) {
            take(line);
        }
    }
    log_.finish();
    return import_.finish("no request in the whole log",
                          "did the daemon run with -debug (gocryptfs: -fusedebug)?");
}

}  // namespace

bool looks_like_gofuse_debug(std::string_view begin) {
    const std::size_t rx = begin.find("rx ");
    if (rx == std::string_view::npos) {
        return false;
    }
    std::string_view text = begin.substr(rx + 3);
    std::uint64_t unique = 0;
    return take_number(text, unique) && take_word(text, ": ") &&
           opcode_of(Layer::fuse, foreign::take_token(text)).has_value();
}

ImportReport import_gofuse_debug(ByteSource& source,
                                 Header& header,
                                 const Sink& sink,
                                 const ImportOptions& options) {
    return GoFuseImport(source, header, sink, options).run();
}

}  // namespace fusesim::trace
