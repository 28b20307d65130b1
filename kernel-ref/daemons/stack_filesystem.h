#pragma once

#include "options.h"

namespace fusesim::daemons {

/// Runs a file system that passes every request to a directory below, until it is unmounted or
/// told to stop. Returns the exit code.
int run_stack_filesystem(int argc, char** argv, const Program& program);

/// The same through libfuse's path API. `options` and `args` have been read.
int run_stack_by_path(fuse_args& args, const Program& program, const Options& options);

}  // namespace fusesim::daemons
