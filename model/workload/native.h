#pragma once

#include "sim/statistics.h"
#include "vfs/file_tree.h"
#include "workload/operations.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace fusesim::workload {

/// When the threads begin and end.
struct NativeRun {
    sim::Time warm_up;
    std::optional<sim::Time> duration;
    std::optional<std::uint64_t> operations;  ///< of each thread
    std::uint64_t seed = 1;
    host::Affinity affinity;
    std::function<void()> begin_window;    ///< called when the warm-up is over
    std::function<void()> over;            ///< called when the last thread ends; may be empty
    std::function<void(double)> progress;  ///< share of the run that is done; may be empty
};

/// What was measured of one kind of call.
struct CallStatistics {
    std::string_view name;
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
    sim::Tally latency;
};

/// A thread that is to run for some time went through its calls without any of it passing.
class NoTimePasses : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Threads that issue operations on a mount. A run throws NoTimePasses where it would never end.
class Native {
  public:
    Native(vfs::FileTree& mount, host::Cpu& cpu, const NativeConfig& config, NativeRun run);
    ~Native();

    /// Every kind of call that was made, in the order of Op; close() last.
    std::vector<const CallStatistics*> calls() const;

    /// Steps done inside the window, of all threads.
    std::uint64_t steps() const { return steps_; }

    /// Length of the window, without the mean time that a thread spent dropping caches.
    sim::Time window() const;

    sim::Time cpu_time(host::Work work) const;

    /// Calls that failed since the daemon had gone. Each was the last of its thread.
    std::uint64_t failed() const { return failed_; }

  private:
    struct Worker;
    static constexpr std::size_t close_call = 9;  // after the last Op

    void lay_out(Worker& worker, unsigned number);
    sim::Task<> live(Worker& worker);
    sim::Task<> open_window();
    /// The thread's calls take no time, and it has to give its stack back now.
    bool stands_still(Worker& worker) const;
    sim::Task<> perform(Worker& worker, const Step& step, sim::Time began);
    void count(const Worker& worker, std::size_t call, sim::Time began, std::uint64_t bytes = 0);
    bool in_window() const;
    bool over(const Worker& worker) const;

    sim::Time now() const { return cpu_.engine().now(); }

    vfs::FileTree& mount_;
    unsigned alive_ = 0;  // threads that have not ended
    host::Cpu& cpu_;
    NativeConfig config_;
    NativeRun run_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::array<CallStatistics, close_call + 1> calls_;
    std::uint64_t steps_ = 0;
    std::uint64_t failed_ = 0;
    std::uint64_t done_ = 0;  // steps of the whole run, for the progress
    sim::Time window_begin_;
    sim::Time last_end_;
    sim::Time dropping_;  // of all threads
};

}  // namespace fusesim::workload
