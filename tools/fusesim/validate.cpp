#include "accuracy.h"
#include "calibration.h"
#include "commands.h"
#include "guest.h"
#include "measure.h"
#include "pace.h"
#include "profile.h"
#include "progress.h"
#include "report.h"
#include "stop.h"
#include "stored.h"
#include "suite.h"
#include "system/simulation.h"
#include "write_file.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
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
    std::string measure_only;
    std::string measured;
    std::string calibrate;
    std::string guest;
    unsigned rounds = 0;
    bool promised = false;
};

/// Where this program was installed, else beside the sources it was built from.
std::filesystem::path folder_of_suites() {
    std::error_code none;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", none);
    const auto installed = program.parent_path() / "../share/fusesim/validation";
    return std::filesystem::exists(installed, none) ? installed : FUSESIM_VALIDATION;
}

/// A suite's file, where the user says or in the folder above.
std::filesystem::path suite_file(const ValidateOptions& options, const std::string& name) {
    const std::filesystem::path folder =
        options.folder.empty() ? folder_of_suites() : std::filesystem::path(options.folder);
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
    unsigned recorded = 0;  ///< operations of each thread in the pass that records
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
                         const std::string& only,
                         const std::string& kernel,
                         bool measures) {
    std::vector<Run> runs;
    for (validate::Cell& cell : validate::cells(suite, document)) {
        if (cell.name.find(only) == std::string::npos) {
            continue;
        }
        config::LoadOptions load;
        load.overrides = cell.overrides;
        Run run{{}, suite.recorded, config::Document::load(suite.base.path, load), {}};
        run.scenario = config::read<system::Scenario>(run.document);
        run.scenario.host = host;
        if (run.scenario.kernel.version.empty()) {
            run.scenario.kernel.version = kernel;
        }
        if (run.scenario.workload.operations.empty()) {
            throw config::Error(run.document.place("workload"),
                                fmt::format("cell '{}' has no operations", cell.name));
        }
        run.result.operation = to_text(run.scenario.workload.operations.front().op);
        run.result.cell = std::move(cell);
        system::check(run.scenario, run.document);
        if (measures) {
            measure::check(run.scenario, run.document);
        }
        runs.push_back(std::move(run));
    }
    return runs;
}

