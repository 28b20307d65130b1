#include "measure.h"

#include "commands.h"
#include "latencies.h"
#include "progress.h"
#include "report/numbers.h"
#include "report/slo.h"
#include "simulation_options.h"
#include "stop.h"

#include <fmt/format.h>
#include <signal.h>

#include <memory>
#include <string>
#include <vector>

namespace fusesim::commands {

namespace {

struct MeasureOptions : RunOptions {
    std::string scenario;
    std::string daemons;
    bool no_requests = false;
};

/// How far the repeats agree, and what measuring them cost: for a person, not part of the result.
void describe(const measure::Measured& measured) {
    std::vector<double> rates;
    std::string each;
    for (const measure::Repeat& repeat : measured.repeats) {
        rates.push_back(repeat.ops_per_s);
        each += (each.empty() ? "" : ", ") + report::rate_text(repeat.ops_per_s);
    }
    if (rates.size() > 1) {
        fmt::print(stderr,
                   "{} repeats: {} ops/s; spread {:.1f} %\n",
                   rates.size(),
                   each,
                   measure::relative_spread(rates) * 100);
    }
    double per_s = 0;
    for (const auto& [name, operation] : measured.result.operations) {
        per_s += operation.per_s;
    }
    fmt::print(stderr,
               "own overhead: {:.0f} ns a call, {:.2f} % of one core\n",
               measured.own_ns,
               measured.own_ns * per_s * 1e-7);
    if (measured.recorded_steps != 0) {
        fmt::print(stderr,
                   "requests: recorded in a pass of its own, of {} operations\n",
                   measured.recorded_steps);
    }
    for (const std::string& warning : measured.warnings) {
        fmt::print(stderr, "warning: {}\n", warning);
    }
    if (measured.partial) {
        fmt::print(stderr, "warning: interrupted; this is a part of what was to be measured\n");
    }
}

int run(const MeasureOptions& options) {
    config::LoadOptions load;
    load.overrides = options.overrides;
    const auto document = config::Document::load(options.scenario, load);
    auto scenario = config::read<system::Scenario>(document);
    scenario.run.seed = options.seed.value_or(scenario.run.seed);
    Progress progress("measuring");
    measure::Options how;
    how.requests = !options.no_requests;
    how.daemons = options.daemons;
    how.stop = &stop_on({SIGINT, SIGTERM, SIGHUP});
    how.progress = [&progress](double share) { progress.show(share); };
    try {
        measure::Measured measured = measure::run(scenario, document, how);
        progress.clear();
        measured.result.version = FUSESIM_VERSION;
        describe(measured);
        measured.result.slo = report::verdicts(scenario.slo, measured.result);
        options.deliver(measured.result);
        return report::all_met(measured.result.slo) ? fine : missed;
    } catch (const measure::Unavailable& error) {
        progress.clear();
        throw Unavailable(error.what());
    }
}

}  // namespace

void add_measure(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand("measure", "run a scenario for real");
    auto options = std::make_shared<MeasureOptions>();
    command.add_option("SCENARIO", options->scenario, "YAML file")->required();
    options->add_to(command);
    command.add_option("--daemons", options->daemons, "folder of the reference daemons")
        ->type_name("DIR");
    command.add_flag(
        "--no-requests", options->no_requests, "leave out the pass that records the requests");
    command.callback([options, &status] { status = run(*options); });
}

}  // namespace fusesim::commands
