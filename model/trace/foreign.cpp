#include "trace/foreign.h"

#include "trace/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <vector>

namespace fusesim::trace::foreign {

namespace {

constexpr double tolerated_share = 0.01;  // of unknown lines, of replies without request, ...
constexpr std::uint64_t largest_seconds = 9'000'000'000;  // year 2255, and fits 64 bits in ns
constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t day = 86'400 * second;

bool take_number_of_base(std::string_view& text, std::uint64_t& value, int base) {
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (parsed.ec != std::errc()) {
        return false;
    }
    text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
    return true;
}

bool take_fraction(std::string_view& text, Stamp& stamp) {
    if (text.empty() || text.front() != '.') {
        return true;
    }
    std::string_view rest = text.substr(1);
    std::uint64_t fraction = 0;
    const std::size_t before = rest.size();
    if (!take_number(rest, fraction) || before - rest.size() > 9) {
        return false;
    }
    stamp.resolution = 1;
    for (std::size_t i = before - rest.size(); i < 9; ++i) {
        stamp.resolution *= 10;
    }
    stamp.time += static_cast<std::int64_t>(fraction) * stamp.resolution;
    text = rest;
    return true;
}

void append(std::vector<std::string_view>& parts, std::string_view path) {
    while (!path.empty()) {
        const std::size_t slash = std::min(path.find('/'), path.size());
        const std::string_view part = path.substr(0, slash);
        path.remove_prefix(std::min(slash + 1, path.size()));
        if (part == "..") {
            if (!parts.empty()) {
                parts.pop_back();
            }
        } else if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
    }
}

}  // namespace

bool take_number(std::string_view& text, std::uint64_t& value) {
    return take_number_of_base(text, value, 10);
}

bool take_any_number(std::string_view& text, std::uint64_t& value) {
    if (text.starts_with("0x")) {
        std::string_view digits = text.substr(2);
        if (!take_number_of_base(digits, value, 16)) {
            return false;
        }
        text = digits;
        return true;
    }
    return take_number_of_base(text, value, text.starts_with('0') ? 8 : 10);
}

bool take_word(std::string_view& text, std::string_view word) {
    if (!text.starts_with(word)) {
        return false;
    }
    text.remove_prefix(word.size());
    return true;
}

void skip_blanks(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
}

std::string_view take_token(std::string_view& text) {
    const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    const std::string_view token = text.substr(0, end);
    text.remove_prefix(end);
    skip_blanks(text);
    return token;
}

bool take_seconds(std::string_view& text, Stamp& stamp) {
    std::string_view rest = text;
    std::uint64_t seconds = 0;
    Stamp result;
    if (!take_number(rest, seconds) || seconds > largest_seconds) {
        return false;
    }
    result.time = static_cast<std::int64_t>(seconds) * second;
    if (!take_fraction(rest, result)) {
        return false;
    }
    text = rest;
    stamp = result;
    return true;
}

bool take_clock(std::string_view& text, Stamp& stamp) {
    std::string_view rest = text;
    std::uint64_t hours = 0;
    std::uint64_t minutes = 0;
    std::uint64_t seconds = 0;
    if (!take_number(rest, hours) || !take_word(rest, ":") || !take_number(rest, minutes) ||
        !take_word(rest, ":") || !take_number(rest, seconds) || hours > 23 || minutes > 59 ||
        seconds > 60) {
        return false;
    }
    Stamp result;
    result.time = static_cast<std::int64_t>(hours * 3600 + minutes * 60 + seconds) * second;
    if (!take_fraction(rest, result)) {
        return false;
    }
    text = rest;
    stamp = result;
    return true;
}

std::int64_t day_begin(std::int64_t year, unsigned month, unsigned day_of_month) {
    // Years that begin in March have their leap day at the end.
    const std::int64_t shifted = month <= 2 ? year - 1 : year;
    const std::int64_t month_of_shifted = month <= 2 ? month + 9 : month - 3;
    const std::int64_t days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 +
                              (153 * month_of_shifted + 2) / 5 + day_of_month - 1;
    constexpr std::int64_t days_to_1970 = 719'468;
    return (days - days_to_1970) * day;
}

std::int64_t Midnights::unroll(std::int64_t time_of_day) {
    // Half a day back is midnight, less is disorder.
    if (last_ != unknown_time && time_of_day < last_ - day / 2) {
        ++days_;
        last_ = time_of_day;
    }
    last_ = std::max(last_, time_of_day);
    return days_ * day + time_of_day;
}

std::string absolute_path(std::string_view path, std::string_view start) {
    std::vector<std::string_view> parts;
    if (!path.starts_with('/')) {
        if (!start.starts_with('/')) {
            return "";
        }
        append(parts, start);
    }
    append(parts, path);
    std::string whole;
    for (const std::string_view part : parts) {
        whole += '/';
        whole += part;
    }
    return whole.empty() ? "/" : whole;
}

std::string path_below(std::string_view mount, std::string_view path) {
    if (!path.starts_with('/')) {
        return "";
    }
    const std::string point = mount.empty() ? "/" : absolute_path(mount, "/");
    if (point == "/") {
        return std::string(path);
    }
    if (!path.starts_with(point)) {
        return "";
    }
    path.remove_prefix(point.size());
    if (path.empty()) {
        return "/";
    }
    return path.starts_with('/') ? std::string(path) : "";
}

std::int32_t error_of(std::string_view name) {
    static const std::map<std::string, std::int32_t, std::less<>> errors = [] {
        std::map<std::string, std::int32_t, std::less<>> by_name = {
            {"EWOULDBLOCK", -EWOULDBLOCK}, {"EOPNOTSUPP", -EOPNOTSUPP}, {"EDEADLOCK", -EDEADLK}};
        for (std::int32_t number = 1; number <= 4095; ++number) {
            const char* const known = strerrorname_np(number);
            if (known != nullptr) {
                by_name.emplace(known, -number);
            }
        }
        return by_name;
    }();
    const auto at = errors.find(name);
    return at == errors.end() ? 0 : at->second;
}

std::int32_t error_described(std::string_view text) {
    const auto lower = [](std::string_view mixed) {
        std::string result(mixed);
        for (char& c : result) {
            c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        }
        return result;
    };
    static const std::map<std::string, std::int32_t> errors = [&lower] {
        std::map<std::string, std::int32_t> by_text;
        for (std::int32_t number = 1; number <= 4095; ++number) {
            const char* const known = strerrordesc_np(number);
            if (known != nullptr) {
                by_text.emplace(lower(known), -number);
            }
        }
        return by_text;
    }();
    const auto at = errors.find(lower(text));
    return at == errors.end() ? 0 : at->second;
}

void Sorter::add(Record record) {
    waiting_.push_back({std::move(record), added_++});
    std::push_heap(waiting_.begin(), waiting_.end(), Younger());
    if (waiting_.size() > limit_) {
        give_oldest();
    }
}

void Sorter::give_oldest() {
    std::pop_heap(waiting_.begin(), waiting_.end(), Younger());
    Record record = std::move(waiting_.back().record);
    waiting_.pop_back();
    sink_(std::move(record));
}

void Sorter::finish() {
    while (!waiting_.empty()) {
        give_oldest();
    }
}

Import::Import(ByteSource& source,
               Header& header,
               const Sink& sink,
               const ImportOptions& options,
               Layer layer,
               std::string_view format)
    : source_(source), header_(header), sink_(sink), options_(options), checker_(layer) {
    header_.layer = layer;
    fact("source", std::string(format));
}

bool Import::next(std::string_view& line) {
    if (!source_.line(line)) {
        return false;
    }
    ++report.lines;
    if (line.ends_with('\r')) {
        line.remove_suffix(1);
    }
    return true;
}

void Import::unknown(const std::string& kind) {
    if (report.unknown++ == 0) {
        first_unknown_ = {source_.path(), source_.line_number(), 1};
    }
    ++report.kinds[kind];
}

void Import::orphan() {
    if (report.orphans++ == 0) {
        first_orphan_ = {source_.path(), source_.line_number(), 1};
    }
}

void Import::fact(const std::string& key, const std::string& value) {
    for (auto& [known, old] : header_.facts) {
        if (known == key) {
            old = value;
            return;
        }
    }
    header_.facts.emplace_back(key, value);
}

void Import::fail(const std::string& message, const std::string& hint) const {
    throw config::Error({source_.path(), std::max(source_.line_number(), 1), 1}, message, hint);
}

void Import::fail_unless_lenient(const std::string& message, const std::string& hint) {
    if (!options_.lenient) {
        fail(message, hint + "; --lenient leaves such lines out");
    }
    unknown(message.substr(0, message.find(':')));
}

void Import::hand_on(Record record) {
    if (record.queued != unknown_time) {
        if (!start_) {
            start_ = record.queued;
        }
        if (record.queued < *start_) {
            fail_unless_lenient(fmt::format("time goes backwards: {} ns before the first record",
                                            *start_ - record.queued),
                                "are these several files in one?");
            return;
        }
        for (std::int64_t* const time :
             {&record.queued, &record.taken, &record.replied, &record.ended, &record.resumed}) {
            if (*time != unknown_time) {
                *time -= *start_;
            }
        }
    }
    if (header_.layer != Layer::fuse) {
        record.unique = report.records + 1;
    }
    const Fault fault = checker_.check(record);
    if (fault != Fault::none) {
        const Defect defect = checker_.explain(fault, record);
        fail_unless_lenient(defect.message,
                            defect.hint.empty() ? "no trace may hold this" : defect.hint);
        return;
    }
    ++report.records;
    sink_(record);
}

ImportReport Import::finish(const std::string& nothing_message,
                            const std::string& nothing_hint,
                            std::uint64_t excused) {
    header_.lost = report.lost;
    const auto share = [](std::uint64_t part, std::uint64_t whole) {
        return static_cast<double>(part) > tolerated_share * static_cast<double>(whole);
    };
    if (!options_.lenient && share(report.unknown, report.lines)) {
        std::string kinds;
        for (const auto& [kind, count] : report.kinds) {
            kinds += fmt::format("{}{} x {}", kinds.empty() ? "" : ", ", count, kind);
        }
        throw config::Error(first_unknown_,
                            fmt::format("{} of {} lines are not understood: {}; the first is here",
                                        report.unknown,
                                        report.lines,
                                        kinds),
                            "more than 1 % of the lines; --lenient goes on without them");
    }
    if (report.records == 0) {
        fail(nothing_message, nothing_hint);
    }
    if (options_.lenient) {
        return report;
    }
    if (share(report.orphans, report.records)) {
        throw config::Error(
            first_orphan_,
            fmt::format("a reply without a request, the first of {}", report.orphans),
            "more than 1 % of the requests; --lenient goes on without them");
    }
    if (report.unanswered > excused && share(report.unanswered - excused, report.records)) {
        fail(fmt::format("{} of {} requests have no reply by the end of the file",
                         report.unanswered,
                         report.records),
             "more than 1 % of the requests; --lenient keeps them unanswered");
    }
    return report;
}

void OpenedFiles::hand_on(Record record) {
    const auto [file, fresh] = files_.try_emplace(record.name, files_.size() + 1);
    record.fh = file->second;
    if (fresh) {
        Record open;
        open.opcode = static_cast<std::uint32_t>(Call::open);
        open.name = record.name;
        open.fh = record.fh;
        open.flags = open_flags_;
        open.caller = record.caller;
        open.queued = record.queued;
        import_.hand_on(std::move(open));
    }
    import_.hand_on(std::move(record));
}

}  // namespace fusesim::trace::foreign
