#include "accuracy.h"
#include "bench.h"
#include "commands.h"
#include "measure.h"
#include "progress.h"
#include "report.h"
#include "suite.h"
#include "system/simulation.h"
#include "write_file.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::commands {

namespace {

std::atomic<bool> stop_asked{false};

void ask_to_stop(int) {
    stop_asked = true;
}

struct ValidateOptions {
    std::vector<std::string> suites{"mounts"};
    std::string folder;
    std::string host;
    std::string json;
    std::string out;
    std::string only;
    unsigned rounds = 0;
};

/// A suite's folder beside the sources this program was built from, or where the user says.
std::filesystem::path suite_file(const ValidateOptions& options, const std::string& name) {
    const std::filesystem::path folder =
        options.folder.empty() ? FUSESIM_VALIDATION : options.folder;
    const std::filesystem::path file = folder / name / "suite.yaml";
    if (!std::filesystem::exists(file)) {
        throw Unavailable(
            fmt::format("validate finds no suite '{}': {} does not exist (--from "
                        "names the folder of suites)",
                        name,
                        file.string()));
    }
    return file;
}

struct Run {
    validate::CellResult result;
    config::Document document;
    system::Scenario scenario;
};

std::vector<Run> prepare(const validate::Suite& suite,
                         const config::Document& document,
                         const ValidateOptions& options) {
    std::vector<Run> runs;
    for (validate::Cell& cell : validate::cells(suite, document)) {
        if (!options.only.empty() && cell.name.find(options.only) == std::string::npos) {
            continue;
        }
        config::LoadOptions load;
        load.overrides = cell.overrides;
        Run run{{}, config::Document::load(suite.base.path, load), {}};
        run.scenario = config::read<system::Scenario>(run.document);
        if (!options.host.empty()) {
            run.scenario.host =
                config::read<host::HostProfile>(config::Document::load(options.host));
        }
        if (run.scenario.kernel.version.empty()) {
            utsname kernel{};
            uname(&kernel);
            run.scenario.kernel.version = kernel.release;
        }
        if (run.scenario.workload.operations.empty()) {
            throw config::Error(run.document.place("workload"),
                                fmt::format("cell '{}' has no operations", cell.name));
        }
        run.result.operation = to_text(run.scenario.workload.operations.front().op);
        run.result.cell = std::move(cell);
        system::check(run.scenario, run.document);
        measure::check(run.scenario, run.document);
        runs.push_back(std::move(run));
    }
    return runs;
}

/// How long an empty system call takes now, in seconds, on the slowest of these cores.
double pace(const std::vector<int>& cores) {
    const std::vector<int> all = calibrate::usable_cores();
    double slowest = 0;
    for (const int core : cores) {
        calibrate::pin(core);
        const double ns = calibrate::time_of([] { syscall(SYS_getppid); }, 0.004);
        slowest = std::max(slowest, ns * 1e-9);
    }
    calibrate::run_on(all);
    return slowest;
}

/// The cores that a scenario's threads are pinned to; all if some are free.
std::vector<int> cores_of(const system::Scenario& scenario) {
    const auto& callers = scenario.workload.affinity;
    const auto& daemon = scenario.daemon.affinity;
    if (!callers || !daemon) {
        return calibrate::usable_cores();
    }
    std::vector<int> cores(callers->begin(), callers->end());
    cores.insert(cores.end(), daemon->begin(), daemon->end());
    std::sort(cores.begin(), cores.end());
    cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
    return cores;
}

/// Virtual machines change their pace by a third within seconds. A measurement counts only if an
/// empty call took as long before it as after it, but for this share.
constexpr double uneven = 0.05;

/// The first steps of each thread: short, and the same for both worlds.
system::Scenario request_pass(const Run& run) {
    system::Scenario pass = run.scenario;
    pass.run.warm_up = sim::Time();
    pass.run.duration.reset();
    pass.run.operations = 2000;
    return pass;
}

void measure_one(Run& run, bool requests, double usual) {
    measure::Options how;
    how.repeats = 1;
    how.requests = requests;
    how.stop = &stop_asked;
    const std::vector<int> cores = cores_of(run.scenario);
    const double before = pace(cores);
    const measure::Measured measured =
        measure::run(requests ? request_pass(run) : run.scenario, run.document, how);
    if (stop_asked) {
        return;  // cut short
    }
    if (requests) {
        validate::add_requests(run.result.reference, measured);
    } else {
        const double after = pace(cores);
        const bool even = std::abs(after - before) <= uneven * std::min(before, after);
        const double slowness = (before + after) / 2 / usual;
        validate::add_round(run.result.reference, measured, run.result.operation, slowness, even);
    }
}

double rounds_done(const std::vector<Run>& runs, unsigned rounds) {
    double done = 0;
    for (const Run& run : runs) {
        done += std::min(run.result.reference.even_rounds(), rounds);
    }
    return done;
}

/// The whole matrix again and again, so that a change of the machine's pace meets all cells, until
/// each has been measured often enough at the usual pace.
void measure_all(std::vector<Run>& runs, unsigned rounds) {
    constexpr unsigned patience = 2;
    const host::HostProfile host = runs.front().scenario.host.value_or(system::built_in_host());
    const double usual = host.costs.syscall.seconds();
    Progress progress("measuring");
    for (Run& run : runs) {
        measure_one(run, true, usual);
        if (stop_asked) {
            throw Unavailable("validate was interrupted before any round: nothing to judge");
        }
    }
    const double wanted = static_cast<double>(runs.size()) * rounds;
    for (unsigned sweep = 0; sweep < rounds * patience; ++sweep) {
        for (Run& run : runs) {
            if (run.result.reference.even_rounds() < rounds) {
                measure_one(run, false, usual);
            }
            if (stop_asked) {
                fmt::print(stderr, "warning: interrupted; judged is what was measured so far\n");
                return;
            }
            progress.show(rounds_done(runs, rounds) / wanted);
        }
        if (rounds_done(runs, rounds) == wanted) {
            break;
        }
    }
}

void simulate_all(std::vector<Run>& runs) {
    Progress progress("simulating");
    double done = 0;
    for (Run& run : runs) {
        // What measuring costs is part of what was measured, beside the calls.
        run.scenario.workload.compute = sim::Time::from_seconds(run.result.reference.own_s);
        run.result.simulated = system::simulate(run.scenario, run.document).result;
        run.result.simulated_pass = system::simulate(request_pass(run), run.document).result;
        progress.show(++done / static_cast<double>(runs.size()));
    }
}

std::vector<std::pair<std::string, std::string>> about(const ValidateOptions& options,
                                                       const std::vector<Run>& runs,
                                                       unsigned rounds) {
    utsname kernel{};
    uname(&kernel);
    const host::HostProfile host = runs.front().scenario.host.value_or(system::built_in_host());
    return {{"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
            {"kernel", kernel.release},
            {"host profile",
             host.name + (options.host.empty() ? " (built in)" : " (" + options.host + ")")},
            {"cells", std::to_string(runs.size())},
            {"rounds", std::to_string(rounds)},
            {"fusesim", FUSESIM_VERSION}};
}

int validate_suites(const ValidateOptions& options) {
    struct sigaction action {};

    action.sa_handler = ask_to_stop;
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        sigaction(signal, &action, nullptr);
    }
    config::Json all = {{"schema_version", 1}, {"suites", config::Json::array()}};
    bool missed = false;
    for (const std::string& name : options.suites) {
        const std::string file = suite_file(options, name).string();
        const auto document = config::Document::load(file);
        const auto suite = config::read<validate::Suite>(document);
        std::vector<Run> runs = prepare(suite, document, options);
        if (runs.empty()) {
            throw config::Error({"command line"}, "--only leaves no cell");
        }
        const unsigned rounds = options.rounds > 0 ? options.rounds : suite.rounds;
        measure_all(runs, rounds);
        simulate_all(runs);
        std::vector<validate::CellResult> results;
        for (const Run& run : runs) {
            if (!run.result.reference.rounds.empty()) {
                results.push_back(run.result);
            }
        }
        const validate::Accuracy accuracy = validate::compare(results);
        all["suites"].push_back(validate::to_json(suite.name, accuracy));
        if (!options.out.empty()) {
            write_file(options.out,
                       validate::markdown(suite.name, accuracy, about(options, runs, rounds)));
        }
        if (options.json != "-") {
            fmt::print("{}", validate::text(accuracy));
        }
        for (const validate::Verdict& verdict : accuracy.verdicts) {
            missed = missed || (!verdict.ok && !verdict.calibration);
        }
    }
    const std::string json_text = all.dump(2) + "\n";
    if (options.json == "-") {
        fmt::print("{}", json_text);
    } else if (!options.json.empty()) {
        write_file(options.json, json_text);
    }
    return missed ? Exit::missed : Exit::fine;
}

}  // namespace

void add_validate(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand(
        "validate", "measure and simulate a matrix of scenarios, and compare");
    auto options = std::make_shared<ValidateOptions>();
    command.add_option("--suite", options->suites, "which suites (default mounts)")
        ->type_name("NAME");
    command.add_option("--from", options->folder, "folder that holds the suites")->type_name("DIR");
    command.add_option("--host", options->host, "host profile of `fusesim calibrate`")
        ->type_name("FILE");
    command.add_option("--rounds", options->rounds, "times that the matrix is measured");
    command.add_option("--only", options->only, "only cells whose name contains this text");
    command.add_option("--json", options->json, "write the verdicts as JSON, or - for stdout")
        ->type_name("FILE");
    command.add_option("--out", options->out, "write the table in Markdown, e.g. ACCURACY.md")
        ->type_name("FILE");
    command.callback([options, &status] {
        try {
            status = validate_suites(*options);
        } catch (const measure::Unavailable& error) {
            throw Unavailable(error.what());
        }
    });
}

}  // namespace fusesim::commands
