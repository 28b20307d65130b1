#pragma once

#include "vfs.h"

#include <filesystem>

namespace fusesim::calibrate {

/// What the log of a daemon with stamps adds to each request, in nanoseconds.
double append_cost();

/// What the library and the null file system compute for each kind of request, in user mode:
/// nanoseconds by opcode in lower case, and lookup_missing, opendir_entry, readdir_entry,
/// readdirplus_entry. `loop` is the part of each that comes after its reply. Daemon and caller are
/// on one core.
Times measure_library(const std::filesystem::path& daemon,
                      const std::filesystem::path& directory,
                      int core,
                      double seconds);

}  // namespace fusesim::calibrate
