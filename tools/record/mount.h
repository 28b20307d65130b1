#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace fusesim::record {

/// A mounted FUSE file system, found without a single call into it: it may hang.
struct Mount {
    std::string point;
    std::string fstype;
    std::string source;
    std::string options;  ///< of the mount, then of the file system
    unsigned major = 0;
    unsigned minor = 0;  ///< the connection's number below /sys/fs/fuse/connections

    /// As the kernel holds it, not as stat() tells it.
    std::uint32_t kernel_dev() const { return major << 20 | minor; }
};

/// The mount that `path` lies on. Throws config::Error if that is not a FUSE mount.
Mount find_mount(const std::string& path);

/// True until the last mount of the file system is gone.
bool is_alive(const Mount& mount);

/// True if `path`, or its directory if it does not exist yet, lies on the mount.
bool lies_on(const std::string& path, const Mount& mount);

/// Processes that hold a channel of the connection open. Empty where the kernel does not tell
/// (before 6.17).
std::vector<std::uint32_t> find_daemons(const Mount& mount);

/// "0-3,8": the CPUs that a thread may run on; "" if it is gone.
std::string affinity_of(pid_t tid);

/// Where threads may run: "0-1" if that is the same for all, else how many may run where.
class Placements {
  public:
    /// Looks at a thread when it is first named; it may be gone.
    void see(std::uint32_t tid);
    std::string text() const;

  private:
    std::unordered_set<std::uint32_t> seen_;
    std::map<std::string, unsigned> threads_;
};

using Facts = std::vector<std::pair<std::string, std::string>>;

/// What can be said of the mount and of one of its daemon's processes (0: unknown).
void describe_mount(const Mount& mount, Facts& facts);
void describe_daemon(std::uint32_t tgid, Facts& facts);

}  // namespace fusesim::record
