#pragma once

#include "sim/time.h"
#include "workload/operations.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::workload {

/// A workload that was written for another tool: operations, and how long to do them.
struct FileWorkload {
    NativeConfig operations;
    std::optional<std::vector<unsigned>> affinity;
    sim::Time warm_up;
    // One of them.
    std::optional<sim::Time> duration;
    std::optional<std::uint64_t> steps;  ///< of each thread
};

/// Reads one job of a fio job file; `section` may be empty if there is only one. Throws
/// config::Error at the line and word that cannot be done here: README.md has what can.
FileWorkload read_fio_job(const std::string& path, const std::string& section);

}  // namespace fusesim::workload
