#include "commands.h"
#include "config/error.h"
#include "recorder.h"
#include "stop.h"

#include <signal.h>

#include <charconv>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::commands {

namespace {

/// "10s", "1.5 min", "500ms".
double duration_of(const std::string& text) {
    double number = 0;
    const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    std::string unit(rest, text.data() + text.size());
    unit.erase(0, unit.find_first_not_of(' '));
    const double scale = unit == "ms" ? 1e-3 : unit == "s" ? 1 : unit == "min" ? 60 : 0;
    if (failed != std::errc{} || scale == 0 || number <= 0) {
        throw config::Error({"command line"},
                            "--duration " + text + " is not a duration",
                            "a number above 0 with its unit: 500ms, 10s or 2min");
    }
    return number * scale;
}

struct Arguments {
    record::Options options;
    std::string layer = "fuse";
    std::string duration;
    std::vector<std::string> notes;
    bool no_bpf = false;
};

int run(Arguments& arguments) {
    record::Options& options = arguments.options;
    if (!arguments.duration.empty()) {
        options.duration_s = duration_of(arguments.duration);
    }
    options.layer = arguments.layer == "fuse" ? trace::Layer::fuse : trace::Layer::syscall;
    options.bpf = !arguments.no_bpf;
    for (const std::string& note : arguments.notes) {
        const std::size_t equals = note.find('=');
        if (equals == 0 || equals == std::string::npos) {
            throw config::Error({"command line"}, "--note " + note + " is not KEY=VALUE");
        }
        options.notes.emplace_back("note." + note.substr(0, equals), note.substr(equals + 1));
    }
    options.tool = std::string("fusesim record ") + FUSESIM_VERSION;
    try {
        record::record(options, stop_on({SIGINT, SIGTERM}));
    } catch (const record::Unavailable& error) {
        throw Unavailable(error.what());
    }
    return fine;
}

}  // namespace

void add_record(CLI::App& program, int& status) {
    CLI::App* command = program.add_subcommand(
        "record", "records the requests of a FUSE mount, without touching its daemon");
    auto arguments = std::make_shared<Arguments>();
    command->add_option("--mount", arguments->options.mount, "mount point")
        ->required()
        ->type_name("PATH");
    command->add_option("--out", arguments->options.out, "trace to write")
        ->required()
        ->type_name("TRACE");
    command->add_option("--layer", arguments->layer, "fuse: requests; syscall: application calls")
        ->check(CLI::IsMember({"fuse", "syscall"}))
        ->capture_default_str();
    command->add_option("--duration", arguments->duration, "end after this time, e.g. 10s");
    command
        ->add_option(
            "--note", arguments->notes, "a fact for the trace's header, e.g. workload='git clone'")
        ->type_name("KEY=VALUE");
    command->add_flag("--no-bpf",
                      arguments->no_bpf,
                      "use the kernel's text trace only: no offsets, names, taken, replied");
    command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace fusesim::commands
