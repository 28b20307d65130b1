#pragma once

#include "bench.h"
#include "mounts.h"
#include "stamps.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::calibrate {

/// A null file system of the reference daemons, mounted while this object lives.
class NullMount {
  public:
    struct Setup {
        int policy = SCHED_OTHER;         ///< scheduling policy of the daemon
        std::filesystem::path daemon;     ///< program
        std::filesystem::path directory;  ///< where to make mount point and log
        int core = 0;                     ///< the daemon's; -1 for any
        bool stamped = false;
        bool multi_threaded = false;
        std::string options = "direct_io,attr_timeout=0";
    };

    explicit NullMount(const Setup& setup);
    ~NullMount();
    NullMount(const NullMount&) = delete;
    NullMount& operator=(const NullMount&) = delete;

    std::string point() const { return mount_->point().string(); }

    std::string file() const { return (mount_->point() / "file0").string(); }

    dev_t device() const { return mount_->device(); }

    pid_t daemon() const { return mount_->pid(); }

    /// How often the daemon's first thread has gone to sleep so far.
    double sleeps() const;

    /// CPU time of the daemon so far.
    double cpu_ns() const;

    /// See real::DaemonMount.
    void forget_unused() { mount_->forget_unused(); }

    /// Forgets what the daemon has logged.
    void clear();

    /// What the daemon served since, in its order.
    std::vector<stamps::Served> served() const;

  private:
    void map_log();

    std::filesystem::path log_path_;
    std::unique_ptr<real::DaemonMount> mount_;
    stamps::Log* log_ = nullptr;
    std::size_t log_bytes_ = 0;
};

}  // namespace fusesim::calibrate
