#pragma once

#include "config/document.h"
#include "report/result.h"
#include "system/simulation.h"

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::commands {

/// What `run`, `replay` and `measure` have in common: what changes in the scenario, and where to
/// report.
struct RunOptions {
    std::vector<std::string> overrides;
    std::optional<std::uint64_t> seed;
    std::string json;
    std::string out;

    void add_to(CLI::App& command);
    /// Prints the text report, or the JSON where that was asked for, and writes files. `trace` is
    /// the recording that was replayed, "" if none was.
    void deliver(const report::Result& result, const std::string& trace = "") const;

    /// What `fusesim run DIR` reads of the folder that --out wrote.
    static constexpr const char* bundled_scenario = "scenario.yaml";

  private:
    void write_bundle(report::Result result, const std::string& trace) const;
};

/// What `run` and `replay` have in common.
struct SimulationOptions : RunOptions {
    bool timing = false;
    bool details = false;
    std::size_t timeline = 0;

    void add_to(CLI::App& command);
};

/// Simulates and delivers the result. Returns the exit code.
int simulate_and_report(system::Scenario scenario,
                        const config::Document& document,
                        const SimulationOptions& options);

}  // namespace fusesim::commands
