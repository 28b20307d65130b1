#include "experiments.h"

#include "commands.h"
#include "pool.h"
#include "progress.h"
#include "report/report.h"
#include "sim/engine.h"
#include "stop.h"
#include "system/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <thread>

namespace fusesim::commands {

void Experiments::Options::add_to(CLI::App& command) {
    command.add_option("SCENARIO", scenario, "YAML file")->required();
    command.add_option("--set", overrides, "change one setting throughout")
        ->type_name("KEY=VALUE")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option("--jobs", jobs, "processes at a time (default: cores)");
    command.add_option("--cache", cache, "where results are kept (~/.cache/fusesim/sweep)")
        ->type_name("DIR");
    command.add_flag("--fresh", fresh, "simulate also what is in the cache");
}

Experiments::Experiments(const Options& options)
    : options_(options),
      program_(sweep::hash_of_file("/proc/self/exe")),
      cache_(options.cache.empty() ? sweep::Cache::default_folder()
                                   : std::filesystem::path(options.cache)) {}

Experiment Experiments::plan(const sweep::Settings& settings) const {
    config::LoadOptions load;
    load.overrides = options_.overrides;
    for (const auto& [key, value] : settings) {
        load.overrides.push_back(key + "=" + value);
    }
    Experiment one;
    one.settings = settings;
    one.document = config::Document::load(options_.scenario, load);
    one.scenario = config::read<system::Scenario>(one.document);
    system::check(one.scenario, one.document);
    std::string depends = program_ + config::echo(one.scenario).dump();
    if (!one.scenario.workload.trace.empty()) {
        depends += sweep::hash_of_file(one.scenario.workload.trace.path);
    }
    one.key = sweep::hash_of(depends);
    return one;
}

std::optional<report::Result> Experiments::result(const Experiment& experiment) const {
    const auto text = cache_.find(experiment.key);
    const config::Json json = text ? config::Json::parse(*text, nullptr, false) : config::Json();
    if (!json.is_object()) {  // as after a power cut
        return std::nullopt;
    }
    return report::from_json(json, experiment.key);
}

/// In a process of its own; what it returns is its exit code.
int Experiments::simulate(const Experiment& experiment) const {
    const auto complain = [&](const char* what) {
        fmt::print(stderr, "{}: {}\n", sweep::to_text(experiment.settings), what);
    };
    try {
        system::Outcome outcome = system::simulate(experiment.scenario, experiment.document);
        outcome.result.version = FUSESIM_VERSION;
        cache_.store(experiment.key, report::json_text(outcome.result));
        return fine;
    } catch (const sim::Deadlock& stuck) {
        complain(stuck.what());
        return deadlock;
    } catch (const config::Error& error) {
        complain(error.what());
        return bad_input;
    }
}

int Experiments::run(const std::vector<Experiment>& experiments, const std::string& what) {
    std::vector<const Experiment*> missing;
    for (const Experiment& one : experiments) {
        if (options_.fresh) {
            cache_.forget(one.key);
        }
        if (!result(one)) {
            missing.push_back(&one);
        }
    }
    if (!missing.empty() && missing.size() < experiments.size()) {
        fmt::print(stderr,
                   "{} of {} points were computed before\n",
                   experiments.size() - missing.size(),
                   experiments.size());
    }
    Progress progress(what);
    sweep::PoolOptions pool;
    pool.jobs =
        options_.jobs > 0 ? options_.jobs : std::max(1U, std::thread::hardware_concurrency());
    pool.stop = &stop_on({SIGINT, SIGTERM});
    pool.finished = [&](std::size_t ended) {
        progress.show(static_cast<double>(ended) / static_cast<double>(missing.size()));
    };
    pool.killed = [&](std::size_t number, int signal) {
        progress.clear();
        fmt::print(stderr,
                   "{}: ended by signal {}{}\n",
                   sweep::to_text(missing[number]->settings),
                   signal,
                   signal == SIGKILL ? "; was it out of memory?" : "");
    };
    return sweep::run_in_processes(
        missing.size(), [&](std::size_t number) { return simulate(*missing[number]); }, pool);
}

void say_interrupted() {
    fmt::print(stderr, "stopped; the same command goes on with what is left\n");
}

}  // namespace fusesim::commands
