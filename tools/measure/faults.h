#pragma once

#include "mounts.h"
#include "report/faults.h"
#include "system/scenario.h"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

namespace fusesim::measure {

/// Makes a scenario's faults happen, most of which are signals to the daemon, from a thread of its
/// own, and looks meanwhile how many requests wait. Lets a stopped daemon go on when it ends.
class FaultInjector {
  public:
    /// `connection` has the files of the mount's connection in a fusectl; `core`: where the thread
    /// runs, -1: anywhere; `window_begin_ns` on CLOCK_MONOTONIC. Throws std::system_error.
    FaultInjector(const system::Scenario& scenario,
                  real::DaemonMount& mount,
                  const std::filesystem::path& connection,
                  int core,
                  std::int64_t window_begin_ns);
    ~FaultInjector();
    FaultInjector(const FaultInjector&) = delete;
    FaultInjector& operator=(const FaultInjector&) = delete;

    /// Ends the thread. The kernel tells nobody that a request was late: with a request_timeout,
    /// it was when the first call failed, unless the daemon had been killed.
    std::vector<report::Fault> stop(std::uint64_t failed_operations, double first_failed_s);

  private:
    struct Event {
        std::int64_t at_ns;
        std::function<void()> happen;
    };

    void run();
    void look(double at_s);
    void end();

    pid_t daemon_;
    int core_;
    std::int64_t window_begin_ns_;
    bool times_out_;
    std::filesystem::path waiting_;
    std::vector<Event> events_;
    bool kills_ = false;
    std::vector<report::FaultWatch> watches_;
    std::atomic<bool> over_{false};
    std::thread thread_;
};

}  // namespace fusesim::measure
