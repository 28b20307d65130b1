#pragma once

#include "process.h"

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::real {

/// A mount table of this process's own with a small tmpfs to mount in, so that nothing stays
/// behind however the process ends. The former table and working directory are back when this
/// object is gone. The tmpfs hides a folder in which neither this program nor the working directory
/// nor any of `needed` lies. Only for processes with one thread. Throws std::system_error where
/// that is not allowed.
class PrivateMounts {
  public:
    explicit PrivateMounts(const std::vector<std::filesystem::path>& needed = {});
    ~PrivateMounts();
    PrivateMounts(const PrivateMounts&) = delete;
    PrivateMounts& operator=(const PrivateMounts&) = delete;

    const std::filesystem::path& directory() const { return directory_; }

  private:
    std::filesystem::path directory_;
    int former_table_ = -1;
    int former_directory_ = -1;
};

/// A file system of the kernel's own, such as tmpfs, that is mounted while this object lives.
class KernelMount {
  public:
    KernelMount(std::filesystem::path point, const char* type, const std::string& options = "");
    ~KernelMount();
    KernelMount(const KernelMount&) = delete;
    KernelMount& operator=(const KernelMount&) = delete;

    const std::filesystem::path& point() const { return point_; }

  private:
    std::filesystem::path point_;
};

/// A FUSE daemon whose file system is mounted while this object lives. The daemon ends with this
/// process, too.
class DaemonMount {
  public:
    struct Setup {
        std::vector<std::string> command;  ///< program and options, without the mount point
        std::filesystem::path point;       ///< made, and removed again
        std::vector<int> cores;            ///< that the daemon may use; empty: as this thread
        int policy = 0;                    ///< of the scheduler, SCHED_OTHER
        std::filesystem::path log;         ///< for what it prints; empty: as this process
    };

    explicit DaemonMount(const Setup& setup);
    ~DaemonMount();
    DaemonMount(const DaemonMount&) = delete;
    DaemonMount& operator=(const DaemonMount&) = delete;

    const std::filesystem::path& point() const { return point_; }

    pid_t pid() const { return daemon_->pid(); }

    /// st_dev of what is mounted.
    dev_t device() const { return device_; }

    /// Whether the daemon has ended by itself.
    bool ended() { return daemon_->ended(); }

    /// Makes the kernel forget every name and file of the mount that nobody has open, with their
    /// attributes and pages.
    void forget_unused();

  private:
    void wait_until_mounted(const Setup& setup);

    std::filesystem::path point_;
    dev_t device_ = 0;
    std::unique_ptr<Child> daemon_;
};

/// A reference daemon by its name: beside the program, where the build puts it, or where it is
/// installed. Empty if there is none.
std::filesystem::path find_daemon(const std::string& name);

}  // namespace fusesim::real
