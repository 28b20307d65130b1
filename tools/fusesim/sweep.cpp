#include "commands.h"
#include "config/error.h"
#include "experiments.h"
#include "points.h"
#include "table.h"
#include "write_file.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace fusesim::commands {

namespace {

struct SweepOptions : Experiments::Options {
    std::vector<std::string> params;
    std::vector<std::string> exclusions;
    unsigned repeat = 0;  // 0: as the scenario says
    std::string until;
    std::optional<std::uint64_t> seed;
    std::string json;
    std::string csv;
};

/// What varies is given once: another --param or --set of the same key would win unseen.
void refuse_twice(const std::vector<sweep::Param>& params, const SweepOptions& options) {
    std::set<std::string> given;
    for (const std::string& text : options.overrides) {
        given.insert(text.substr(0, text.find('=')));
    }
    for (const sweep::Param& param : params) {
        if (!given.insert(param.key).second) {
            throw config::Error({"command line"},
                                fmt::format("{} is given twice", param.key),
                                "one --param with all its values");
        }
    }
}

/// What the command line says, or else the scenario.
std::vector<sweep::Param> params_of(const SweepOptions& options) {
    std::vector<sweep::Param> params;
    for (const std::string& text : options.params) {
        params.push_back(sweep::parse_param(text));
    }
    if (params.empty()) {
        config::LoadOptions load;
        load.overrides = options.overrides;
        const auto document = config::Document::load(options.scenario, load);
        for (const auto& [key, texts] : config::read<system::Scenario>(document).sweep) {
            sweep::Param& param = params.emplace_back(sweep::Param{key, {}});
            for (const std::string& text : texts) {
                const std::vector<std::string> values = sweep::expanded(text);
                param.values.insert(param.values.end(), values.begin(), values.end());
            }
        }
    }
    if (params.empty()) {
        throw config::Error({options.scenario},
                            "says nothing to vary",
                            "--param KEY=VALUES, or a section sweep: {KEY: [VALUES]}");
    }
    return params;
}

std::vector<Experiment> plan(const SweepOptions& options, const Experiments& experiments) {
    const std::vector<sweep::Param> params = params_of(options);
    refuse_twice(params, options);
    std::vector<sweep::Settings> exclusions;
    for (const std::string& text : options.exclusions) {
        exclusions.push_back(sweep::parse_exclusion(text));
    }
    std::vector<Experiment> plans;
    for (const sweep::Settings& settings : sweep::points(params, exclusions)) {
        try {
            plans.push_back(experiments.plan(settings));
        } catch (const config::Error&) {
            fmt::print(stderr, "{}:\n", sweep::to_text(settings));
            throw;
        }
    }
    if (plans.empty()) {
        throw config::Error({"command line"}, "every point is left out", "take back an --exclude");
    }
    return plans;
}

int run_sweep(SweepOptions options) {
    if (options.repeat > 0) {
        options.overrides.push_back(fmt::format("run.repeat={}", options.repeat));
    }
    if (!options.until.empty()) {
        options.overrides.push_back("run.stop.rel_err=" + options.until);
    }
    if (options.seed) {
        options.overrides.push_back(fmt::format("run.seed={}", *options.seed));
    }
    Experiments experiments(options);
    const std::vector<Experiment> plans = plan(options, experiments);
    const int status = experiments.run(plans, fmt::format("simulating {} points", plans.size()));
    if (status == Experiments::interrupted) {
        say_interrupted();
        return status;
    }
    std::vector<sweep::Point> points;
    for (const Experiment& one : plans) {
        if (auto result = experiments.result(one)) {
            points.push_back({one.settings, std::move(*result)});
        }
    }
    if (!options.csv.empty()) {
        write_or_print(options.csv, sweep::csv(points));
    }
    if (options.csv == "-") {
        if (!options.json.empty()) {
            write_or_print(options.json, sweep::json_text(points));
        }
    } else {
        deliver(options.json, sweep::json_text(points), sweep::table(points));
    }
    return status;
}

}  // namespace

void add_sweep(CLI::App& program, int& status) {
    CLI::App& command =
        *program.add_subcommand("sweep", "simulate every combination of some settings' values");
    auto options = std::make_shared<SweepOptions>();
    options->add_to(command);
    command
        .add_option("--param",
                    options->params,
                    "values of one setting: 12,64 or 1..8 or 0..100+25 or 4..1024*4 KiB; several "
                    "--param are combined; default: what the scenario's `sweep:` says")
        ->type_name("KEY=VALUES")
        ->take_all()
        ->allow_extra_args(false);
    command
        .add_option("--exclude", options->exclusions, "leave out the points that have all of these")
        ->type_name("KEY=VALUE,...")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option("--repeat",
                       options->repeat,
                       "runs of each point, with other seeds; three or more give 95 % confidence "
                       "intervals");
    command
        .add_option("--until",
                    options->until,
                    "more runs of each point, until its throughput (or run.stop.metric) is known "
                    "so well with 95 % confidence")
        ->type_name("PERCENT");
    command.add_option("--seed", options->seed, "seed of each point's first run (default 1)");
    command.add_option("--json", options->json, "write all results as JSON to a file, or -")
        ->type_name("FILE");
    command.add_option("--csv", options->csv, "write a table for a spreadsheet to a file, or -")
        ->type_name("FILE");
    command.callback([options, &status] { status = run_sweep(*options); });
}

}  // namespace fusesim::commands
