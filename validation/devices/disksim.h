#pragma once

#include "device/hdd_config.h"

#include <string>
#include <vector>

namespace fusesim::validation {

/// A drive as DiskSim 4.0 describes it, with the requests that were traced on the real one.
struct DisksimDrive {
    struct Request {
        bool write = false;
        std::uint64_t sector = 0;
        std::uint32_t count = 0;
        sim::Time response;  ///< measured
        sim::Time gap;       ///< from its end to the next request
    };

    device::HddConfig config;
    std::vector<Request> requests;
};

/// Reads `folder`/`name`.diskspecs, the model and seek files that it names, and the trace. Where
/// the specification leaves transfers to the bus of the test bed (Bulk sector transfer time = 0),
/// `bus` has the times of a sector, read and written.
DisksimDrive load_disksim(const std::string& folder,
                          const std::string& name,
                          const device::HddOverhead& bus = {});

}  // namespace fusesim::validation
