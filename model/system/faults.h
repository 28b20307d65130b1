#pragma once

#include "daemon/session.h"
#include "report/faults.h"
#include "sim/engine.h"
#include "system/scenario.h"
#include "transport/transport.h"
#include "vfs/file_tree.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace fusesim::system {

/// The name of a fault in results.
const char* fault_name(FaultConfig::Kind kind);

/// Lets happen what a scenario says goes wrong, and looks what that does to the requests that wait.
class Faults final : private sim::Timer {
  public:
    /// `scenario` is settled.
    Faults(sim::Engine& engine,
           transport::Transport& transport,
           daemon::Session& session,
           vfs::FileTree& mount,
           const Scenario& scenario);

    /// The workload is over: nothing happens any more.
    void quiesce() { cancel(); }

    std::vector<report::Fault> results(std::uint64_t failed_operations) const;

  private:
    struct Event {
        enum class Kind { stop, go_on, kill, reclaim };

        sim::Time at;
        Kind kind = Kind::stop;
    };

    void fire() override;
    void happen(Event::Kind kind);
    sim::Task<> reclaim();
    void look_for_late_requests();
    void plan();
    double window_s(sim::Time at) const { return (at - window_).seconds(); }

    sim::Engine& engine_;
    transport::Transport& transport_;
    daemon::Session& session_;
    vfs::FileTree& mount_;
    host::Thread reclaimer_;
    sim::Time window_;  ///< when it begins
    std::vector<Event> events_;
    std::size_t next_event_ = 0;
    sim::Time next_sample_;
    std::optional<sim::Time> timeout_;
    sim::Time next_check_;
    std::vector<report::FaultWatch> watches_;
    bool killed_ = false;
};

}  // namespace fusesim::system
