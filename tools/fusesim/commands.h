#pragma once

#include <CLI/CLI.hpp>

#include <stdexcept>

namespace fusesim::commands {

/// What a command tells the shell; scripts rely on these numbers.
enum Exit : int {
    fine = 0,
    missed = 1,      ///< a threshold, tolerance or SLO is missed
    bad_input = 2,   ///< the user's input is wrong
    deadlock = 3,    ///< the simulated system waits for itself
    unavailable = 4  ///< this machine lacks something that the command needs
};

/// This machine lacks something: what() says what, and how to get it.
class Unavailable : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Each command adds its subcommand to the program and leaves its exit code in `status`.
using Add = void (*)(CLI::App& program, int& status);

void add_advise(CLI::App& program, int& status);
void add_calibrate(CLI::App& program, int& status);
void add_capacity(CLI::App& program, int& status);
void add_doctor(CLI::App& program, int& status);
void add_check(CLI::App& program, int& status);
void add_completion(CLI::App& program, int& status);
void add_compare(CLI::App& program, int& status);
void add_describe(CLI::App& program, int& status);
void add_export(CLI::App& program, int& status);
void add_fit(CLI::App& program, int& status);
void add_list(CLI::App& program, int& status);
void add_man(CLI::App& program, int& status);
void add_measure(CLI::App& program, int& status);
void add_record(CLI::App& program, int& status);
void add_replay(CLI::App& program, int& status);
void add_report(CLI::App& program, int& status);
void add_run(CLI::App& program, int& status);
void add_schema(CLI::App& program, int& status);
void add_sweep(CLI::App& program, int& status);
void add_trace(CLI::App& program, int& status);
void add_validate(CLI::App& program, int& status);

}  // namespace fusesim::commands
