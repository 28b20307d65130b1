#include "fuse/opcode.h"
#include "trace/daemon_log.h"
#include "trace/import.h"

#include <algorithm>
#include <deque>
#include <map>
#include <string>

namespace fusesim::trace {

namespace {

using foreign::LogStamp;
using foreign::take_number;
using foreign::take_word;
using fuse::Opcode;

constexpr std::uint32_t headers_of_write = 80;  // fuse_in_header and fuse_write_in

/// What the high-level library, or the example passthrough_ll, prints while it serves a request.
struct Detail {
    std::string_view begin;
    Opcode opcode;
    enum class Form : std::uint8_t {
        handle,
        data,
        path,
        path_mode,
        paths,
        flags_path,
        xattr,
        forget,
        arguments
    } form;
};

constexpr Detail details[] = {
    {"read[", Opcode::read, Detail::Form::data},
    {"write[", Opcode::write, Detail::Form::data},
    {"writepage[", Opcode::write, Detail::Form::data},
    {"flush[", Opcode::flush, Detail::Form::handle},
    {"fsync[", Opcode::fsync, Detail::Form::handle},
    {"release[", Opcode::release, Detail::Form::handle},
    {"release+flush[", Opcode::release, Detail::Form::handle},
    {"readdir[", Opcode::readdir, Detail::Form::data},
    {"readdirplus[", Opcode::readdirplus, Detail::Form::data},
    {"releasedir[", Opcode::releasedir, Detail::Form::handle},
    {"fsyncdir[", Opcode::fsyncdir, Detail::Form::handle},
    {"LOOKUP /", Opcode::lookup, Detail::Form::path},
    {"unlink /", Opcode::unlink, Detail::Form::path},
    {"rmdir /", Opcode::rmdir, Detail::Form::path},
    {"mkdir /", Opcode::mkdir, Detail::Form::path_mode},
    {"mknod /", Opcode::mknod, Detail::Form::path_mode},
    {"rename /", Opcode::rename2, Detail::Form::paths},
    {"link /", Opcode::link, Detail::Form::paths},
    {"open flags: ", Opcode::open, Detail::Form::flags_path},
    {"create flags: ", Opcode::create, Detail::Form::flags_path},
    {"getxattr /", Opcode::getxattr, Detail::Form::xattr},
    {"FORGET ", Opcode::forget, Detail::Form::forget},
    {"lo_lookup(", Opcode::lookup, Detail::Form::arguments},
    {"lo_create(", Opcode::create, Detail::Form::arguments},
    {"lo_read(", Opcode::read, Detail::Form::arguments},
    {"lo_write(", Opcode::write, Detail::Form::arguments},
    {"lo_forget(", Opcode::forget, Detail::Form::arguments},
};

std::string last_component(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

/// Reads what libfuse prints with -d: requests and replies, and between them what the library or
/// the file system say about a request, which may be another thread's.
class LibfuseImport {
  public:
    LibfuseImport(ByteSource& source,
                  Header& header,
                  const Sink& sink,
                  const ImportOptions& options)
        : import_(source, header, sink, options, Layer::fuse, "libfuse-debug"), log_(import_) {}

    ImportReport run();

  private:
    void take(std::string_view line);
    bool take_request(std::string_view text, const LogStamp& stamp, bool ring);
    bool take_reply(std::string_view text, std::uint64_t unique, const LogStamp& stamp);
    bool take_detail(std::string_view line);
    bool take_init(std::string_view line);
    Record* undescribed(Opcode opcode);
    static void fill(Record& record, const Detail& detail, std::string_view rest);

    foreign::Import import_;
    foreign::DaemonLog log_;
    foreign::LogClock clock_;
    std::map<std::uint32_t, std::deque<std::uint64_t>> undescribed_;
    std::optional<std::uint64_t> init_;
    bool init_reply_ = false;  ///< the lines that follow are what the daemon answers to INIT
    bool uncertain_ = false;
};

// "unique: 4, opcode: LOOKUP (1), nodeid: 1, insize: 46, pid: 11707", from ", opcode: " on.
bool LibfuseImport::take_request(std::string_view text, const LogStamp& stamp, bool ring) {
    Record record;
    std::uint64_t opcode = 0;
    std::uint64_t insize = 0;
    std::uint64_t pid = 0;
    if (!take_word(text, "unique: ") || !take_number(text, record.unique) ||
        !take_word(text, ", opcode: ")) {
        return false;
    }
    const std::size_t number = text.find(" (");
    if (number == std::string_view::npos) {
        return false;
    }
    text.remove_prefix(number + 2);
    if (!take_number(text, opcode) || !take_word(text, "), nodeid: ") ||
        !take_number(text, record.nodeid) || !take_word(text, ", insize: ") ||
        !take_number(text, insize) || !take_word(text, ", pid: ") || !take_number(text, pid) ||
        !text.empty() || std::max({opcode, insize, pid}) > foreign::largest_u32) {
        return false;
    }
    record.opcode = static_cast<std::uint32_t>(opcode);
    record.pid = record.caller = static_cast<std::uint32_t>(pid);
    const auto bytes = static_cast<std::uint32_t>(insize);
    const auto kind = Opcode{record.opcode};
    if (ring) {
        // A ring's entry counts what follows the headers.
        import_.fact("mount.io_uring", "1");
        record.size = kind == Opcode::write ? bytes : 0;
    } else {
        record.bytes_in = bytes;
        record.size =
            kind == Opcode::write && bytes >= headers_of_write ? bytes - headers_of_write : 0;
    }
    if (kind == Opcode::init || kind == Opcode::destroy) {
        import_.leave_out("INIT and DESTROY");
        init_ = record.unique;
        init_reply_ = false;
        return true;
    }
    init_reply_ = false;
    const std::uint64_t unique = record.unique;
    if (log_.begin(std::move(record), stamp)) {
        undescribed_[static_cast<std::uint32_t>(opcode)].push_back(unique);
    }
    return true;
}

// "success, outsize: 144", "error: -2 (No such file or directory), outsize: 16"
bool LibfuseImport::take_reply(std::string_view text, std::uint64_t unique, const LogStamp& stamp) {
    std::uint64_t error = 0;
    std::uint64_t outsize = 0;
    if (!take_word(text, "success")) {
        if (!take_word(text, "error: -") || !take_number(text, error) || error > 4095) {
            return false;
        }
    }
    constexpr std::string_view mark = ", outsize: ";
    const std::size_t at = text.rfind(mark);
    if (at == std::string_view::npos) {
        return false;
    }
    text.remove_prefix(at + mark.size());
    if (!take_number(text, outsize) || outsize > foreign::largest_u32 ||
        !(text.empty() || text == " (splice)")) {
        return false;
    }
    if (init_ == unique) {
        init_.reset();
        init_reply_ = false;
        return true;
    }
    if (const Record* const record = log_.find(unique)) {
        auto& waiting = undescribed_[record->opcode];
        waiting.erase(std::remove(waiting.begin(), waiting.end(), unique), waiting.end());
    }
    log_.reply(
        unique, stamp, -static_cast<std::int32_t>(error), static_cast<std::uint32_t>(outsize));
    return true;
}

// The oldest request of its kind about which nothing was printed yet. With several threads it may
// be another one's.
Record* LibfuseImport::undescribed(Opcode opcode) {
    auto& waiting = undescribed_[static_cast<std::uint32_t>(opcode)];
    while (!waiting.empty()) {
        const std::size_t candidates = waiting.size();
        Record* const record = log_.find(waiting.front());
        waiting.pop_front();
        if (record != nullptr) {
            uncertain_ = uncertain_ || candidates > 1;
            return record;
        }
    }
    return nullptr;
}

void LibfuseImport::fill(Record& record, const Detail& detail, std::string_view rest) {
    std::uint64_t number = 0;
    switch (detail.form) {
        case Detail::Form::handle:
        case Detail::Form::data:
            if (take_number(rest, number)) {
                record.fh = number;
            }
            if (detail.form == Detail::Form::data && take_word(rest, "] ")) {
                if (take_number(rest, number)) {
                    record.size = number;
                    take_word(rest, " bytes ");
                }
                if ((take_word(rest, "from ") || take_word(rest, "to ")) &&
                    take_number(rest, number)) {
                    record.offset = number;
                }
            }
            break;
        case Detail::Form::path:
            record.name = last_component(rest);
            break;
        case Detail::Form::path_mode: {
            // "/a b 0755 umask=0022", "/a b 0644 0x0 umask=0022"
            rest = rest.substr(0, rest.rfind(" umask="));
            if (detail.opcode == Opcode::mknod) {
                rest = rest.substr(0, rest.rfind(" 0x"));
            }
            record.name = last_component(rest.substr(0, rest.rfind(" 0")));
            break;
        }
        case Detail::Form::paths: {
            // Two names with blanks cannot be told apart.
            const std::string_view first = foreign::take_token(rest);
            const std::string_view second = foreign::take_token(rest);
            if (rest.empty() || rest.starts_with("0x")) {
                record.name = last_component(first);
                record.name2 = second.starts_with('/') ? last_component(second) : "";
            }
            break;
        }
        case Detail::Form::flags_path: {
            if (foreign::take_any_number(rest, number) && number <= foreign::largest_u32) {
                record.flags = static_cast<std::uint32_t>(number);
            }
            if (detail.opcode == Opcode::create && take_word(rest, " ")) {
                record.name = last_component(rest.substr(0, rest.rfind(" 0")));
            }
            break;
        }
        case Detail::Form::xattr: {
            foreign::take_token(rest);
            record.name = std::string(foreign::take_token(rest));
            if (take_number(rest, number)) {
                record.size = number;
            }
            break;
        }
        case Detail::Form::forget: {
            const std::size_t slash = rest.find('/');
            rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
            if (take_number(rest, number)) {
                record.size = number;
            }
            break;
        }
        case Detail::Form::arguments:
            if (const std::size_t at = rest.find("name="); at != std::string_view::npos) {
                record.name = std::string(rest.substr(at + 5, rest.rfind(')') - at - 5));
                break;
            }
            for (const auto& [word, member] : {std::pair("size=", &record.size),
                                               std::pair("off=", &record.offset),
                                               std::pair("nlookup=", &record.size)}) {
                const std::size_t at = rest.find(word);
                std::string_view digits =
                    at == std::string_view::npos ? "" : rest.substr(rest.find('=', at) + 1);
                if (take_number(digits, number)) {
                    *member = number;
                }
            }
            break;
    }
}

bool LibfuseImport::take_detail(std::string_view line) {
    const auto* const detail =
        std::find_if(std::begin(details), std::end(details), [line](const Detail& each) {
            return line.starts_with(each.begin);
        });
    if (detail == std::end(details)) {
        return false;
    }
    // getxattr, open, ... are found by "getxattr /": the path's slash is part of it.
    line.remove_prefix(detail->begin.size() - (detail->begin.ends_with('/') ? 1 : 0));
    Record* record = undescribed(detail->opcode);
    if (record == nullptr && detail->opcode == Opcode::rename2) {
        record = undescribed(Opcode::rename);
    }
    if (record == nullptr) {
        return false;
    }
    fill(*record, *detail, line);
    return true;
}

bool LibfuseImport::take_init(std::string_view line) {
    foreign::skip_blanks(line);
    std::uint64_t number = 0;
    if (take_word(line, "INIT: 7.")) {
        if (take_number(line, number) && number < 1000) {
            // First comes what the kernel offers, then what the daemon answers.
            init_reply_ = import_.header().protocol_minor != 0;
            import_.header().protocol_minor = static_cast<unsigned>(number);
        }
        return true;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
        return false;
    }
    constexpr std::string_view keys[] = {"max_readahead",
                                         "max_write",
                                         "max_background",
                                         "congestion_threshold",
                                         "max_pages",
                                         "time_gran",
                                         "flags"};
    const std::string_view key = line.substr(0, equals);
    if (std::find(std::begin(keys), std::end(keys), key) == std::end(keys)) {
        return false;
    }
    line.remove_prefix(equals + 1);
    if (init_reply_ && foreign::take_any_number(line, number) && number != 0 && key != "flags") {
        import_.fact("mount." + std::string(key), std::to_string(number));
    }
    return true;
}

void LibfuseImport::take(std::string_view line) {
    const LogStamp stamp = clock_.take(line);
    std::string_view text = line;
    foreign::skip_blanks(text);
    const bool ring = take_word(text, "cqe ");
    if (!ring) {
        take_word(text, "dev ");
    }
    if (text.starts_with("unique: ")) {
        std::string_view after = text.substr(8);
        std::uint64_t unique = 0;
        const bool numbered = take_number(after, unique) && take_word(after, ", ");
        const bool understood =
            numbered && (after.starts_with("opcode: ") ? take_request(text, stamp, ring)
                                                       : take_reply(after, unique, stamp));
        if (!understood) {
            import_.unknown("malformed request or reply");
        }
        return;
    }
    if (init_ && take_init(text)) {
        return;
    }
    if (take_word(text, "INTERRUPT: ")) {
        std::uint64_t victim = 0;
        Record* const record = undescribed(Opcode::interrupt);
        if (record != nullptr && take_number(text, victim)) {
            record->flags = static_cast<std::uint32_t>(victim);
        }
        return;
    }
    if (text.starts_with("NOTIFY: ")) {
        import_.leave_out("notification from the daemon");
        return;
    }
    if (!take_detail(line)) {
        import_.leave_out("what the file system or the library says about itself");
    }
}

ImportReport LibfuseImport::run() {
    import_.fact("missing",
                 "time in the queue, background; without the high-level library's lines, offsets "
                 "and names, and READ's size is what was returned");
    std::string_view line;
    while (import_.next(line)) {
        if (!line.empty()) {
            take(line);
        }
    }
    if (uncertain_) {
        import_.fact("pairing",
                     "uncertain: several threads served requests of one kind; offsets, names and "
                     "handles were given to them in order");
    }
    log_.finish();
    return import_.finish("no request in the whole log",
                          "did the daemon run with -d, and does the file hold its standard error?");
}

}  // namespace

bool looks_like_libfuse_debug(std::string_view begin) {
    const std::size_t at = begin.find("unique: ");
    return at != std::string_view::npos &&
           (begin.find(", opcode: ", at) != std::string_view::npos ||
            begin.find(", outsize: ", at) != std::string_view::npos);
}

ImportReport import_libfuse_debug(ByteSource& source,
                                  Header& header,
                                  const Sink& sink,
                                  const ImportOptions& options) {
    return LibfuseImport(source, header, sink, options).run();
}

}  // namespace fusesim::trace