/// What an empty system call takes when nothing slows the machine down, in nanoseconds. Virtual
/// machines lose a third of their pace for milliseconds to seconds: waits until calls are as fast
/// as the host profile says, but not for ever, since this may be another machine.
double full_pace_ns(double profile_ns, const std::atomic<bool>& stop_asked) {
    constexpr auto patience = std::chrono::seconds(20);
    constexpr double same = 1.05;
    constexpr std::size_t enough = 50;
    std::vector<double> fast;
    std::vector<double> all;
    const auto began = std::chrono::steady_clock::now();
    while (fast.size() < enough && !stop_asked) {
        all.push_back(real::empty_call_ns());
        if (all.back() <= same * profile_ns) {
            fast.push_back(all.back());
        }
        if (std::chrono::steady_clock::now() - began > patience) {
            std::sort(all.begin(), all.end());
            return all[all.size() / 10];
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::sort(fast.begin(), fast.end());
    return fast.empty() ? profile_ns : fast[fast.size() / 2];
}

/// The first steps of each thread: short, and the same for both worlds.
system::Scenario request_pass(const Run& run) {
    system::Scenario pass = run.scenario;
    pass.run.warm_up = sim::Time();
    pass.run.duration.reset();
    pass.run.operations = run.recorded;
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

void measure_round(Run& run,
                   double full_pace,
                   double slowness,
                   const std::atomic<bool>& stop_asked) {
    measure::Options how = measure_once(stop_asked);
    how.requests = false;
    how.full_pace_ns = full_pace;
    const measure::Measured measured = measure::run(run.scenario, run.document, how);
    if (!stop_asked) {
        validate::add_round(run.result.reference, measured, run.result.operation, slowness);
    }
}

double rounds_done(const std::vector<Run>& runs, unsigned rounds) {
    double done = 0;
    for (const Run& run : runs) {
        done += std::min(run.result.reference.good_rounds(), rounds);
    }
    return done;
}

/// Calibrates between cells, so that what costs are taken from and what they shall explain meet the
/// same minutes of the machine.
class CalibrationBetween {
  public:
    /// With some repeats at once, which tell the machine's pace.
    explicit CalibrationBetween(const calibrate::Plan& plan)
        : repeats_(static_cast<std::size_t>(plan.repeats)), ladder_(plan) {
        constexpr int at_first = 3;
        for (int i = 0; i < at_first; ++i) {
            repeat();
        }
    }

    double pace_ns() const { return ladder_.pace_ns(); }

    /// As many repeats as are due when this share of the cells is done.
    void go_on(double share) {
        while (static_cast<double>(done_) < share * static_cast<double>(repeats_)) {
            repeat();
        }
    }

    std::string profile_text() const {
        return calibrate::profile_yaml(
            ladder_.profile(), "fusesim validate --calibrate", FUSESIM_VERSION);
    }

    host::HostProfile host() const {
        return config::read<host::HostProfile>(
            config::Document::parse(profile_text(), "calibration"));
    }

  private:
    void repeat() {
        ladder_.repeat([](const std::string&) {});
        ++done_;
    }

    std::size_t repeats_;
    std::size_t done_ = 0;
    calibrate::Ladder ladder_;
};

/// The whole matrix again and again, so that a bad minute of the machine meets all cells, until
/// each has rounds enough with time at the machine's full pace. `between` is called between cells
/// with the share that is done.
void measure_all(std::vector<Run>& runs,
                 unsigned rounds,
                 double full_pace,
                 double slowness,
                 const std::function<void(double)>& between,
                 const std::atomic<bool>& stop_asked) {
    constexpr unsigned patience = 3;
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
            if (run.result.reference.good_rounds() < rounds) {
                measure_round(run, full_pace, slowness, stop_asked);
            }
            if (stop_asked) {
                fmt::print(stderr, "warning: interrupted; judged is what was measured so far\n");
                return;
            }
            const double share = rounds_done(runs, rounds) / wanted;
            between(share);
            progress.show(share);
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
        system::Scenario pass = request_pass(run);
        pass.workload.recorder = true;
        run.result.simulated_pass = system::simulate(pass, run.document).result;
        progress.show(++done / static_cast<double>(runs.size()));
    }
}

/// What was measured where, for the head of the table.
std::vector<std::pair<std::string, std::string>> about(const host::HostProfile& host,
                                                       const std::string& host_file,
                                                       const std::string& kernel,
                                                       std::size_t judged,
                                                       std::size_t cells,
                                                       unsigned rounds) {
    return {{"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
            {"kernel", kernel},
            {"host profile", host.name + " (" + (host_file.empty() ? "built in" : host_file) + ")"},
            {"cells",
             judged == cells ? std::to_string(cells)
                             : fmt::format("{}; {} more never met the machine at its full pace",
                                           judged,
                                           cells - judged)},
            {"rounds", std::to_string(rounds)},
            {"fusesim", FUSESIM_VERSION}};
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

host::HostProfile read_host(const std::string& file) {
    return config::read<host::HostProfile>(config::Document::load(file));
}

/// No look at the pace, as a machine whose clock counts instructions allows.
void measure_exactly(std::vector<Run>& runs, unsigned rounds, const std::atomic<bool>& stop_asked) {
    Progress progress("measuring");
    double done = 0;
    for (Run& run : runs) {
        measure::Options how = measure_once(stop_asked);
        how.repeats = rounds;
        how.requests = false;
        validate::add_round(run.result.reference,
                            measure::run(run.scenario, run.document, how),
                            run.result.operation,
                            1);
        measure_requests(run, stop_asked);
        if (stop_asked) {
            throw Unavailable("validate was interrupted");
        }
        progress.show(++done / static_cast<double>(runs.size()));
    }
}

std::vector<validate::CellResult> results_of(std::vector<Run>& runs) {
    std::vector<validate::CellResult> results;
    for (Run& run : runs) {
        if (run.result.reference.good_rounds() > 0) {
            results.push_back(std::move(run.result));
        }
    }
    return results;
}

/// Where a guest leaves what it has measured: a folder that the user names and whose files are used
/// again, or one that goes away.
class GuestFolder {
  public:
    explicit GuestFolder(std::filesystem::path asked) : path_(std::move(asked)) {
        if (!path_.empty()) {
            std::filesystem::create_directories(path_);
            return;
        }
        std::string name = std::filesystem::temp_directory_path() / "fusesim-validate-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) {
            throw std::system_error(errno, std::generic_category(), name);
        }
        path_ = temporary_ = name;
    }

    ~GuestFolder() {
        std::error_code none;
        if (!temporary_.empty()) {
            std::filesystem::remove_all(temporary_, none);
        }
    }

    GuestFolder(const GuestFolder&) = delete;
    GuestFolder& operator=(const GuestFolder&) = delete;

    std::filesystem::path host() const { return path_ / "host.yaml"; }

    std::filesystem::path measured() const { return path_ / "measured.json"; }

    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
    std::filesystem::path temporary_;
};

/// Calibrates in the guest and measures all cells there, unless that was done before.
void measure_in_guest(const std::filesystem::path& suite,
                      const GuestFolder& folder,
                      const std::string& only,
                      const std::atomic<bool>& stop_asked) {
    if (std::filesystem::exists(folder.host()) && std::filesystem::exists(folder.measured())) {
        return;
    }
    // Calibration fails where its parts do not explain the whole; the cells will show it, too.
    const std::string name = suite.parent_path().filename();
    run_in_guest(
        fmt::format("fusesim calibrate --exact --out host.yaml || [ $? -eq 1 ] || exit 4; "
                    "fusesim validate --suite {} --from . --only '{}' --measure-only measured.json",
                    name,
                    only),
        {suite.parent_path()},
        folder.path(),
        stop_asked);
}

/// With the host profile's pace as the machine's, or with that of the calibration between the cells
/// if there is one.
void measure_here(std::vector<Run>& runs,
                  unsigned rounds,
                  const host::HostProfile& host,
                  CalibrationBetween* calibration,
                  const std::atomic<bool>& stop_asked) {
    if (calibration != nullptr) {
        const auto calibrate = [calibration](double share) { calibration->go_on(share); };
        measure_all(runs, rounds, calibration->pace_ns(), 1, calibrate, stop_asked);
        return;
    }
    const double profile_ns = host.costs.syscall.seconds() * 1e9;
    const double full_pace = full_pace_ns(profile_ns, stop_asked);
    measure_all(
        runs, rounds, full_pace, full_pace / profile_ns, [](double) {}, stop_asked);
}

/// What --measure-only has written, here or in a guest.
config::Json read_measured(const std::filesystem::path& file) {
    config::Json stored = config::Json::parse(read_file(file), nullptr, false);
    if (!stored.is_object() || !stored.contains("kernel") || !stored.contains("cells")) {
        throw config::Error(
            {file.string()}, "holds no measured cells", "fusesim validate --measure-only FILE");
    }
    return stored;
}

int validate_suites(const ValidateOptions& options) {
    using Machine = validate::Suite::Machine;
    const std::atomic<bool>& stop_asked = stop_on({SIGINT, SIGTERM, SIGHUP});
    config::Json all = {{"schema_version", 1}, {"suites", config::Json::array()}};
    std::string text;
    bool missed = false;
    for (const std::string& name : options.suites) {
        const std::filesystem::path file = suite_file(options, name);
        const auto document = config::Document::load(file.string());
        const auto suite = config::read<validate::Suite>(document);
        std::optional<GuestFolder> guest;
        std::string host_file = options.host;
        config::Json stored;
        if (!options.measured.empty()) {
            stored = read_measured(options.measured);
        } else if (suite.machine == Machine::guest && options.measure_only.empty()) {
            guest.emplace(options.guest);
            measure_in_guest(file, *guest, options.only, stop_asked);
            host_file = host_file.empty() ? guest->host().string() : host_file;
            stored = read_measured(guest->measured());
        }
        const bool measures = stored.is_null();
        const std::string kernel =
            measures ? running_kernel() : stored.at("kernel").get<std::string>();
        std::optional<CalibrationBetween> calibration;
        if (!options.calibrate.empty() && suite.machine == Machine::here) {
            calibration.emplace(plan_of_calibration());
            host_file = options.calibrate;
        }
        host::HostProfile host = calibration         ? calibration->host()
                                 : host_file.empty() ? system::built_in_host()
                                                     : read_host(host_file);
        std::vector<Run> runs = prepare(suite, document, host, options.only, kernel, measures);
        if (runs.empty()) {
            throw config::Error({"command line"}, "--only leaves no cell");
        }
        unsigned rounds = options.rounds > 0 ? options.rounds : suite.rounds;
        if (!measures) {
            rounds = 0;
            for (Run& run : runs) {
                validate::take_measured(stored, run.result);
                rounds = std::max(rounds, run.result.reference.good_rounds());
            }
        } else if (suite.machine == Machine::guest) {
            measure_exactly(runs, rounds, stop_asked);
        } else {
            measure_here(runs, rounds, host, calibration ? &*calibration : nullptr, stop_asked);
        }
        if (calibration) {
            write_file(options.calibrate, calibration->profile_text());
            host = calibration->host();
            for (Run& run : runs) {
                run.scenario.host = host;
            }
        }
        if (!options.measure_only.empty()) {
            write_file(options.measure_only,
                       validate::to_json(results_of(runs), kernel).dump(1) + "\n");
            continue;
        }
        simulate_all(runs);
        const std::vector<validate::CellResult> results = results_of(runs);
        const validate::Accuracy accuracy = validate::compare(results, suite.tolerance);
        all["suites"].push_back(validate::to_json(suite.name, accuracy));
        text += validate::text(suite, accuracy);
        if (!options.out.empty()) {
            const std::string former =
                std::filesystem::exists(options.out) ? read_file(options.out) : "";
            write_file(options.out,
                       validate::with_section(
                           former,
                           suite.name,
                           validate::markdown(
                               suite,
                               accuracy,
                               about(host,
                                     guest && options.host.empty() ? "of this run" : host_file,
                                     kernel,
                                     results.size(),
                                     runs.size(),
                                     rounds))));
        }
        const bool by_promise = options.promised && suite.promised;
        missed = missed || !validate::passes(accuracy, by_promise ? suite.promised : suite.bounds);
    }
    if (options.measure_only.empty()) {
        deliver(options.json, all.dump(2) + "\n", text);
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
    command.add_flag("--promised",
                     options->promised,
                     "pass or fail by what a suite promises today, not by what it is asked for");
    command.add_option("--rounds", options->rounds, "times that the matrix is measured");
    command.add_option("--only", options->only, "only cells whose name contains this text");
    command.add_option("--json", options->json, "write the verdicts as JSON, or - for stdout")
        ->type_name("FILE");
    command
        .add_option("--out",
                    options->out,
                    "write the table in Markdown, e.g. ACCURACY.md; sections of other suites stay")
        ->type_name("FILE");
    command
        .add_option("--guest",
                    options->guest,
                    "folder for what the guest measures; used again if it is there already")
        ->type_name("DIR");
    command
        .add_option("--measure-only",
                    options->measure_only,
                    "measure on this machine, write that to a file and simulate nothing")
        ->type_name("FILE");
    command
        .add_option("--measured",
                    options->measured,
                    "judge by what --measure-only has written, and measure nothing")
        ->type_name("FILE")
        ->excludes("--measure-only");
    command
        .add_option("--calibrate",
                    options->calibrate,
                    "calibrate this machine between the cells, write that host profile and "
                    "simulate with it")
        ->type_name("FILE")
        ->excludes("--host")
        ->excludes("--measured");
    command.callback([options, &status] {
        try {
            status = validate_suites(*options);
        } catch (const measure::Unavailable& error) {
            throw Unavailable(error.what());
        }
    });
}

}  // namespace fusesim::commands
