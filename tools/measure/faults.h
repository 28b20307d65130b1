#pragma once

#include "report/faults.h"
#include "system/scenario.h"

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <thread>
#include <vector>

namespace fusesim::measure {

/// Sends a daemon the signals that a scenario's faults are, from a thread of its own, and looks
/// meanwhile how many requests wait. Lets a stopped daemon go on when it ends.
class FaultInjector {
  public:
    /// `connection` has the files of the mount's connection in a fusectl; `core`: where the thread
    /// runs, -1: anywhere; `window_begin_ns` on CLOCK_MONOTONIC. Throws std::system_error.
    FaultInjector(const system::Scenario& scenario,
                  pid_t daemon,
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
    struct Signal {
        std::int64_t at_ns;
        int signal;
    };

    void run();
    void look(double at_s);
    void end();

    pid_t daemon_;
    int core_;
    std::int64_t window_begin_ns_;
    bool times_out_;
    std::filesystem::path waiting_;
    std::vector<Signal> signals_;
    std::vector<report::FaultWatch> watches_;
    std::atomic<bool> over_{false};
    std::thread thread_;
};

}  // namespace fusesim::measure
