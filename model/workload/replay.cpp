#include "workload/replay.h"

#include "fuse/sizes.h"
#include "workload/steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>

namespace fusesim::workload {

using fuse::Opcode;
using sim::Time;
using trace::known;
using trace::unknown_time;

namespace {

// Steps read ahead of those that are replayed: bounds both memory and how far callers drift apart.
constexpr std::size_t most_buffered = 65'536;

std::int64_t difference(std::int64_t later, std::int64_t earlier) {
    return later > earlier ? later - earlier : 0;
}

}  // namespace

/// What is kept of a record until it is issued.
struct Replay::Step {
    Opcode opcode{};
    std::int32_t error = 0;
    bool background = false;
    bool waited_for = false;  ///< a background request whose end the caller slept for
    std::uint32_t bytes_in = 0;
    std::uint32_t bytes_out = 0;
    std::uint64_t nodeid = 0;
    std::uint64_t size = 0;
    std::int64_t queued = 0;   // recorded ns
    std::int64_t resumed = 0;  // recorded ns: when the caller went on
    std::int64_t think_cpu = unknown_time;
    std::int64_t think_blocked = unknown_time;
    std::int64_t service_cpu = unknown_time;
    std::int64_t service_blocked = unknown_time;
};

/// One request in flight, used again and again.
struct Replay::Issue {
    Issue(Replay& r, sim::Engine& engine) : replay(r), call(engine) {}

    Replay& replay;
    transport::Call call;
    std::int64_t recorded_resumed = 0;
    bool awaited = false;
};

/// A thread of the recorded application.
struct Replay::Caller {
    Caller(Replay& replay, std::uint32_t tid)
        : name(fmt::format("caller {}", tid)), arrivals(replay.engine_, "the next recorded call") {}

