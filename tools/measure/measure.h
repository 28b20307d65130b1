#pragma once

#include "config/document.h"
#include "report/result.h"
#include "system/scenario.h"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace fusesim::measure {

/// This machine cannot measure the scenario, or it went wrong half-way: what() says why.
class Unavailable : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Options {
    std::optional<unsigned> repeats;  ///< instead of run.repeat
    bool requests = true;             ///< a pass of its own records the requests
    /// Counts only what is done while an empty system call takes no longer than this (Stretches).
    std::optional<double> full_pace_ns;
    std::filesystem::path daemons;  ///< folder of the reference daemons; empty: beside the program
    const std::atomic<bool>* stop = nullptr;  ///< ends the run early
    /// Called now and then with the share of the work done; may be empty.
    std::function<void(double)> progress;
};

/// What one repeat gave.
struct Repeat {
    double window_s = 0;
    double kept_share = 1;  ///< of the time, which was at full pace; the rest is not in the window
    std::uint64_t steps = 0;  ///< of all threads
    double ops_per_s = 0;
    double read_bytes_per_s = 0;
    double write_bytes_per_s = 0;
    report::Cpu cpu;
    report::Named<report::Operation> operations;
    std::vector<report::Fault> faults;
};

struct Measured {
    report::Result result;  ///< latencies of all repeats together, everything else their mean
    std::vector<Repeat> repeats;
    bool partial = false;               ///< stopped before all repeats were done
    std::uint64_t recorded_steps = 0;   ///< of all threads, behind result.requests
    std::uint64_t lost_events = 0;      ///< of the recorder
    double own_ns = 0;                  ///< what measuring one operation costs, in nanoseconds
    std::vector<std::string> warnings;  ///< one sentence each
};

/// Throws config::Error if nobody could measure the scenario, Unavailable if this machine cannot;
/// touches nothing.
void check(const system::Scenario& scenario,
           const config::Document& document,
           const Options& options = {});

/// Runs the scenario on a real mount of its own. Throws as check() does. Only for processes with
/// one thread; nothing is mounted and no thread is left when it returns.
Measured run(const system::Scenario& scenario,
             const config::Document& document,
             const Options& options = {});

}  // namespace fusesim::measure
