#pragma once

#include "options.h"

namespace fusesim::daemons {

/// Runs a file system that stores names but no data, until it is unmounted or told to stop:
/// reads give zeros, writes only extend the size. Returns the exit code.
int run_null_filesystem(int argc, char** argv, const Program& program);

}  // namespace fusesim::daemons
