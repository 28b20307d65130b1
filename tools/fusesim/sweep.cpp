#include "cache.h"
#include "commands.h"
#include "config/document.h"
#include "points.h"
#include "pool.h"
#include "progress.h"
#include "report/report.h"
#include "sim/engine.h"
#include "stop.h"
#include "system/simulation.h"
#include "table.h"
#include "write_file.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace fusesim::commands {

namespace {

constexpr int interrupted = 128 + SIGINT;

struct Options {
    std::string scenario;
    std::vector<std::string> params;
    std::vector<std::string> exclusions;
    std::vector<std::string> overrides;
    unsigned repeat = 0;  // 0: as the scenario says
    std::optional<std::uint64_t> seed;
    unsigned jobs = 0;  // 0: as many as there are cores
    std::string cache;
    bool fresh = false;
    std::string json;
    std::string csv;
};

/// One point before it is simulated.
struct Plan {
    sweep::Settings settings;
    config::Document document;
    system::Scenario scenario;
    std::string key;
};

/// What varies is given once: another --param or --set of the same key would win unseen.
void refuse_twice(const std::vector<sweep::Param>& params, const Options& options) {
    std::set<std::string> given;
    for (const std::string& text : options.overrides) {
        given.insert(text.substr(0, text.find('=')));
    }
    if (options.repeat > 0) {
        given.insert("run.repeat");
    }
    if (options.seed) {
        given.insert("run.seed");
    }
    for (const sweep::Param& param : params) {
        if (!given.insert(param.key).second) {
            throw config::Error({"command line"},
                                fmt::format("{} is given twice", param.key),
                                "one --param with all its values");
        }
    }
}

std::vector<Plan> plan(const Options& options) {
    std::vector<sweep::Param> params;
    for (const std::string& text : options.params) {
        params.push_back(sweep::parse_param(text));
    }
    refuse_twice(params, options);
    std::vector<sweep::Settings> exclusions;
    for (const std::string& text : options.exclusions) {
        exclusions.push_back(sweep::parse_exclusion(text));
    }
    const std::string program = sweep::hash_of_file("/proc/self/exe");
    std::vector<Plan> plans;
    for (const sweep::Settings& settings : sweep::points(params, exclusions)) {
        config::LoadOptions load;
        for (const auto& [key, value] : settings) {
            load.overrides.push_back(key + "=" + value);
        }
        load.overrides.insert(
            load.overrides.end(), options.overrides.begin(), options.overrides.end());
        if (options.repeat > 0) {
            load.overrides.push_back(fmt::format("run.repeat={}", options.repeat));
        }
        if (options.seed) {
            load.overrides.push_back(fmt::format("run.seed={}", *options.seed));
        }
        Plan one;
        one.settings = settings;
        one.document = config::Document::load(options.scenario, load);
        one.scenario = config::read<system::Scenario>(one.document);
        try {
            system::check(one.scenario, one.document);
        } catch (const config::Error&) {
            fmt::print(stderr, "{}:\n", sweep::to_text(settings));
            throw;
        }
        std::string depends = program + config::echo(one.scenario).dump();
        if (!one.scenario.workload.trace.empty()) {
            depends += sweep::hash_of_file(one.scenario.workload.trace.path);
        }
        one.key = sweep::hash_of(depends);
        plans.push_back(std::move(one));
    }
    if (plans.empty()) {
        throw config::Error({"command line"}, "every point is left out", "take back an --exclude");
    }
    return plans;
}

/// What the cache has of a point; nothing if that is no result, as after a power cut.
std::optional<report::Result> known(const sweep::Cache& cache, const Plan& plan) {
    const auto text = cache.find(plan.key);
    const config::Json json = text ? config::Json::parse(*text, nullptr, false) : config::Json();
    if (!json.is_object()) {
        return std::nullopt;
    }
    return report::from_json(json, plan.key);
}

/// In a process of its own; what it returns is its exit code.
int simulate_point(const Plan& plan, const sweep::Cache& cache) {
    try {
        system::Outcome outcome = system::simulate(plan.scenario, plan.document);
        outcome.result.version = FUSESIM_VERSION;
        cache.store(plan.key, report::json_text(outcome.result));
        return fine;
    } catch (const sim::Deadlock& stuck) {
        fmt::print(stderr, "{}: {}\n", sweep::to_text(plan.settings), stuck.what());
        return deadlock;
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}: {}\n", sweep::to_text(plan.settings), error.what());
        return bad_input;
    }
}

/// Simulates what is not in the cache yet. Returns the exit code.
int fill(const std::vector<Plan>& plans, const sweep::Cache& cache, const Options& options) {
    std::vector<const Plan*> missing;
    for (const Plan& one : plans) {
        if (options.fresh) {
            cache.forget(one.key);
        }
        if (!known(cache, one)) {
            missing.push_back(&one);
        }
    }
    if (missing.size() < plans.size()) {
        fmt::print(stderr,
                   "{} of {} points were computed before\n",
                   plans.size() - missing.size(),
                   plans.size());
    }
    Progress progress(fmt::format("simulating {} points", missing.size()));
    sweep::PoolOptions pool;
    pool.jobs = options.jobs > 0 ? options.jobs : std::max(1U, std::thread::hardware_concurrency());
    pool.stop = &stop_on({SIGINT, SIGTERM});
    pool.finished = [&](std::size_t ended) {
        progress.show(static_cast<double>(ended) / static_cast<double>(missing.size()));
    };
    return sweep::run_in_processes(
        missing.size(),
        [&](std::size_t number) { return simulate_point(*missing[number], cache); },
        pool);
}

int run_sweep(const Options& options) {
    const std::vector<Plan> plans = plan(options);
    const sweep::Cache cache(options.cache.empty() ? sweep::Cache::default_folder()
                                                   : std::filesystem::path(options.cache));
    const int status = fill(plans, cache, options);
    if (status == interrupted) {
        fmt::print(stderr, "stopped; the same command goes on with what is left\n");
        return status;
    }
    std::vector<sweep::Point> points;
    for (const Plan& one : plans) {
        if (auto result = known(cache, one)) {
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
    auto options = std::make_shared<Options>();
    command.add_option("SCENARIO", options->scenario, "YAML file")->required();
    command
        .add_option("--param",
                    options->params,
                    "values of one setting: 12,64 or 1..8 or 0..100+25 or 4..1024*4 KiB; several "
                    "--param are combined")
        ->type_name("KEY=VALUES")
        ->take_all()
        ->allow_extra_args(false)
        ->required();
    command
        .add_option("--exclude", options->exclusions, "leave out the points that have all of these")
        ->type_name("KEY=VALUE,...")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option("--set", options->overrides, "change one setting of all points")
        ->type_name("KEY=VALUE")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option("--repeat",
                       options->repeat,
                       "runs of each point, with other seeds; three or more give 95 % confidence "
                       "intervals");
    command.add_option("--seed", options->seed, "seed of each point's first run (default 1)");
    command.add_option("--jobs", options->jobs, "processes at a time (default: cores)");
    command
        .add_option("--cache", options->cache, "where results are kept (~/.cache/fusesim/sweep)")
        ->type_name("DIR");
    command.add_flag("--fresh", options->fresh, "simulate also what is in the cache");
    command.add_option("--json", options->json, "write all results as JSON to a file, or -")
        ->type_name("FILE");
    command.add_option("--csv", options->csv, "write a table for a spreadsheet to a file, or -")
        ->type_name("FILE");
    command.callback([options, &status] { status = run_sweep(*options); });
}

}  // namespace fusesim::commands
