#include "faults.h"

#include "pace.h"
#include "process.h"
#include "system/faults.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <system_error>

namespace fusesim::measure {

using real::now_ns;
using system::FaultConfig;

namespace {

constexpr auto sample_ns = static_cast<std::int64_t>(report::waiting_sample_s * 1e9);

void sleep_until(std::int64_t at_ns) {
    timespec at{};
    at.tv_sec = at_ns / 1'000'000'000;
    at.tv_nsec = at_ns % 1'000'000'000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

}  // namespace

FaultInjector::FaultInjector(const system::Scenario& scenario,
                             real::DaemonMount& mount,
                             const std::filesystem::path& connection,
                             int core,
                             std::int64_t window_begin_ns)
    : daemon_(mount.pid()),
      core_(core),
      window_begin_ns_(window_begin_ns),
      times_out_(scenario.mount.request_timeout.has_value()),
      waiting_(connection / "waiting") {
    for (const FaultConfig& fault : scenario.faults) {
        const std::int64_t at = window_begin_ns + fault.at.ns();
        const auto send_at = [&](std::int64_t when, int signal) {
            events_.push_back({when, [this, signal] { kill(daemon_, signal); }});
        };
        std::optional<double> lasts_s;
        switch (fault.kind) {
            case FaultConfig::Kind::stall:
                send_at(at, SIGSTOP);
                send_at(at + fault.lasts->ns(), SIGCONT);
                lasts_s = fault.lasts->seconds();
                break;
            case FaultConfig::Kind::crash:
                send_at(at, SIGKILL);
                kills_ = true;
                break;
            case FaultConfig::Kind::reclaim:
                events_.push_back({at, [&mount] { mount.forget_unused(); }});
                break;
        }
        watches_.emplace_back(system::fault_name(fault.kind), fault.at.seconds(), lasts_s);
    }
    if (access(waiting_.c_str(), R_OK) != 0) {
        throw std::system_error(errno, std::generic_category(), waiting_.string());
    }
    thread_ = std::thread([this] { run(); });
}

FaultInjector::~FaultInjector() {
    end();
}

void FaultInjector::end() {
    over_ = true;
    if (thread_.joinable()) {
        thread_.join();
        kill(daemon_, SIGCONT);
    }
}

std::vector<report::Fault> FaultInjector::stop(std::uint64_t failed_operations,
                                               double first_failed_s) {
    end();
    if (times_out_ && failed_operations > 0 && !kills_) {
        report::FaultWatch watch("request_timeout", first_failed_s, std::nullopt);
        watch.sample(first_failed_s, 0);
        watches_.push_back(watch);
    }
    std::vector<report::Fault> all;
    for (const report::FaultWatch& watch : watches_) {
        all.push_back(watch.result());
    }
    if (!all.empty()) {
        all.back().failed_operations = failed_operations;
    }
    return all;
}

void FaultInjector::run() {
    prctl(PR_SET_TIMERSLACK, 1UL);
    if (core_ >= 0) {
        real::pin(core_);
    }
    std::size_t next_event = 0;
    std::int64_t next_sample = now_ns();
    while (!over_) {
        const bool some = next_event < events_.size();
        sleep_until(some ? std::min(next_sample, events_[next_event].at_ns) : next_sample);
        const std::int64_t now = now_ns();
        if (some && events_[next_event].at_ns <= now) {
            events_[next_event++].happen();
        }
        if (next_sample <= now) {
            next_sample = now + sample_ns;
            look(static_cast<double>(now - window_begin_ns_) * 1e-9);
        }
    }
}

/// Each descriptor shows the number that it found first.
void FaultInjector::look(double at_s) {
    const int file = open(waiting_.c_str(), O_RDONLY | O_CLOEXEC);
    char text[32] = {};
    const bool there = file >= 0 && read(file, text, sizeof text - 1) > 0;
    close(file);
    for (report::FaultWatch& watch : watches_) {
        watch.sample(at_s, there ? std::strtoull(text, nullptr, 10) : 0);
    }
}

}  // namespace fusesim::measure
