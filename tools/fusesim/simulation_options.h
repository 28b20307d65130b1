#pragma once

#include "config/document.h"
#include "system/simulation.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::commands {

/// What `run` and `replay` have in common: which scenario with what changes, and where to report.
struct SimulationOptions {
    std::vector<std::string> overrides;
    std::optional<std::uint64_t> seed;
    std::string json;
    std::string out;
    bool timing = false;

    void add_to(CLI::App& command);
};

/// Simulates, prints the text report (or the JSON where that was asked for), writes files.
/// Returns the exit code.
int simulate_and_report(system::Scenario scenario,
                        const config::Document& document,
                        const SimulationOptions& options);

}  // namespace fusesim::commands
