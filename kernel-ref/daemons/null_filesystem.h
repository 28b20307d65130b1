#pragma once

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>

#include <cstdint>

namespace fusesim::daemons {

/// What a daemon does for each request before it answers.
struct Service {
    double seconds = 0;        ///< mean service time
    bool spin = false;         ///< use the processor instead of sleeping
    bool exponential = false;  ///< draw the time; fixed otherwise
    unsigned seed = 1;
};

/// Runs a file system that stores names but no data, until it is unmounted or told to stop:
/// reads give zeros, writes only extend the size. Returns the exit code.
int run_null_filesystem(int argc, char** argv, const char* name, bool takes_service_time);

}  // namespace fusesim::daemons
