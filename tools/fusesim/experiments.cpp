#include "experiments.h"

#include "commands.h"
#include "pool.h"
#include "progress.h"
#include "report/report.h"
#include "sim/engine.h"
#include "slurm.h"
#include "stop.h"
#include "system/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>

namespace fusesim::commands {

void Experiments::Options::add_to(CLI::App& command) {
    command.add_option("SCENARIO", scenario, "YAML file")->required();
    command.add_option("--set", overrides, "change one setting throughout")
        ->type_name("KEY=VALUE")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option(
        "--jobs", jobs, "processes, or elements of the job array, at a time (default: cores)");
    command.add_option("--cache", cache, "where results are kept (~/.cache/fusesim/sweep)")
        ->type_name("DIR");
    command
        .add_option_function<std::string>(
            "--engine",
            [this](const std::string& engine) { slurm = engine == "slurm"; },
            "local: processes on this machine (default); slurm: a job array, the cache being in a "
            "folder that all nodes see")
        ->check(CLI::IsMember({"local", "slurm"}))
        ->type_name("local|slurm");
    command
        .add_option("--sbatch",
                    sbatch,
                    "with --engine slurm: one more option for sbatch, as in "
                    "--sbatch=--partition=long")
        ->type_name("OPTION")
        ->take_all()
        ->allow_extra_args(false);
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
    const auto complain = [&](const std::string& what) {
        fmt::print(stderr, "{}: {}\n", sweep::to_text(experiment.settings), what);
    };
    try {
        system::Outcome outcome = system::simulate(experiment.scenario, experiment.document);
        for (const std::string& warning : outcome.warnings) {
            complain("warning: " + warning);
        }
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

Experiments::Missing Experiments::missing_of(const std::vector<Experiment>& experiments) const {
    Missing missing;
    for (const Experiment& one : experiments) {
        if (!result(one)) {
            missing.push_back(&one);
        }
    }
    return missing;
}

int Experiments::run(const std::vector<Experiment>& experiments, const std::string& what) {
    if (options_.fresh) {
        for (const Experiment& one : experiments) {
            cache_.forget(one.key);
        }
    }
    const Missing missing = missing_of(experiments);
    if (!missing.empty() && missing.size() < experiments.size()) {
        fmt::print(stderr,
                   "{} of {} points were computed before\n",
                   experiments.size() - missing.size(),
                   experiments.size());
    }
    return options_.slurm ? run_on_slurm(experiments, what) : run_here(missing, what);
}

int Experiments::run_here(const Missing& missing, const std::string& what) const {
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

std::vector<std::string> Experiments::command_of(const Experiment& experiment) const {
    std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe").string(),
                                     "sweep",
                                     options_.scenario,
                                     "--cache",
                                     std::filesystem::absolute(cache_.folder()).string(),
                                     "--jobs",
                                     "1",
                                     "--json",
                                     "/dev/null"};
    for (const std::string& setting : options_.overrides) {
        command.insert(command.end(), {"--set", setting});
    }
    for (const auto& [key, value] : experiment.settings) {
        command.insert(command.end(), {"--param", key + "=" + value});
    }
    return command;
}

int Experiments::run_on_slurm(const std::vector<Experiment>& experiments,
                              const std::string& what) const {
    std::string keys;
    for (const Experiment& one : experiments) {
        keys += one.key;
    }
    Missing missing = missing_of(experiments);
    Progress progress(what);
    sweep::SlurmOptions slurm;
    slurm.name = "fusesim-" + sweep::hash_of(keys).substr(0, 12);
    slurm.folder = std::filesystem::absolute(cache_.folder()) / slurm.name;
    slurm.sbatch = options_.sbatch;
    slurm.jobs = options_.jobs;
    slurm.stop = &stop_on({SIGINT, SIGTERM});
    slurm.look = [&] {
        const auto done = std::count_if(missing.begin(), missing.end(), [&](const auto* one) {
            return cache_.find(one->key).has_value();
        });
        progress.show(static_cast<double>(done) / static_cast<double>(missing.size()));
    };
    try {
        if (missing.empty()) {
            return fine;
        }
        if (!sweep::await_earlier_job(slurm)) {
            return interrupted;
        }
        missing = missing_of(experiments);
        std::vector<std::vector<std::string>> commands;
        for (const Experiment* const one : missing) {
            commands.push_back(command_of(*one));
        }
        const std::vector<sweep::SlurmElement> ended = sweep::run_in_slurm(commands, slurm);
        progress.clear();
        if (ended.size() < commands.size()) {
            return interrupted;
        }
        int worst = fine;
        for (std::size_t i = 0; i < ended.size(); ++i) {
            const bool cut = ended[i].code < 0;
            if (cut || ended[i].code != fine) {
                fmt::print(
                    stderr,
                    "{}: {}\n",
                    sweep::to_text(missing[i]->settings),
                    cut ? "Slurm ended it; was it out of time or memory?" : ended[i].complaints);
            }
            worst = std::max(worst, cut ? 1 : ended[i].code);
        }
        if (worst == fine) {
            std::filesystem::remove_all(slurm.folder);
        }
        return worst;
    } catch (const sweep::NoSlurm& complaint) {
        throw Unavailable(std::string("--engine slurm: ") + complaint.what());
    }
}

void say_interrupted() {
    fmt::print(stderr, "stopped; the same command goes on with what is left\n");
}

}  // namespace fusesim::commands
