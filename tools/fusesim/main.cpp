#include "commands.h"
#include "config/error.h"
#include "config/nearest.h"

#include <systemc>

#include <CLI/CLI.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <string>
#include <vector>

using namespace fusesim;

namespace {

// All commands, in the order of --help.
const std::initializer_list<commands::Add> all_commands = {
    commands::add_run,      commands::add_measure,    commands::add_replay,
    commands::add_sweep,    commands::add_capacity,   commands::add_advise,
#ifdef FUSESIM_RECORDER
    commands::add_record,
#endif
    commands::add_fit,      commands::add_trace,      commands::add_calibrate,
    commands::add_validate, commands::add_doctor,     commands::add_compare,
    commands::add_report,   commands::add_export,     commands::add_check,
    commands::add_describe, commands::add_list,       commands::add_schema,
    commands::add_man,      commands::add_completion,
};

/// CLI11 says no more than that a command is missing; users who mistyped want to know which.
void check_command(const CLI::App& program, int argc, char** argv) {
    if (argc < 2 || argv[1][0] == '-') {
        return;
    }
    std::vector<std::string> names;
    for (const CLI::App* command : program.get_subcommands({})) {
        if (command->get_name() == argv[1]) {
            return;
        }
        names.push_back(command->get_name());
    }
    const std::string near = config::nearest(argv[1], names);
    throw config::Error(
        {"command line"},
        std::string("there is no command '") + argv[1] + "'",
        near.empty() ? "fusesim --help lists them" : "did you mean '" + near + "'?");
}

int run(int argc, char** argv) {
    CLI::App program{"fusesim predicts how long requests take through Linux FUSE"};
    program.name("fusesim");
    program.set_version_flag("--version", std::string("fusesim ") + FUSESIM_VERSION);
    program.require_subcommand(1);
    int status = commands::fine;
    for (const commands::Add add : all_commands) {
        add(program, status);
    }
    check_command(program, argc, argv);
    try {
        program.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return program.exit(error) == 0 ? commands::fine : commands::bad_input;
    }
    return status;
}

}  // namespace

/// Called by SystemC once it is set up.
int sc_main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const config::Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return commands::bad_input;
    } catch (const commands::Unavailable& error) {
        std::fprintf(stderr, "fusesim: %s\n", error.what());
        return commands::unavailable;
    }
}

/// SystemC would print its banner otherwise, and standard output is for data.
int main(int argc, char** argv) {
    setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
    return sc_core::sc_elab_and_sim(argc, argv);
}
