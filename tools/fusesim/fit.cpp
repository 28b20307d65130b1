#include "workload/fit.h"

#include "commands.h"
#include "progress.h"
#include "report/numbers.h"
#include "write_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

namespace fusesim::commands {

namespace {

/// Recorded and fitted means, so that nobody has to trust the fit.
std::string summary(const workload::DaemonFit& fit) {
    using report::time_text;
    report::Table table({"request", "count", "", "recorded mean", "fitted mean", "fitted as"}, 1);
    for (const auto& [opcode, service, size_effect] : fit.opcodes) {
        const auto add = [&](std::string_view name,
                             const std::string& count,
                             const char* what,
                             const workload::FittedTime& time) {
            const auto points = time.distribution.points().size();
            table.add({std::string(name),
                       count,
                       what,
                       time_text(time.recorded_mean_s),
                       time_text(time.distribution.mean().seconds()),
                       points == 0 ? "constant" : fmt::format("{} quantiles", points)});
        };
        add(fuse::to_text(opcode), report::count_text(service.count), "cpu", service.cpu);
        if (service.blocked) {
            add("", "", "blocked", *service.blocked);
        }
    }
    return table.text();
}

}  // namespace

void add_fit(CLI::App& program, int& status) {
    CLI::App& command =
        *program.add_subcommand("fit", "service times of the daemon that a trace was recorded of");

    struct Options {
        std::string trace;
        std::string out;
    };

    auto options = std::make_shared<Options>();
    command.add_option("TRACE", options->trace, "recording made by `fusesim record`")->required();
    command
        .add_option(
            "--out", options->out, "file for `daemon: {from: FILE}` to write, or - for stdout")
        ->required()
        ->type_name("DAEMON.yaml");
    command.callback([options, &status] {
        trace::Reader reader(options->trace);
        Progress progress("reading");
        const workload::DaemonFit fit =
            workload::fit_daemon(reader, [&progress](double share) { progress.show(share); });
        progress.clear();
        for (const std::string& warning : workload::fit_warnings(fit)) {
            fmt::print(stderr, "warning: {}\n", warning);
        }
        const std::string yaml =
            workload::daemon_yaml(fit,
                                  reader,
                                  std::filesystem::path(options->trace).filename().string(),
                                  std::string("fusesim ") + FUSESIM_VERSION);
        write_or_print(options->out, yaml);
        if (options->out != "-") {
            fmt::print("{}", summary(fit));
        }
        status = fine;
    });
}

}  // namespace fusesim::commands
