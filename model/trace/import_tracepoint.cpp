#include "fuse/opcode.h"
#include "fuse/sizes.h"
#include "trace/foreign.h"
#include "trace/import.h"
#include "trace/in_order.h"
#include "trace/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace fusesim::trace {

using foreign::take_number;

namespace {

constexpr std::uint32_t write_in = 40;      // sizeof(struct fuse_write_in)
constexpr double tolerated_share = 0.01;    // of unknown lines, of replies without request, ...
constexpr std::size_t busy_limit = 65'536;  // sends without unique that wait to be paired

// "word 123", with the blanks around.
bool take_field(std::string_view& text, std::string_view word, std::uint64_t& value) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    if (!text.starts_with(word)) {
        return false;
    }
    text.remove_prefix(word.size());
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    return take_number(text, value);
}

void trim_right(std::string_view& text) {
    const std::size_t last = text.find_last_not_of(" \t\r");
    text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

enum class TracedEvent : std::uint8_t { enqueue, background_enqueue, send, sent, end };

struct EventName {
    std::string_view name;
    TracedEvent event;
};

constexpr EventName event_names[] = {
    {"fuse_request_send:", TracedEvent::send},
    {"fuse_request_end:", TracedEvent::end},
    {"fuse_request_sent:", TracedEvent::sent},
    {"fuse_request_enqueue:", TracedEvent::enqueue},
    {"fuse_request_bg_enqueue:", TracedEvent::background_enqueue},
};

struct Line {
    TracedEvent event = TracedEvent::send;
    std::int64_t time = 0;  ///< ns
    std::uint32_t tid = 0;
    std::int16_t cpu = -1;
    std::uint64_t connection = 0;
    std::uint64_t unique = 0;
    std::uint32_t opcode = 0;
    std::uint32_t length = 0;
    std::int32_t error = 0;
};

/// Reads the lines that the fuse tracepoints print, and joins requests with their replies.
class TracepointImport {
  public:
    TracepointImport(ByteSource& source,
                     Header& header,
                     const Sink& sink,
                     const ImportOptions& options)
        : source_(source),
          header_(header),
          sink_(sink),
          options_(options),
          requests_([this](const Record& record) { hand_on(record); }) {}

    ImportReport run(bool perf);

  private:
    // What a line turned out to be.
    enum class Kind : std::uint8_t { event, nothing, unknown };

    Kind parse(std::string_view line, Line& out);
    Kind unknown(const std::string& kind);
    bool parse_task(std::string_view before, Line& out) const;
    bool parse_time(std::string_view token, Line& out);
    bool parse_body(std::string_view body, Line& out) const;
    void count_lost(std::string_view line);
    void take(const Line& line);
    void begin(const Line& line);
    void end(const Line& line);
    void orphan();
    void fill_reply(Record& record, const Line& line) const;
    void end_busy_period();
    void hand_on(const Record& record);
    void judge() const;
    [[noreturn]] void fail(const std::string& message, const std::string& hint) const;

    ByteSource& source_;
    Header& header_;
    const Sink& sink_;
    const ImportOptions& options_;
    bool perf_ = false;
    std::string_view line_;
    ImportReport report_;
    std::optional<std::uint64_t> connection_;
    std::optional<std::int64_t> start_;  ///< of the trace: its first record
    bool first_time_ = true;
    std::int64_t last_queued_ = 0;
    InOrder requests_;
    config::Place first_unknown_;
    config::Place first_orphan_;
    // Kernels 6.12 to 6.17 log the request before it has its unique.
    std::vector<Record> unnumbered_;
    std::vector<Line> replies_;
    bool uncertain_ = false;
    bool seen_enqueue_ = false;
};

void TracepointImport::fail(const std::string& message, const std::string& hint) const {
    throw config::Error({source_.path(), source_.line_number(), 1}, message, hint);
}

TracepointImport::Kind TracepointImport::unknown(const std::string& kind) {
    if (report_.unknown++ == 0) {
        first_unknown_ = {source_.path(), source_.line_number(), 1};
    }
    ++report_.kinds[kind];
    return Kind::unknown;
}

// "CPU:1 [LOST 12 EVENTS]"; perf: "PERF_RECORD_LOST lost 12".
void TracepointImport::count_lost(std::string_view line) {
    for (const std::string_view word : {"[LOST ", "PERF_RECORD_LOST lost "}) {
        const std::size_t at = line.find(word);
        std::uint64_t lost = 0;
        if (at != std::string_view::npos) {
            std::string_view rest = line.substr(at + word.size());
            if (take_number(rest, lost)) {
                report_.lost += lost;
                return;
            }
        }
    }
    unknown("lost events without a number");
}

bool TracepointImport::parse_time(std::string_view token, Line& out) {
    std::uint64_t seconds = 0;
    if (!take_number(token, seconds) || seconds > 9'000'000'000 || token.size() < 2 ||
        token.size() > 10 || token[0] != '.') {
        return false;
    }
    token.remove_prefix(1);
    std::uint64_t fraction = 0;
    const std::size_t digits = token.size();
    if (!take_number(token, fraction) || !token.empty()) {
        return false;
    }
    std::int64_t unit = 1;
    for (std::size_t i = digits; i < 9; ++i) {
        unit *= 10;
    }
    out.time = static_cast<std::int64_t>(seconds) * 1'000'000'000 +
               static_cast<std::int64_t>(fraction) * unit;
    if (std::exchange(first_time_, false)) {
        header_.facts.emplace_back("resolution_ns", std::to_string(unit));
    }
    return true;
}

// Everything before the time: "  comm-tid  (tgid) [cpu] flags" or "comm tid [cpu]".
bool TracepointImport::parse_task(std::string_view before, Line& out) const {
    const std::size_t close = before.rfind(']');
    const std::size_t open = close == std::string_view::npos ? close : before.rfind('[', close);
    if (open == std::string_view::npos) {
        return false;
    }
    std::uint64_t cpu = 0;
    std::string_view digits = before.substr(open + 1, close - open - 1);
    if (!take_number(digits, cpu) || !digits.empty() || cpu > 32'767) {
        return false;
    }
    out.cpu = static_cast<std::int16_t>(cpu);
    std::string_view task = before.substr(0, open);
    trim_right(task);
    if (task.ends_with(')')) {
        task = task.substr(0, std::min(task.rfind('('), task.size()));
        trim_right(task);
    }
    // A comm may hold blanks and dashes: the thread is what follows the last separator. perf may
    // print process/thread.
    const std::size_t separator = task.find_last_of(perf_ ? " /" : "-");
    if (separator == std::string_view::npos) {
        return false;
    }
    std::string_view tid_text = task.substr(separator + 1);
    std::uint64_t tid = 0;
    if (!take_number(tid_text, tid) || !tid_text.empty() || tid > 0xffffffff) {
        return false;
    }
    out.tid = static_cast<std::uint32_t>(tid);
    return true;
}

bool TracepointImport::parse_body(std::string_view body, Line& out) const {
    std::uint64_t number = 0;
    if (!take_field(body, "connection ", out.connection) || !take_field(body, "req ", out.unique)) {
        return false;
    }
    if (out.event != TracedEvent::end) {
        if (!take_field(body, "opcode ", number) || number > 0xffffffff) {
            return false;
        }
        out.opcode = static_cast<std::uint32_t>(number);
        const std::size_t close = body.find(')');
        if (close == std::string_view::npos) {
            return false;
        }
        body.remove_prefix(close + 1);
        if (out.event == TracedEvent::sent) {
            return true;
        }
    }
    if (!take_field(body, "len ", number) || number > 0xffffffff) {
        return false;
    }
    out.length = static_cast<std::uint32_t>(number);
    if (out.event != TracedEvent::end) {
        return true;
    }
    constexpr std::string_view error = " error ";
    if (!body.starts_with(error)) {
        return false;
    }
    body.remove_prefix(error.size());
    const auto parsed = std::from_chars(body.data(), body.data() + body.size(), out.error);
    return parsed.ec == std::errc() && out.error <= 0 && out.error >= -4095;
}

TracepointImport::Kind TracepointImport::parse(std::string_view line, Line& out) {
    if (line.empty()) {
        return Kind::nothing;
    }
    if (line[0] == '#') {
        const std::size_t cpus = line.find("#P:");
        std::uint64_t number = 0;
        if (cpus != std::string_view::npos) {
            std::string_view rest = line.substr(cpus + 3);
            if (take_number(rest, number)) {
                header_.cpus = static_cast<unsigned>(number);
            }
        }
        return Kind::nothing;
    }
    if (line.find("[LOST ") != std::string_view::npos ||
        line.find("PERF_RECORD_LOST") != std::string_view::npos) {
        count_lost(line);
        return Kind::nothing;
    }
    // The time ends at the first ": " that follows the CPU's bracket.
    const std::size_t bracket = line.find("] ");
    const std::size_t colon =
        bracket == std::string_view::npos ? bracket : line.find(": ", bracket);
    if (colon == std::string_view::npos) {
        return unknown("not an event");
    }
    std::string_view body = line.substr(colon + 2);
    body.remove_prefix(std::min(body.find_first_not_of(' '), body.size()));
    if (body.starts_with("fuse:")) {
        body.remove_prefix(5);
    }
    const auto* const name = std::find_if(
        std::begin(event_names), std::end(event_names), [body](const EventName& known) {
            return body.starts_with(known.name);
        });
    if (name == std::end(event_names)) {
        return unknown("event " + std::string(body.substr(
                                      0, std::min<std::size_t>(body.find_first_of(": "), 40))));
    }
    out.event = name->event;
    const std::size_t time_at = line.rfind(' ', colon - 1) + 1;
    if (!parse_task(line.substr(0, time_at), out)) {
        return unknown("malformed task or CPU");
    }
    if (!parse_body(body.substr(name->name.size()), out)) {
        return unknown("malformed " + std::string(name->name.substr(0, name->name.size() - 1)));
    }
    if (!parse_time(line.substr(time_at, colon - time_at), out)) {
        return unknown("malformed time");
    }
    return Kind::event;
}

void TracepointImport::hand_on(const Record& record) {
    ++report_.records;
    sink_(record);
}

void TracepointImport::orphan() {
    if (report_.orphans++ == 0) {
        first_orphan_ = {source_.path(), source_.line_number(), 1};
    }
}

void TracepointImport::begin(const Line& line) {
    if (!start_) {
        start_ = line.time;
    }
    Record record;
    record.opcode = line.opcode;
    record.unique = line.unique;
    record.bytes_in = line.length;
    record.caller = line.tid;
    record.caller_cpu = line.cpu;
    record.background = line.event == TracedEvent::background_enqueue;
    record.queued = line.time - *start_;
    if (line.opcode == static_cast<std::uint32_t>(fuse::Opcode::write) &&
        line.length >= fuse::in_header_bytes + write_in) {
        record.size = line.length - fuse::in_header_bytes - write_in;
    }
    if (record.queued < last_queued_) {
        if (!options_.lenient) {
            fail(fmt::format("time goes backwards: {} ns after {} ns", record.queued, last_queued_),
                 "are these several traces in one file? --lenient leaves such lines out");
        }
        unknown("time goes backwards");
        return;
    }
    last_queued_ = record.queued;
    if (line.unique == 0) {
        uncertain_ = true;
        unnumbered_.push_back(std::move(record));
        if (unnumbered_.size() >= busy_limit) {
            end_busy_period();
        }
        return;
    }
    if (!requests_.open(record)) {
        if (!options_.lenient) {
            fail(fmt::format("unique {} is still in flight from an earlier request", line.unique),
                 "--lenient takes the earlier one as unanswered");
        }
        unknown("unique still in flight");
    }
}

void TracepointImport::fill_reply(Record& record, const Line& line) const {
    record.worker = line.tid;
    record.worker_cpu = line.cpu;
    record.bytes_out = line.length;
    record.error = line.error;
    record.ended = line.time - *start_;
    const auto opcode = fuse::Opcode{record.opcode};
    const bool returns_data = opcode == fuse::Opcode::read || opcode == fuse::Opcode::readdir ||
                              opcode == fuse::Opcode::readdirplus;
    if (returns_data && line.length >= fuse::out_header_bytes) {
        record.size = line.length - fuse::out_header_bytes;
    }
}

void TracepointImport::end(const Line& line) {
    if (uncertain_) {
        replies_.push_back(line);
        if (replies_.size() >= unnumbered_.size()) {
            end_busy_period();
        }
        return;
    }
    Record* const record = requests_.find(line.unique);
    if (record == nullptr) {
        orphan();
        return;
    }
    if (line.time - *start_ < std::max(record->queued, record->taken)) {
        if (!options_.lenient) {
            fail(fmt::format("the reply to unique {} comes before its request", line.unique),
                 "is the file sorted by time? --lenient leaves such lines out");
        }
        unknown("reply before its request");
        return;
    }
    fill_reply(*record, line);
    requests_.close(line.unique);
}

// Nothing is in flight any more. Uniques are handed out in the order of queueing, so that the n-th
// request of the period is the one with the n-th smallest unique.
void TracepointImport::end_busy_period() {
    std::sort(replies_.begin(), replies_.end(), [](const Line& a, const Line& b) {
        return a.unique < b.unique;
    });
    std::size_t next_reply = 0;
    for (Record& record : unnumbered_) {
        // Whose request was queued before the trace began.
        while (next_reply < replies_.size() &&
               replies_[next_reply].time - *start_ < record.queued) {
            orphan();
            ++next_reply;
        }
        if (next_reply < replies_.size()) {
            record.unique = replies_[next_reply].unique;
            fill_reply(record, replies_[next_reply]);
            ++next_reply;
        } else {
            ++report_.unanswered;
        }
        hand_on(record);
    }
    for (; next_reply < replies_.size(); ++next_reply) {
        orphan();
    }
    unnumbered_.clear();
    replies_.clear();
}

void TracepointImport::take(const Line& line) {
    if (options_.connection && line.connection != *options_.connection) {
        ++report_.other_connections;
        return;
    }
    if (!connection_) {
        connection_ = line.connection;
        header_.facts.emplace_back("connection", std::to_string(line.connection));
    } else if (*connection_ != line.connection) {
        fail(fmt::format(
                 "requests of connections {} and {} are mixed", *connection_, line.connection),
             fmt::format("choose one: --connection {}", *connection_));
    }
    switch (line.event) {
        case TracedEvent::end:
            end(line);
            return;
        case TracedEvent::enqueue:
        case TracedEvent::background_enqueue:
            begin(line);
            return;
        case TracedEvent::sent:
        case TracedEvent::send: {
            // Where requests are logged on queueing, a second line is the daemon taking it.
            Record* const record = line.unique == 0 ? nullptr : requests_.find(line.unique);
            if (record != nullptr && record->taken == unknown_time &&
                (line.event == TracedEvent::sent || record->background || seen_enqueue_)) {
                record->taken = line.time - *start_;
            } else if (line.event == TracedEvent::send) {
                begin(line);
            } else {
                orphan();
            }
        }
    }
}

void TracepointImport::judge() const {
    if (options_.lenient) {
        return;
    }
    const auto share = [](std::uint64_t part, std::uint64_t whole) {
        return static_cast<double>(part) > tolerated_share * static_cast<double>(whole);
    };
    if (share(report_.unknown, report_.lines)) {
        std::string kinds;
        for (const auto& [kind, count] : report_.kinds) {
            kinds += fmt::format("{}{} x {}", kinds.empty() ? "" : ", ", count, kind);
        }
        throw config::Error(first_unknown_,
                            fmt::format("{} of {} lines are not understood: {}; the first is here",
                                        report_.unknown,
                                        report_.lines,
                                        kinds),
                            "more than 1 % of the lines; --lenient goes on without them");
    }
    if (share(report_.orphans, report_.records)) {
        throw config::Error(
            first_orphan_,
            fmt::format("a reply without a request, the first of {}", report_.orphans),
            "more than 1 % of the requests; --lenient goes on without them");
    }
    if (share(report_.unanswered, report_.records)) {
        throw config::Error({source_.path(), source_.line_number(), 1},
                            fmt::format("{} of {} requests have no reply by the end of the file",
                                        report_.unanswered,
                                        report_.records),
                            "more than 1 % of the requests; --lenient keeps them unanswered");
    }
}

ImportReport TracepointImport::run(bool perf) {
    perf_ = perf;
    header_.layer = Layer::fuse;
    header_.clock = perf ? "perf" : "trace_clock";
    header_.facts.emplace_back("source", perf ? "perf-script" : "tracefs");
    header_.facts.emplace_back("missing",
                               "FORGET, INTERRUPT, nodeid, offset, names, background phase, reply "
                               "phase; size of READ is what was returned");
    while (source_.line(line_)) {
        ++report_.lines;
        trim_right(line_);
        Line line;
        if (parse(line_, line) == Kind::event) {
            if (line.event == TracedEvent::enqueue ||
                line.event == TracedEvent::background_enqueue) {
                seen_enqueue_ = true;
            }
            take(line);
        }
    }
    if (uncertain_) {
        end_busy_period();
        header_.facts.emplace_back("pairing",
                                   "uncertain: the kernel logged requests without their unique; "
                                   "they were paired with replies in order");
    }
    requests_.finish();
    report_.unanswered += requests_.unanswered();
    header_.lost = report_.lost;
    if (report_.records == 0) {
        throw config::Error({source_.path(), std::max(source_.line_number(), 1), 1},
                            "no FUSE request in the whole file",
                            "were the events fuse_request_send and fuse_request_end enabled?");
    }
    judge();
    return report_;
}

}  // namespace

bool looks_like_tracefs(std::string_view begin) {
    return begin.starts_with("# tracer:") ||
           begin.find(": fuse_request_") != std::string_view::npos;
}

bool looks_like_perf_script(std::string_view begin) {
    return begin.find(" fuse:fuse_request_") != std::string_view::npos;
}

ImportReport import_tracefs(ByteSource& source,
                            Header& header,
                            const Sink& sink,
                            const ImportOptions& options) {
    return TracepointImport(source, header, sink, options).run(false);
}

ImportReport import_perf_script(ByteSource& source,
                                Header& header,
                                const Sink& sink,
                                const ImportOptions& options) {
    return TracepointImport(source, header, sink, options).run(true);
}

}  // namespace fusesim::trace
