#pragma once

#include "bench.h"
#include "mounts.h"
#include "vfs.h"

#include <filesystem>
#include <memory>

namespace fusesim::calibrate {

/// A stackfs with passthrough over files of `directory`, on the caller's core; reads and writes of
/// its open files never reach it.
class PassthroughMount {
  public:
    PassthroughMount(const std::filesystem::path& stackfs,
                     const std::filesystem::path& directory,
                     int core);

    /// What a call costs through the mount beyond the same one on the file below:
    /// passthrough_read, passthrough_write, of 4 KiB through 256 KiB.
    Times measure(double seconds) const;

    /// Whether the kernel has it.
    static bool available();

  private:
    std::filesystem::path below_;
    std::unique_ptr<real::DaemonMount> mount_;
};

}  // namespace fusesim::calibrate
