#pragma once

#include "device/settings.h"
#include "report/result.h"
#include "system/scenario.h"
#include "transport/dev_fuse.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::system {

/// Parts of the stack that a program of its own puts in place of ours. Each is made anew for every
/// run; empty: what the scenario says.
struct Parts {
    /// Instead of the transport of `mount`. Settings of /dev/fuse hold as far as it uses them.
    std::function<std::unique_ptr<transport::Transport>(host::Cpu&,
                                                        const fuse::KernelBehaviour&,
                                                        const fuse::ConnectionConfig&,
                                                        const transport::DevFuseConfig&)>
        transport;
    /// Instead of `device`, whose capacity and queues the block layer and the file system go by all
    /// the same.
    std::function<std::unique_ptr<device::Device>(sim::Engine&, const device::DeviceSettings&)>
        device;
};

struct SimulateOptions {
    Parts parts;
    bool timing = false;       ///< say in the result what the simulation itself cost
    bool details = false;      ///< and how the run went over time
    std::size_t timeline = 0;  ///< and, within the details, the times of the first so many requests
    /// Called now and then with the share of the work done; may be empty.
    std::function<void(double)> progress;
};

struct Outcome {
    report::Result result;
    std::vector<std::string> warnings;  ///< one sentence each
};

/// Throws config::Error if the scenario cannot be simulated, without simulating it.
void check(const Scenario& scenario, const config::Document& document);

/// Builds the whole stack of a scenario, runs it and reports. `document` is where the scenario was
/// read from; errors name places in it. Throws config::Error for what the user can mend,
/// sim::Deadlock if the simulated system waits for itself.
Outcome simulate(const Scenario& scenario,
                 const config::Document& document,
                 const SimulateOptions& options = {});

}  // namespace fusesim::system
