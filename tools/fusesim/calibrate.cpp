#include "calibration.h"
#include "commands.h"
#include "profile.h"
#include "requests.h"
#include "write_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <memory>

namespace fusesim::commands {

namespace {

constexpr double tolerance = 0.03;

struct CalibrateOptions {
    std::string out;
    std::string daemon;
    bool quick = false;
    bool exact = false;
};

/// A bar on a terminal, a line a step elsewhere; on standard error.
void show_progress(double done, const std::string& what) {
    if (isatty(STDERR_FILENO) == 0) {
        fmt::print(stderr, "calibrate: {:3.0f} % {}\n", done * 100, what);
        return;
    }
    constexpr int width = 30;
    const auto full = static_cast<std::size_t>(done * width);
    fmt::print(stderr,
               "\r[{}{}] {:3.0f} % {:24}",
               std::string(full, '#'),
               std::string(width - full, '.'),
               done * 100,
               what);
    if (done >= 1) {
        fmt::print(stderr, "\n");
    }
    std::fflush(stderr);
}

calibrate::RecordedPhases record_getattr(dev_t device,
                                         pid_t daemon,
                                         const std::function<void()>& calls) {
    measure::RequestRecorder recorder(device, daemon, -1);
    recorder.start();
    calls();
    const measure::Recorded recorded = recorder.stop();
    const report::Request* request = report::find(recorded.requests, "GETATTR");
    if (request == nullptr || !request->phases) {
        throw Unavailable("calibrate: the recorder saw no requests");
    }
    const report::Phases& phases = *request->phases;
    return {*phases.queue * 1e9, *phases.processing * 1e9, *phases.reply * 1e9};
}

int calibrate(const CalibrateOptions& options) {
    calibrate::Plan plan = plan_of_calibration(options.daemon);
    if (options.exact) {
        plan.exact = true;
        plan.record = record_getattr;
        plan.repeats = 3;
        plan.seconds = 0.008;
        plan.wake_ups = 20;
    } else if (options.quick) {
        plan.repeats = 11;
        plan.seconds = 0.03;
        plan.wake_ups = 40;
    }
    calibrate::Profile profile;
    try {
        profile = calibrate::measure_ladder(plan, show_progress);
    } catch (const Unavailable&) {
        throw;
    } catch (const std::runtime_error& error) {
        throw Unavailable(fmt::format("calibrate: {}", error.what()));
    }
    const std::string command = std::string("fusesim calibrate") + (options.exact   ? " --exact"
                                                                    : options.quick ? " --quick"
                                                                                    : "");
    write_or_print(options.out, calibrate::profile_yaml(profile, command, FUSESIM_VERSION));
    fmt::print(stderr,
               "\nnullfs and its caller on one core, whole against the sum of its parts:\n{}",
               calibrate::check_table(profile));
    const bool missed = calibrate::worst_error(profile) > tolerance;
    fmt::print(stderr,
               "{}\n",
               missed ? "The parts do not explain the whole within 3 %: was the machine busy?"
                      : "The parts explain the whole within 3 %.");
    return missed ? Exit::missed : Exit::fine;
}

}  // namespace

void add_calibrate(CLI::App& program, int& status) {
    CLI::App* command = program.add_subcommand(
        "calibrate", "measure this machine's costs and write a host profile");
    auto options = std::make_shared<CalibrateOptions>();
    command->add_option("--out", options->out, "host profile to write; - is standard output")
        ->required();
    command->add_option("--daemon", options->daemon, "the nullfs program");
    command->add_flag("--quick", options->quick, "under 40 s instead of some minutes");
    command->add_flag("--exact",
                      options->exact,
                      "short: for machines whose clock counts instructions (kernel-ref/guest)");
    command->callback([options, &status] { status = calibrate(*options); });
}

}  // namespace fusesim::commands
