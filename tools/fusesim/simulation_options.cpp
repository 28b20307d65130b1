#include "simulation_options.h"

#include "commands.h"
#include "progress.h"
#include "report/report.h"
#include "sim/engine.h"
#include "write_file.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

namespace fusesim::commands {

void RunOptions::add_to(CLI::App& command) {
    command.add_option("--set", overrides, "change one setting, e.g. mount.max_background=64")
        ->type_name("KEY=VALUE")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option("--seed", seed, "seed of all random streams (default 1)");
    command.add_option("--json", json, "write the result as JSON to a file, or - for stdout")
        ->type_name("FILE");
    command.add_option("--out", out, "write result.json and report.txt into this folder")
        ->type_name("DIR");
}

void RunOptions::deliver(const report::Result& result) const {
    const std::string json_text = report::json_text(result);
    const std::string text = report::text(result);
    if (!out.empty()) {
        std::filesystem::create_directories(out);
        write_file(out + "/result.json", json_text);
        write_file(out + "/report.txt", text);
    }
    commands::deliver(json, json_text, text);
}

void SimulationOptions::add_to(CLI::App& command) {
    RunOptions::add_to(command);
    command.add_flag("--timing", timing, "add what the simulation itself cost to the result");
}

int simulate_and_report(system::Scenario scenario,
                        const config::Document& document,
                        const SimulationOptions& options) {
    scenario.run.seed = options.seed.value_or(scenario.run.seed);
    Progress progress("simulating");
    system::SimulateOptions simulate_options;
    simulate_options.timing = options.timing;
    simulate_options.progress = [&progress](double share) { progress.show(share); };
    system::Outcome outcome;
    try {
        outcome = system::simulate(scenario, document, simulate_options);
    } catch (const sim::Deadlock& stuck) {
        progress.clear();
        fmt::print(stderr, "{}\n", stuck.what());
        return deadlock;
    }
    progress.clear();
    outcome.result.version = FUSESIM_VERSION;
    for (const std::string& warning : outcome.warnings) {
        fmt::print(stderr, "warning: {}\n", warning);
    }
    options.deliver(outcome.result);
    return fine;
}

}  // namespace fusesim::commands
