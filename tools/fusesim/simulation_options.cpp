#include "simulation_options.h"

#include "commands.h"
#include "config/error.h"
#include "page.h"
#include "progress.h"
#include "report/report.h"
#include "report/slo.h"
#include "sim/engine.h"
#include "write_file.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <system_error>

namespace fusesim::commands {

void RunOptions::add_to(CLI::App& command) {
    command.add_option("--set", overrides, "change one setting, e.g. mount.max_background=64")
        ->type_name("KEY=VALUE")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option("--seed", seed, "seed of all random streams (default 1)");
    command.add_option("--json", json, "write the result as JSON to a file, or - for stdout")
        ->type_name("FILE");
    command
        .add_option("--out",
                    out,
                    "write into this folder what `fusesim run DIR` repeats: scenario.yaml, the "
                    "trace, result.json, report.txt, report.html")
        ->type_name("DIR");
}

void RunOptions::deliver(const report::Result& result, const std::string& trace) const {
    if (!out.empty()) {
        write_bundle(result, trace);
    }
    commands::deliver(json, report::json_text(result), report::text(result));
}

void RunOptions::write_bundle(report::Result result, const std::string& trace) const {
    namespace fs = std::filesystem;
    std::error_code error;
    fs::create_directories(out, error);
    if (error) {
        throw config::Error({out}, "cannot be made: " + error.message());
    }
    if (!trace.empty()) {
        const fs::path inside = fs::path(out) / fs::path(trace).filename();
        if (!fs::equivalent(trace, inside, error)) {
            fs::copy_file(trace, inside, fs::copy_options::overwrite_existing, error);
        }
        if (error) {
            throw config::Error({inside.string()}, "cannot be written: " + error.message());
        }
        result.config["workload"]["trace"] = inside.filename().string();
        if (result.comparison) {
            result.comparison->trace = inside.filename().string();
        }
    }
    const std::string json_text = report::json_text(result);
    write_file(out + "/" + bundled_scenario, result.config.dump(2) + "\n");
    write_file(out + "/result.json", json_text);
    write_file(out + "/report.txt", report::text(result));
    write_file(out + "/report.html",
               page::html({{"run", "result.json", config::Json::parse(json_text)}}));
}

void SimulationOptions::add_to(CLI::App& command) {
    RunOptions::add_to(command);
    command.add_flag("--details",
                     details,
                     "add the run over time and distributions to the result, for `report`");
    command
        .add_option_function<std::string>(
            "--until",
            [this](const std::string& error) { overrides.push_back("run.stop.rel_err=" + error); },
            "more runs with other seeds, until the throughput (or run.stop.metric) is known so "
            "well with 95 % confidence")
        ->type_name("PERCENT");
    command
        .add_option("--timeline",
                    timeline,
                    "add the details, and in them the times of the first N requests of the "
                    "window, for `export`")
        ->type_name("N")
        ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
    command.add_flag("--timing", timing, "add what the simulation itself cost to the result");
}

int simulate_and_report(system::Scenario scenario,
                        const config::Document& document,
                        const SimulationOptions& options) {
    scenario.run.seed = options.seed.value_or(scenario.run.seed);
    Progress progress("simulating");
    system::SimulateOptions simulate_options;
    simulate_options.timing = options.timing;
    simulate_options.timeline = options.timeline;
    simulate_options.details = options.details || !options.out.empty() || options.timeline > 0;
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
    const config::File& trace = scenario.workload.trace;
    options.deliver(outcome.result, trace.empty() ? "" : trace.path);
    return report::all_met(outcome.result.slo) ? fine : missed;
}

}  // namespace fusesim::commands
