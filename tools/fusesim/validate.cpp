#include "accuracy.h"
#include "bench.h"
#include "commands.h"
#include "measure.h"
#include "progress.h"
#include "report.h"
#include "stop.h"
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

/// What `uname -r` prints.
std::string running_kernel() {
    utsname kernel{};
    uname(&kernel);
    return kernel.release;
}

std::vector<Run> prepare(const validate::Suite& suite,
                         const config::Document& document,
                         const host::HostProfile& host,
                         const std::string& only) {
    std::vector<Run> runs;
    for (validate::Cell& cell : validate::cells(suite, document)) {
        if (cell.name.find(only) == std::string::npos) {
            continue;
        }
        config::LoadOptions load;
        load.overrides = cell.overrides;
        Run run{{}, config::Document::load(suite.base.path, load), {}};
        run.scenario = config::read<system::Scenario>(run.document);
        run.scenario.host = host;
        if (run.scenario.kernel.version.empty()) {
            run.scenario.kernel.version = running_kernel();
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

measure::Options measure_once(const std::atomic<bool>& stop_asked) {
    measure::Options how;
    how.repeats = 1;
    how.stop = &stop_asked;
    return how;
}

void measure_requests(Run& run, const std::atomic<bool>& stop_asked) {
    validate::add_requests(run.result.reference,
                           measure::run(request_pass(run), run.document, measure_once(stop_asked)));
}

void measure_round(Run& run, double usual, const std::atomic<bool>& stop_asked) {
    measure::Options how = measure_once(stop_asked);
    how.requests = false;
    const std::vector<int> cores = cores_of(run.scenario);
    const double before = pace(cores);
    const measure::Measured measured = measure::run(run.scenario, run.document, how);
    const double after = pace(cores);
    if (stop_asked) {
        return;  // cut short
    }
    const bool even = std::abs(after - before) <= uneven * std::min(before, after);
    const double slowness = (before + after) / 2 / usual;
    validate::add_round(run.result.reference, measured, run.result.operation, slowness, even);
}

double rounds_done(const std::vector<Run>& runs, unsigned rounds) {
    double done = 0;
    for (const Run& run : runs) {
        done += std::min(run.result.reference.even_rounds(), rounds);
    }
    return done;
}

/// The whole matrix again and again, so that a bad minute of the machine meets all cells, until
/// each has rounds enough in which the machine kept its pace.
void measure_all(std::vector<Run>& runs,
                 unsigned rounds,
                 double usual,
                 const std::atomic<bool>& stop_asked) {
    constexpr unsigned patience = 2;
    Progress progress("measuring");
    for (Run& run : runs) {
        measure_requests(run, stop_asked);
        if (stop_asked) {
            throw Unavailable("validate was interrupted before any round: nothing to judge");
        }
    }
    const double wanted = static_cast<double>(runs.size()) * rounds;
    for (unsigned sweep = 0; sweep < rounds * patience; ++sweep) {
        for (Run& run : runs) {
            if (run.result.reference.even_rounds() < rounds) {
                measure_round(run, usual, stop_asked);
            }
            if (stop_asked) {
                fmt::print(stderr, "warning: interrupted; judged is what was measured so far\n");
                return;
            }
            progress.show(rounds_done(runs, rounds) / wanted);
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

/// What was measured where, for the head of the table.
std::vector<std::pair<std::string, std::string>> about(const host::HostProfile& host,
                                                       const std::string& host_file,
                                                       std::size_t cells,
                                                       unsigned rounds) {
    return {{"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
            {"kernel", running_kernel()},
            {"host profile", host.name + " (" + (host_file.empty() ? "built in" : host_file) + ")"},
            {"cells", std::to_string(cells)},
            {"rounds", std::to_string(rounds)},
            {"fusesim", FUSESIM_VERSION}};
}

int validate_suites(const ValidateOptions& options) {
    const std::atomic<bool>& stop_asked = stop_on({SIGINT, SIGTERM, SIGHUP});
    const host::HostProfile host =
        options.host.empty()
            ? system::built_in_host()
            : config::read<host::HostProfile>(config::Document::load(options.host));
    config::Json all = {{"schema_version", 1}, {"suites", config::Json::array()}};
    std::string text;
    bool missed = false;
    for (const std::string& name : options.suites) {
        const auto document = config::Document::load(suite_file(options, name).string());
        const auto suite = config::read<validate::Suite>(document);
        std::vector<Run> runs = prepare(suite, document, host, options.only);
        if (runs.empty()) {
            throw config::Error({"command line"}, "--only leaves no cell");
        }
        const unsigned rounds = options.rounds > 0 ? options.rounds : suite.rounds;
        measure_all(runs, rounds, host.costs.syscall.seconds(), stop_asked);
        simulate_all(runs);
        std::vector<validate::CellResult> results;
        for (Run& run : runs) {
            if (!run.result.reference.rounds.empty()) {
                results.push_back(std::move(run.result));
            }
        }
        const validate::Accuracy accuracy = validate::compare(results);
        all["suites"].push_back(validate::to_json(suite.name, accuracy));
        text += validate::text(accuracy);
        if (!options.out.empty()) {
            write_file(
                options.out,
                validate::markdown(
                    suite.name, accuracy, about(host, options.host, results.size(), rounds)));
        }
        for (const validate::Verdict& verdict : accuracy.verdicts) {
            missed = missed || (!verdict.ok && !verdict.calibration);
        }
    }
    deliver(options.json, all.dump(2) + "\n", text);
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
