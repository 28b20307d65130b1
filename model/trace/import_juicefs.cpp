#include "fuse/opcode.h"
#include "fuse/sizes.h"
#include "trace/daemon_log.h"
#include "trace/import.h"

#include <algorithm>
#include <array>
#include <string>

namespace fusesim::trace {

namespace {

using foreign::take_number;
using foreign::take_word;
using fuse::Opcode;

/// Where the arguments of a method are; 'n' nodeid, 'a' name, 'b' second name, 's' size, 'o'
/// offset, 'h' file handle, 'f' flags, '-' anything.
struct Method {
    std::string_view name;
    Opcode opcode;
    std::string_view arguments;
};

constexpr Method methods[] = {
    {"lookup", Opcode::lookup, "na"},
    {"getattr", Opcode::getattr, "n"},
    {"setattr", Opcode::setattr, "n"},
    {"truncate", Opcode::setattr, "ns"},
    {"readlink", Opcode::readlink, "n"},
    {"symlink", Opcode::symlink, "nab"},
    {"mknod", Opcode::mknod, "na"},
    {"mkdir", Opcode::mkdir, "na"},
    {"unlink", Opcode::unlink, "na"},
    {"rmdir", Opcode::rmdir, "na"},
    {"rename", Opcode::rename2, "na-b"},
    {"link", Opcode::link, "-na"},
    {"open", Opcode::open, "nf"},
    {"create", Opcode::create, "na"},
    {"read", Opcode::read, "nsoh"},
    {"write", Opcode::write, "nsoh"},
    {"statfs", Opcode::statfs, "n"},
    {"release", Opcode::release, "nh"},
    {"fsync", Opcode::fsync, "n-h"},
    {"flush", Opcode::flush, "nh"},
    {"setxattr", Opcode::setxattr, "nas"},
    {"getxattr", Opcode::getxattr, "nas"},
    {"listxattr", Opcode::listxattr, "ns"},
    {"removexattr", Opcode::removexattr, "na"},
    {"opendir", Opcode::opendir, "n"},
    {"readdir", Opcode::readdir, "nso"},
    {"releasedir", Opcode::releasedir, "n"},
    {"access", Opcode::access, "nf"},
    {"fallocate", Opcode::fallocate, "nfosh"},
    {"copy_file_range", Opcode::copy_file_range, "no--sf"},
    {"getlk", Opcode::getlk, "nh"},
    {"setlk", Opcode::setlk, "nh"},
    {"flock", Opcode::setlk, "nh"},
    {"ioctl", Opcode::ioctl, "nf"},
};

/// Reads what JuiceFS writes to .accesslog in the root of a mount: a line a request, when it is
/// done.
class JuiceFsImport {
  public:
    JuiceFsImport(ByteSource& source,
                  Header& header,
                  const Sink& sink,
                  const ImportOptions& options)
        : import_(source, header, sink, options, Layer::fuse, "juicefs"),
          sorter_([this](Record record) { import_.hand_on(std::move(record)); }) {}

    ImportReport run();

  private:
    void take(std::string_view line);
    bool take_caller(std::string_view& line, Record& record);
    bool take_end(std::string_view& line, std::int64_t ended, Record& record);
    static void take_arguments(std::string_view text, const Method& method, Record& record);

