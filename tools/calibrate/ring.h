#pragma once

#include "null_mount.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace fusesim::calibrate {

/// The null file system over io_uring, stamped, on the caller's core; it is a batch task and the
/// caller must be one. The fuse module's enable_uring is on meanwhile and afterwards as it was.
class RingMount {
  public:
    RingMount(const std::filesystem::path& daemon,
              const std::filesystem::path& directory,
              int core);
    ~RingMount();
    RingMount(const RingMount&) = delete;
    RingMount& operator=(const RingMount&) = delete;

    /// The pieces of fstat and of direct reads and writes: "ring getattr go", ...
    std::map<std::string, double> measure(double seconds) const;

    /// Whether the kernel has FUSE over io_uring.
    static bool available();

  private:
    int core_;
    std::string parameter_;
    std::unique_ptr<NullMount> mount_;
};

/// What the ladder knows by then of requests through /dev/fuse, in nanoseconds.
struct ThroughDevFuse {
    double go = 0;  ///< pieces of fstat
    double back = 0;
    double fuse_read = 0;
    double wake = 0;
    double page_resume = 0;
    double copy = 0;    ///< of a page
    double append = 0;  ///< what the daemon's log adds to a request
};

/// The costs of `uring` in the host profile, from what measure() gave.
std::map<std::string, double> solve_ring(const std::map<std::string, double>& ring,
                                         const ThroughDevFuse& dev);

}  // namespace fusesim::calibrate
