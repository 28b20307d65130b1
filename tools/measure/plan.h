#pragma once

#include "config/document.h"
#include "system/scenario.h"

#include <filesystem>
#include <string>
#include <vector>

namespace fusesim::measure {

/// What this machine runs, as a scenario may name it.
struct Machine {
    std::string kernel;      ///< release, e.g. 6.1.0-18-amd64
    std::string libfuse;     ///< e.g. 3.14.0; empty: there is none
    std::vector<int> cores;  ///< that we may use
};

Machine this_machine();

/// Throws config::Error with everything that keeps the scenario from being measured on such a
/// machine by anyone: what only the simulator can do, and software of another version.
void check_measurable(const system::Scenario& scenario,
                      const config::Document& document,
                      const Machine& machine);

/// Name of the reference daemon that behaves as the scenario says.
std::string daemon_name(const system::Scenario& scenario);

/// Its options; `lower` is the directory that a stacking one passes everything on to.
std::vector<std::string> daemon_options(const system::Scenario& scenario,
                                        const std::filesystem::path& lower);

}  // namespace fusesim::measure