    foreign::Import import_;
    foreign::Sorter sorter_;
    foreign::LogClock clock_;
    std::uint64_t unique_ = 0;
};

// "[uid:0,gid:0,pid:340775] "
bool JuiceFsImport::take_caller(std::string_view& line, Record& record) {
    std::uint64_t number = 0;
    if (!take_word(line, "[uid:") || !take_number(line, number) || !take_word(line, ",gid:") ||
        !take_number(line, number) || !take_word(line, ",pid:") || !take_number(line, number) ||
        number > foreign::largest_u32 || !take_word(line, "] ")) {
        return false;
    }
    record.pid = record.caller = static_cast<std::uint32_t>(number);
    return true;
}

// " - OK <0.000054>", before version 1.0 ": OK (...) <0.000054>"; leaves what is before it.
bool JuiceFsImport::take_end(std::string_view& line, std::int64_t ended, Record& record) {
    const std::size_t open = line.rfind(" <");
    if (open == std::string_view::npos || !line.ends_with('>')) {
        return false;
    }
    std::string_view digits = line.substr(open + 2, line.size() - open - 3);
    foreign::Stamp duration;
    if (!foreign::take_seconds(digits, duration) || !digits.empty()) {
        return false;
    }
    record.ended = ended;
    record.queued = ended - duration.time;
    line = line.substr(0, open);
    // The status: the new form ends with it, in the old one it follows the arguments.
    const std::size_t dash = line.rfind(" - ");
    std::string_view status;
    if (dash != std::string_view::npos) {
        status = line.substr(dash + 3);
        line = line.substr(0, dash);
    } else {
        const std::size_t colon = line.find("): ");
        if (colon == std::string_view::npos) {
            return false;
        }
        status = line.substr(colon + 3);
        if (status.starts_with("OK ")) {
            status = status.substr(0, 2);
        }
    }
    if (status == "OK") {
        return true;
    }
    record.error = foreign::error_described(status);
    return record.error != 0;
}

void JuiceFsImport::take_arguments(std::string_view text, const Method& method, Record& record) {
    for (std::size_t i = 0; i < method.arguments.size(); ++i) {
        const char kind = method.arguments[i];
        // Names may hold commas: the last argument takes the rest.
        const bool last = i + 1 == method.arguments.size();
        const bool open_end = method.opcode == Opcode::lookup || method.opcode == Opcode::unlink ||
                              method.opcode == Opcode::rmdir ||
                              method.opcode == Opcode::removexattr;
        const std::size_t comma =
            last && open_end ? text.size() : std::min(text.find(','), text.size());
        std::string_view argument = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        std::uint64_t number = 0;
        if (kind == 'a') {
            record.name = std::string(argument);
            continue;
        }
        if (kind == 'b') {
            record.name2 = std::string(argument);
            continue;
        }
        if (kind == '-' || !foreign::take_any_number(argument, number)) {
            continue;
        }
        switch (kind) {
            case 'n':
                record.nodeid = number;
                break;
            case 's':
                record.size = number;
                break;
            case 'o':
                record.offset = number;
                break;
            case 'h':
                record.fh = number;
                break;
            case 'f':
                record.flags = static_cast<std::uint32_t>(number);
                break;
            default:
                break;
        }
    }
}

void JuiceFsImport::take(std::string_view line) {
    if (line == "#") {  // an idle second
        return;
    }
    const foreign::LogStamp stamp = clock_.take(line);
    Record record;
    if (!stamp.known || !take_caller(line, record)) {
        import_.unknown(stamp.known ? "malformed caller" : "no time");
        return;
    }
    const std::string_view name = foreign::take_token(line);
    const auto* const method =
        std::find_if(std::begin(methods), std::end(methods), [name](const Method& each) {
            return each.name == name;
        });
    if (method == std::end(methods)) {
        import_.unknown("method " + std::string(name.substr(0, 40)));
        return;
    }
    std::string_view rest = line;
    if (!take_word(rest, "(") || !take_end(rest, stamp.time, record)) {
        import_.unknown("malformed " + std::string(name));
        return;
    }
    record.opcode = static_cast<std::uint32_t>(method->opcode);
    std::size_t end = rest.size();
    for (const std::string_view mark : {"): ", ") [fh:"}) {
        end = std::min(end, rest.find(mark));
    }
    std::string_view arguments = rest.substr(0, end);
    if (arguments.ends_with("):")) {
        arguments.remove_suffix(2);
    } else if (arguments.ends_with(')')) {
        arguments.remove_suffix(1);
    }
    take_arguments(arguments, *method, record);
    const std::string_view result = rest.substr(std::min(end, rest.size()));
    if (const std::size_t at = result.find("[fh:"); at != std::string_view::npos) {
        std::string_view digits = result.substr(at + 4);
        take_number(digits, record.fh);
    }
    if (method->opcode == Opcode::read) {
        const std::size_t open = result.find('(');
        std::string_view digits = open == std::string_view::npos ? "" : result.substr(open + 1);
        std::uint64_t count = 0;
        if (take_number(digits, count) && count + fuse::out_header_bytes <= foreign::largest_u32) {
            record.bytes_out = static_cast<std::uint32_t>(count) + fuse::out_header_bytes;
        }
    }
    if (method->opcode == Opcode::readdir && arguments.ends_with(",true")) {
        record.opcode = static_cast<std::uint32_t>(Opcode::readdirplus);
    }
    unique_ += 2;
    record.unique = unique_;
    sorter_.add(std::move(record));
}

ImportReport JuiceFsImport::run() {
    import_.header().clock = "daemon's log";
    import_.fact("resolution_ns", "1000");
    import_.fact("missing",
                 "unique, FORGET, INTERRUPT, time in the queue, background; JuiceFS leaves lines "
                 "out when nobody reads fast enough");
    std::string_view line;
    while (import_.next(line)) {
        if (!line.empty()) {
            take(line);
        }
    }
    sorter_.finish();
    return import_.finish("no request in the whole log", "write one with: cat MOUNT/.accesslog");
}

}  // namespace

bool looks_like_juicefs_log(std::string_view begin) {
    return begin.substr(0, 4096).find(" [uid:") != std::string_view::npos &&
           begin.substr(0, 4096).find(",pid:") != std::string_view::npos;
}

ImportReport import_juicefs_log(ByteSource& source,
                                Header& header,
                                const Sink& sink,
                                const ImportOptions& options) {
    return JuiceFsImport(source, header, sink, options).run();
}

}  // namespace fusesim::trace
