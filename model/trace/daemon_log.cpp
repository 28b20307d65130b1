#include "trace/daemon_log.h"

#include "fuse/opcode.h"
#include "fuse/sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace fusesim::trace::foreign {

namespace {

constexpr std::string_view months[] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

bool ends_token(std::string_view text) {
    return text.empty() || text.front() == ' ';
}

// "2026-11-23T14:47:17.123456+00:00", "2020/03/12 16:10:02", "2022.08.30 16:20:56.545863"
bool take_date(std::string_view& line, Stamp& stamp) {
    std::string_view rest = line;
    std::uint64_t year = 0;
    std::uint64_t month = 0;
    std::uint64_t day = 0;
    if (!take_number(rest, year) || year < 1970 || year > 2200 || rest.empty()) {
        return false;
    }
    const char mark = rest.front();
    if (mark != '-' && mark != '/' && mark != '.') {
        return false;
    }
    rest.remove_prefix(1);
    if (!take_number(rest, month) || month < 1 || month > 12 || rest.empty() ||
        rest.front() != mark) {
        return false;
    }
    rest.remove_prefix(1);
    if (!take_number(rest, day) || day < 1 || day > 31 || rest.empty() ||
        (rest.front() != ' ' && rest.front() != 'T')) {
        return false;
    }
    rest.remove_prefix(1);
    if (!take_clock(rest, stamp)) {
        return false;
    }
    rest.remove_prefix(std::min(rest.find(' '), rest.size()));  // the time zone
    stamp.time += day_begin(
        static_cast<std::int64_t>(year), static_cast<unsigned>(month), static_cast<unsigned>(day));
    line = rest;
    return true;
}

// "Nov 23 14:47:17": the year is not told.
bool take_month(std::string_view& line, Stamp& stamp) {
    const auto* const month =
        std::find_if(std::begin(months), std::end(months), [line](std::string_view name) {
            return line.starts_with(name);
        });
    if (month == std::end(months)) {
        return false;
    }
    std::string_view rest = line.substr(3);
    skip_blanks(rest);
    std::uint64_t day = 0;
    if (!take_number(rest, day) || day < 1 || day > 31 || !rest.starts_with(' ')) {
        return false;
    }
    skip_blanks(rest);
    if (!take_clock(rest, stamp)) {
        return false;
    }
    constexpr std::int64_t leap_year = 2000;
    stamp.time += day_begin(leap_year,
                            static_cast<unsigned>(month - std::begin(months) + 1),
                            static_cast<unsigned>(day));
    line = rest;
    return true;
}

// "host program[123]: " between time and text.
void skip_program(std::string_view& line) {
    std::string_view rest = line;
    if (rest.starts_with(' ')) {
        return;
    }
    take_token(rest);
    const std::size_t end = rest.find(' ');
    if (end == std::string_view::npos || end < 2 || rest[end - 1] != ':') {
        return;
    }
    // go-fuse writes "rx 12: ": a program's name is more than a number.
    if (rest.find_first_not_of("0123456789") < end - 1) {
        line = rest.substr(end + 1);
    }
}

}  // namespace

LogStamp LogClock::take(std::string_view& line) {
    std::string_view rest = line;
    Stamp stamp;
    if (take_clock(rest, stamp) && ends_token(rest)) {
        stamp.time = midnights_.unroll(stamp.time);
    } else if (rest = line;
               (take_date(rest, stamp) || take_month(rest, stamp)) && ends_token(rest)) {
        rest.remove_prefix(std::min<std::size_t>(1, rest.size()));
        skip_program(rest);
        line = rest;
        return {true, stamp.time, stamp.resolution};
    } else if (rest = line; !(take_seconds(rest, stamp) && stamp.resolution < 1'000'000'000 &&
                              ends_token(rest))) {
        return {};
    }
    rest.remove_prefix(std::min<std::size_t>(1, rest.size()));
    line = rest;
    return {true, stamp.time, stamp.resolution};
}

bool DaemonLog::fits(const LogStamp& stamp) {
    if (!started_) {
        started_ = true;
        timed_ = stamp.known;
        import_.header().clock = timed_ ? "daemon's log" : "none";
        if (timed_) {
            import_.fact("resolution_ns", std::to_string(stamp.resolution));
            import_.fact("stamps",
                         "queued and taken are when the daemon logged the request, replied and "
                         "ended when it logged the reply");
        }
    }
    if (timed_ && !stamp.known) {
        import_.unknown("no time, where other lines have one");
        return false;
    }
    if (timed_ && stamp.time < last_) {
        import_.fail_unless_lenient(
            fmt::format("time goes backwards: by {} ns", last_ - stamp.time),
            "are these several logs in one file?");
        return false;
    }
    last_ = timed_ ? stamp.time : last_;
    return true;
}

bool DaemonLog::begin(Record record, const LogStamp& stamp) {
    end_replyless();
    if (!fits(stamp)) {
        return false;
    }
    if (timed_) {
        record.queued = record.taken = stamp.time;
    }
    const std::uint64_t unique = record.unique;
    const bool replyless = !fuse::expects_reply(fuse::Opcode{record.opcode});
    if (!requests_.open(std::move(record))) {
        import_.fail_unless_lenient(
            fmt::format("unique {}: still in flight from an earlier request", unique),
            "several mounts in one log?");
        return false;
    }
    if (replyless) {
        replyless_.push_back(unique);
    }
    return true;
}

void DaemonLog::end_replyless() {
    for (const std::uint64_t unique : replyless_) {
        requests_.close_if_open(unique);
    }
    replyless_.clear();
}

void DaemonLog::reply(std::uint64_t unique,
                      const LogStamp& stamp,
                      std::int32_t error,
                      std::uint32_t bytes_out) {
    end_replyless();
    Record* const record = requests_.find(unique);
    if (record == nullptr) {
        import_.orphan();
        return;
    }
    if (!fits(stamp)) {
        return;
    }
    record->error = error;
    record->bytes_out = bytes_out;
    if (timed_) {
        record->replied = record->ended = stamp.time;
    }
    const auto opcode = fuse::Opcode{record->opcode};
    const bool returns_data = opcode == fuse::Opcode::read || opcode == fuse::Opcode::readdir ||
                              opcode == fuse::Opcode::readdirplus;
    if (returns_data && record->size == 0 && bytes_out >= fuse::out_header_bytes) {
        record->size = bytes_out - fuse::out_header_bytes;
    }
    requests_.close(unique);
}

void DaemonLog::finish() {
    end_replyless();
    requests_.finish();
    import_.report.unanswered += requests_.unanswered();
    if (!timed_) {
        import_.warn(
            "the log has no times: only the order of the requests is known (pipe the log through "
            "ts '%.s')");
    }
}

}  // namespace fusesim::trace::foreign
