#include "trace/call.h"
#include "trace/foreign.h"
#include "trace/import.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::trace {

namespace {

constexpr std::string_view magic = "fio version ";

// Of an iolog of version 2, actions before the first wait; whether there is one decides about
// times.
constexpr std::size_t held_limit = 100'000;

struct Action {
    std::string_view word;
    Call call;
    std::uint32_t flags;
};

constexpr Action file_actions[] = {
    {"read", Call::read, 0},
    {"write", Call::write, 0},
    {"sync", Call::fsync, 0},
    {"datasync", Call::fdatasync, 0},
    {"sync_file_range", Call::sync_file_range, 0},
    {"syncfs", Call::syncfs, 0},
    // What fio does to trim a file.
    {"trim", Call::fallocate, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE},
};

struct File {
    std::uint64_t number = 0;
    bool open = false;
};

/// Reads what fio wrote with write_iolog: the actions of one job.
class IologImport {
  public:
    IologImport(ByteSource& source, Header& header, const Sink& sink, const ImportOptions& options)
        : import_(source, header, sink, options, Layer::syscall, "fio-iolog") {}

    ImportReport run();

  private:
    void first_line(std::string_view line);
    void take(std::string_view line);
    void wait(std::uint64_t amount);
    void give(Record record);

    foreign::Import import_;
    std::uint64_t version_ = 0;
    std::map<std::string, File, std::less<>> files_;
    std::int64_t now_ = 0;
    bool timed_ = false;
    std::vector<Record> held_;
};

void IologImport::first_line(std::string_view line) {
    const bool fio = foreign::take_word(line, magic);
    if (!fio || !foreign::take_number(line, version_) || line != " iolog") {
        import_.fail("the first line is not 'fio version 3 iolog'",
                     "fio writes one with --write_iolog=FILE; version 1 (rw, offset, length) is "
                     "not read, nor by fio");
    }
    if (version_ != 2 && version_ != 3) {
        import_.fail(fmt::format("fio iolog of version {}", version_), "known are 2 and 3");
    }
    import_.fact("iolog.version", std::to_string(version_));
    import_.fact("missing",
                 "when calls returned, bytes moved, threads (one iolog is one job), open flags");
    timed_ = version_ == 3;
    if (timed_) {
        import_.header().clock = "fio";
        import_.fact("resolution_ns", "1000");
    }
}

void IologImport::give(Record record) {
    if (record.name.empty()) {
        import_.leave_out("outside the mount");
        return;
    }
    if (!timed_ && held_.size() < held_limit) {
        held_.push_back(std::move(record));
        return;
    }
    if (!timed_) {
        record.queued = unknown_time;
    }
    import_.hand_on(std::move(record));
}

void IologImport::wait(std::uint64_t amount) {
    const bool howto = import_.options().iolog_wait == IologWait::howto;
    const std::uint64_t unit = howto ? 1'000 : 1'000'000;
    if (amount > static_cast<std::uint64_t>(time_limit) / unit) {
        import_.fail_unless_lenient("wait: longer than 106 days",
                                    "is it microseconds? Then use --iolog-wait howto");
        return;
    }
    const auto time = static_cast<std::int64_t>(amount * unit);
    if (!timed_ && held_.size() >= held_limit) {
        import_.fail(fmt::format("the first wait comes after {} actions", held_limit),
                     "the times of those before cannot be told");
    }
    if (!timed_) {
        timed_ = true;
        import_.header().clock = "fio";
        import_.fact(
            "iolog.wait",
            howto ? "microseconds since the wait before" : "milliseconds since fio started");
        for (Record& record : held_) {
            import_.hand_on(std::move(record));
        }
        held_.clear();
    }
    // fio does not wait for what is past.
    now_ = howto ? now_ + time : std::max(now_, time);
}

void IologImport::take(std::string_view line) {
    std::uint64_t number = 0;
    if (version_ == 3) {
        if (!foreign::take_number(line, number) || !line.starts_with(' ')) {
            import_.unknown("no time");
            return;
        }
        if (number > static_cast<std::uint64_t>(time_limit) / 1'000) {
            import_.fail_unless_lenient("time: beyond 106 days", "times are microseconds");
            return;
        }
        now_ = static_cast<std::int64_t>(number) * 1'000;
        foreign::skip_blanks(line);
    }
    const std::string name(foreign::take_token(line));
    const std::string_view word = foreign::take_token(line);
    Record record;
    record.queued = now_;
    record.name = foreign::path_below(
        import_.options().mount,
        name.starts_with('/') ? foreign::absolute_path(name, "/")
                              : foreign::absolute_path(name, import_.options().working_directory));
    if (record.name.empty() && import_.options().mount.empty()) {
        record.name = name;
    }
    if (word == "add") {
        files_.try_emplace(name, File{files_.size() + 1, false});
        return;
    }
    const auto file = files_.find(name);
    if (word == "open" || word == "close") {
        if (file == files_.end()) {
            import_.fail_unless_lenient(fmt::format("{}: before 'add'", word),
                                        "fio names each file before it uses it");
            return;
        }
        file->second.open = word == "open";
        record.fh = file->second.number;
        record.opcode = static_cast<std::uint32_t>(word == "open" ? Call::open : Call::close);
        record.flags = word == "open" ? O_RDWR : 0;
        give(std::move(record));
        return;
    }
    const bool waits = version_ == 2 && word == "wait";
    const auto* const action =
        std::find_if(std::begin(file_actions), std::end(file_actions), [word](const Action& each) {
            return each.word == word;
        });
    if (action == std::end(file_actions) && !waits) {
        import_.unknown("not an action of fio");
        return;
    }
    if (!foreign::take_number(line, record.offset) || !line.starts_with(' ')) {
        import_.unknown("no offset");
        return;
    }
    foreign::skip_blanks(line);
    if (!foreign::take_number(line, record.size) || !line.empty()) {
        import_.unknown("no length");
        return;
    }
    if (waits) {
        wait(record.offset);
        return;
    }
    if (file == files_.end() || !file->second.open) {
        import_.fail_unless_lenient(fmt::format("{}: of a file that is not open", word),
                                    "fio adds and opens each file before it uses it");
        return;
    }
    record.fh = file->second.number;
    record.opcode = static_cast<std::uint32_t>(action->call);
    record.flags = action->flags;
    if (action->call == Call::fsync || action->call == Call::fdatasync ||
        action->call == Call::syncfs) {
        record.offset = record.size = 0;
    }
    give(std::move(record));
}

ImportReport IologImport::run() {
    std::string_view line;
    if (!import_.next(line)) {
        line = {};
    }
    first_line(line);
    while (import_.next(line)) {
        if (!line.empty()) {
            take(line);
        }
    }
    if (!timed_) {
        import_.header().clock = "none";
        import_.warn("the iolog has no times: only the order of the actions is known");
        for (Record& record : held_) {
            record.queued = unknown_time;
            import_.hand_on(std::move(record));
        }
        held_.clear();
    }
    return import_.finish(import_.options().mount.empty()
                              ? "no action in the whole iolog"
                              : "no action on a file below " + import_.options().mount,
                          "write one with fio --write_iolog=FILE");
}

}  // namespace

bool looks_like_iolog(std::string_view begin) {
    return begin.starts_with(magic);
}

ImportReport import_iolog(ByteSource& source,
                          Header& header,
                          const Sink& sink,
                          const ImportOptions& options) {
    return IologImport(source, header, sink, options).run();
}

}  // namespace fusesim::trace
