#include "commands.h"
#include "config/error.h"

#include <systemc>

#include <CLI/CLI.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>

using namespace fusesim;

namespace {

// One line a command: the whole command line in one table.
const std::initializer_list<commands::Add> all_commands = {
    commands::add_run,
    commands::add_replay,
    commands::add_trace,
#ifdef FUSESIM_RECORDER
    commands::add_record,
#endif
};

int run(int argc, char** argv) {
    CLI::App program{"fusesim predicts how long requests take through Linux FUSE"};
    program.name("fusesim");
    program.set_version_flag("--version", std::string("fusesim ") + FUSESIM_VERSION);
    program.require_subcommand(1);
    int status = commands::fine;
    for (const commands::Add add : all_commands) {
        add(program, status);
    }
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
