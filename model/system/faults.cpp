#include "system/faults.h"

#include <algorithm>

namespace fusesim::system {

using sim::Time;

namespace {

const Time sample_interval = Time::from_seconds(report::waiting_sample_s);

/// fs/fuse/dev.c: FUSE_TIMEOUT_TIMER_FREQ; fs/fuse/inode.c takes no less as a timeout.
const Time check_interval = Time::from_seconds(15);

}  // namespace

const char* fault_name(FaultConfig::Kind kind) {
    switch (kind) {
        case FaultConfig::Kind::stall:
            return "stall";
        case FaultConfig::Kind::crash:
            return "crash";
        case FaultConfig::Kind::reclaim:
            return "reclaim";
    }
    return "";
}

Faults::Faults(sim::Engine& engine,
               transport::Transport& transport,
               daemon::Session& session,
               vfs::FileTree& mount,
               const Scenario& scenario)
    : engine_(engine),
      transport_(transport),
      session_(session),
      mount_(mount),
      reclaimer_(transport.cpu(), "reclaim", host::Group::kernel),
      window_(scenario.run.warm_up),
      timeout_(scenario.mount.request_timeout),
      next_check_(check_interval) {
    for (const FaultConfig& fault : scenario.faults) {
        const Time at = window_ + fault.at;
        if (fault.lasts) {
            events_.push_back({at, Event::Kind::stop});
            events_.push_back({at + *fault.lasts, Event::Kind::go_on});
        } else {
            const bool kills = fault.kind == FaultConfig::Kind::crash;
            events_.push_back({at, kills ? Event::Kind::kill : Event::Kind::reclaim});
        }
        watches_.emplace_back(fault_name(fault.kind),
                              fault.at.seconds(),
                              fault.lasts ? std::optional(fault.lasts->seconds()) : std::nullopt);
    }
    if (timeout_) {
        timeout_ = std::max(*timeout_, check_interval);
    }
    plan();
}

void Faults::plan() {
    Time next = next_sample_;
    if (next_event_ < events_.size()) {
        next = std::min(next, events_[next_event_].at);
    }
    if (timeout_) {
        next = std::min(next, next_check_);
    }
    engine_.schedule(*this, next);
}

void Faults::fire() {
    const Time now = engine_.now();
    if (next_event_ < events_.size() && events_[next_event_].at <= now) {
        happen(events_[next_event_++].kind);
    }
    if (timeout_ && next_check_ <= now) {
        next_check_ += check_interval;
        look_for_late_requests();
    }
    if (next_sample_ <= now) {
        next_sample_ += sample_interval;
        for (report::FaultWatch& watch : watches_) {
            watch.sample(window_s(now), transport_.waiting());
        }
    }
    plan();
}

void Faults::happen(Event::Kind kind) {
    switch (kind) {
        case Event::Kind::stop:
            session_.stop();
            break;
        case Event::Kind::go_on:
            session_.go_on();
            break;
        case Event::Kind::kill:
            session_.kill();
            killed_ = true;
            break;
        case Event::Kind::reclaim:
            engine_.spawn("reclaim", reclaim(), sim::Role::server);
            break;
    }
}

sim::Task<> Faults::reclaim() {
    co_await reclaimer_.run();
    co_await mount_.reclaim(reclaimer_);
    reclaimer_.exit();
}

// fuse_check_timeout(). Simplified: the daemon ends with its connection.
void Faults::look_for_late_requests() {
    const std::optional<Time> oldest = transport_.oldest();
    if (killed_ || !oldest || engine_.now() - *oldest <= *timeout_) {
        return;
    }
    watches_.emplace_back("request_timeout", window_s(engine_.now()), std::nullopt);
    session_.kill();
    killed_ = true;
}

std::vector<report::Fault> Faults::results(std::uint64_t failed_operations) const {
    std::vector<report::Fault> all;
    for (const report::FaultWatch& watch : watches_) {
        all.push_back(watch.result());
    }
    if (!all.empty()) {
        all.back().failed_operations = failed_operations;
    }
    return all;
}

}  // namespace fusesim::system