    std::string name;
    std::deque<Step> steps;
    sim::WaitQueue arrivals;
    std::vector<std::unique_ptr<host::Thread>> threads;
    std::size_t idle = 0;                 // issuers without a step, mode timed
    std::deque<Issue*> waits;             // background requests the recorded caller slept for
    std::int64_t went_on = unknown_time;  // recorded: when it last resumed
    bool starved = false;
};

Replay::Replay(transport::Transport& dev, trace::Reader& reader, const ReplayConfig& config)
    : dev_(dev),
      reader_(reader),
      config_(config),
      engine_(dev.cpu().engine()),
      room_(engine_, "room for more of the trace") {
    engine_.spawn("trace reader", feed());
}

Replay::~Replay() = default;

Time Replay::scaled(std::int64_t ns) const {
    if (config_.speed == 1) {
        return Time::from_ns(ns);
    }
    return Time::from_seconds(static_cast<double>(ns) * 1e-9 / config_.speed);
}

void Replay::count(const trace::Record& record) {
    const std::optional<Opcode> opcode = fuse::opcode_from_number(record.opcode);
    ++records_;
    if (!opcode) {
        return;
    }
    RecordedStatistics& s = recorded_[*opcode];
    ++s.count;
    const std::int64_t end =
        known(record.resumed) && !record.background ? record.resumed : record.ended;
    if (!known(record.queued) || !known(end) || end < record.queued) {
        return;
    }
    s.latency.add(Time::from_ns(end - record.queued));
    if (known(record.taken) && known(record.replied)) {
        ++s.timed;
        s.queue += Time::from_ns(record.taken - record.queued).ps();
        s.processing += Time::from_ns(record.replied - record.taken).ps();
        s.reply += Time::from_ns(end - record.replied).ps();
    }
}

bool Replay::accept(const trace::Record& record, Step& step) {
    const std::optional<Opcode> opcode = fuse::opcode_from_number(record.opcode);
    if (!opcode || (!fuse::expects_reply(*opcode) && !fuse::is_forget(*opcode))) {
        return false;
    }
    step.opcode = *opcode;
    step.error = record.error;
    step.background = record.background;
    step.waited_for = record.background && known(record.resumed);
    step.bytes_in = record.bytes_in;
    step.bytes_out = record.bytes_out;
    step.nodeid = record.nodeid;
    step.size = record.size;
    step.queued = known(record.queued) ? record.queued : record.taken;
    step.resumed =
        known(record.resumed) ? record.resumed : (known(record.ended) ? record.ended : step.queued);
    step.think_cpu = record.think_cpu;
    step.think_blocked = record.think_blocked;
    if (known(record.service_cpu)) {
        step.service_cpu = record.service_cpu;
        step.service_blocked = known(record.service_blocked) ? record.service_blocked : 0;
    } else if (known(record.taken) && known(record.replied)) {
        step.service_cpu = record.replied - record.taken;
        step.service_blocked = 0;
    }
    return true;
}

void Replay::add_issuer(Caller& caller) {
    caller.threads.push_back(std::make_unique<host::Thread>(
        dev_.cpu(), caller.name, host::Group::application, config_.affinity));
    host::Thread& thread = *caller.threads.back();
    engine_.spawn(caller.name,
                  config_.mode == ReplayMode::timed ? live_timed(caller, thread) : live(caller));
}

void Replay::dispatch(const trace::Record& record, const Step& step) {
    // A message of the kernel itself goes with the caller whose doing it most likely follows from.
    Caller* caller = record.caller == 0 ? last_caller_ : nullptr;
    if (caller == nullptr) {
        std::unique_ptr<Caller>& slot = callers_[record.caller];
        if (!slot) {
            slot = std::make_unique<Caller>(*this, record.caller);
            if (config_.mode != ReplayMode::timed) {
                add_issuer(*slot);
            }
        }
        caller = slot.get();
    }
    last_caller_ = caller;
    stalls_ += caller->starved ? 1 : 0;
    caller->starved = false;
    caller->steps.push_back(step);
    ++buffered_;
    if (config_.mode == ReplayMode::timed && caller->idle == 0) {
        add_issuer(*caller);
    } else {
        caller->arrivals.wake_one();
    }
}

sim::Task<> Replay::feed() {
    trace::Record record;
    const bool timed = config_.mode == ReplayMode::timed;
    while (reader_.next(record)) {
        count(record);
        if (config_.progress && records_ % progress_every == 0) {
            config_.progress(reader_.progress());
        }
        Step step;
        if (!accept(record, step)) {
            ++not_replayed_;
            continue;
        }
        if (timed && scaled(step.queued) > engine_.now()) {
            co_await engine_.delay(scaled(step.queued) - engine_.now());
        }
        if (!timed && buffered_ >= most_buffered) {
            for (const auto& [tid, caller] : callers_) {
                caller->starved = caller->steps.empty();
            }
            while (buffered_ >= most_buffered) {
                co_await room_.sleep();
            }
        }
        dispatch(record, step);
    }
    feeding_ = false;
    for (const auto& [tid, caller] : callers_) {
        caller->arrivals.wake_all();
    }
}

sim::Task<bool> Replay::next_step(Caller& caller, host::Thread& thread, Step& step) {
    while (caller.steps.empty() && feeding_) {
        ++caller.idle;
        co_await thread.sleep(caller.arrivals);
        --caller.idle;
    }
    if (caller.steps.empty()) {
        co_return false;
    }
    step = caller.steps.front();
    caller.steps.pop_front();
    if (buffered_-- == most_buffered) {
        room_.wake_one();
    }
    co_return true;
}

sim::Task<> Replay::live(Caller& caller) {
    host::Thread& thread = *caller.threads.front();
    Step step;
    while (co_await next_step(caller, thread, step)) {
        co_await await_recorded_waits(caller, step.queued);
        if (config_.mode == ReplayMode::think) {
            co_await think(caller, step);
        }
        co_await issue(caller, thread, step);
        if (!step.background) {
            caller.went_on = step.resumed;
        }
    }
    co_await await_recorded_waits(caller, std::numeric_limits<std::int64_t>::max());
    co_await thread.run();
    thread.exit();
}

sim::Task<> Replay::live_timed(Caller& caller, host::Thread& thread) {
    Step step;
    while (co_await next_step(caller, thread, step)) {
        co_await thread.run();
        lag_.add(engine_.now() - scaled(step.queued));
        co_await issue(caller, thread, step);
    }
    co_await thread.run();
    thread.exit();
}

sim::Task<> Replay::think(Caller& caller, const Step& step) {
    host::Thread& thread = *caller.threads.front();
    if (!known(caller.went_on)) {
        // Its first request comes when it came in the recording.
        if (scaled(step.queued) > engine_.now()) {
            co_await thread.sleep_for(scaled(step.queued) - engine_.now());
        }
        caller.went_on = step.queued;
        co_return;
    }
    // Without the scheduler's events the whole gap counts as sleep.
    const Time blocked = scaled(known(step.think_blocked) ? step.think_blocked
                                : known(step.think_cpu)   ? 0
                                                        : difference(step.queued, caller.went_on));
    const Time cpu = scaled(known(step.think_cpu) ? step.think_cpu : 0);
    thread.charge(cpu, host::Work::user);
    if (blocked > Time()) {
        co_await thread.sleep_for(blocked);
    }
}

sim::Task<> Replay::await_recorded_waits(Caller& caller, std::int64_t until) {
    while (!caller.waits.empty() && caller.waits.front()->recorded_resumed <= until) {
        Issue& issue = *caller.waits.front();
        caller.waits.pop_front();
        co_await dev_.wait_for(*caller.threads.front(), issue.call);
        caller.went_on = std::max(caller.went_on, issue.recorded_resumed);
        give_back(issue);
    }
}

sim::Task<> Replay::issue(Caller& caller, host::Thread& thread, const Step& step) {
    co_await thread.run();
    if (fuse::is_forget(step.opcode)) {
        const std::uint64_t links = step.opcode == Opcode::batch_forget ? step.size : 1;
        ++forget_messages_;
        for (std::uint64_t i = 0; i < links; ++i) {
            dev_.forget(step.nodeid, 1, forget_messages_);
        }
        co_return;
    }
    Issue& issue = take_issue();
    transport::Call& call = issue.call;
    call.prepare(step.opcode);
    call.nodeid = step.nodeid;
    call.bytes_in = step.bytes_in;
    call.size = static_cast<std::uint32_t>(step.size);
    call.reply_bytes =
        step.error != 0 ? fuse::out_header_bytes : std::max(step.bytes_out, fuse::out_header_bytes);
    call.error_reply = step.error;
    if (step.opcode == Opcode::read || step.opcode == Opcode::write) {
        const std::uint64_t payload =
            step.opcode == Opcode::write ? step.size : call.reply_bytes - fuse::out_header_bytes;
        call.payload_pages = static_cast<std::uint32_t>(fuse::pages_of(payload));
    }
    if (known(step.service_cpu)) {
        call.demand = {Time::from_ns(step.service_cpu), Time::from_ns(step.service_blocked), true};
    }
    issue.awaited = step.waited_for && config_.mode != ReplayMode::timed;
    issue.recorded_resumed = step.resumed;
    if (!step.background) {
        co_await dev_.call(thread, call);
        give_back(issue);
        co_return;
    }
    call.on_end = [](transport::Call&, void* context) {
        auto& ended = *static_cast<Issue*>(context);
        if (!ended.awaited) {
            ended.replay.give_back(ended);
        }
    };
    call.on_end_context = &issue;
    if (issue.awaited) {
        const auto later = [&issue](const Issue* other) {
            return other->recorded_resumed > issue.recorded_resumed;
        };
        caller.waits.insert(std::find_if(caller.waits.begin(), caller.waits.end(), later), &issue);
    }
    co_await dev_.call_background(thread, call);
}

Replay::Issue& Replay::take_issue() {
    if (free_issues_.empty()) {
        issues_.push_back(std::make_unique<Issue>(*this, engine_));
        free_issues_.push_back(issues_.back().get());
    }
    Issue& issue = *free_issues_.back();
    free_issues_.pop_back();
    return issue;
}

void Replay::give_back(Issue& issue) {
    issue.call.on_end = nullptr;
    free_issues_.push_back(&issue);
}

Time Replay::cpu_time(host::Work work) const {
    Time sum;
    for (const auto& [tid, caller] : callers_) {
        for (const auto& thread : caller->threads) {
            sum += thread->spent(work);
        }
    }
    return sum;
}

std::vector<std::string> Replay::warnings() const {
    std::vector<std::string> all;
    if (not_replayed_ > 0) {
        all.push_back(fmt::format(
            "{} records were not replayed: INTERRUPT and NOTIFY_REPLY follow from signals and from "
            "the daemon, not from a caller",
            not_replayed_));
    }
    if (stalls_ > 0) {
        all.push_back(
            fmt::format("callers waited {} times for others, since the trace is read at "
                        "most {} records ahead",
                        stalls_,
                        most_buffered));
    }
    return all;
}

}  // namespace fusesim::workload
