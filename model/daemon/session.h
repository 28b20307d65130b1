#pragma once

#include "daemon/file_system.h"
#include "host/cpu.h"
#include "host/mutex.h"
#include "sim/statistics.h"
#include "sim/task.h"
#include "transport/transport.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::daemon {

/// How the library's loop runs. -1 is "without limit".
struct SessionConfig {
    bool multi_threaded = true;
    int max_threads = 10;                ///< libfuse 3.12 and later; -1 before
    int max_idle_threads = -1;           ///< idle workers beyond this many exit; 10 before 3.12
    bool clone_fd = false;               ///< each worker reads from a clone of /dev/fuse of its own
    host::Affinity affinity;             ///< cores of all workers; empty: any
    bool forgets_count_as_work = false;  ///< true with splice-read buffers: fuse_loop_mt.c
};

/// A libfuse session: its workers and the rules by which their number grows and shrinks (models
/// fuse_session_loop() and both generations of fuse_session_loop_mt()), and those of transports
/// that have queues of their own.
class Session {
  public:
    Session(transport::Transport& dev, FileSystem& file_system, const SessionConfig& config);

    // Signals to the whole process, from outside of any thread's step.

    /// SIGSTOP, SIGCONT.
    void stop();
    void go_on();
    /// SIGKILL: once the last worker has ended, what it had in hand with a disk first, the
    /// connection is aborted.
    void kill();

    std::size_t most_workers() const { return most_workers_; }

    sim::Time cpu_time(host::Work work) const;

    const sim::Station& station() const { return station_; }

    void begin_window(sim::Time now) { station_.begin_window(now); }

    void check(sim::Time now) const { station_.check(now); }

  private:
    using Fd = transport::Transport::Fd;

    /// Workers that wait at the same post.
    struct Pool {
        Pool(sim::Engine& engine, const transport::Post& at)
            : post(at), mutex(engine, "the lock of the session loop") {}

        transport::Post post;
        bool may_grow = false;
        int limit = 1;      ///< of workers; -1: without
        host::Mutex mutex;  ///< the one lock of a multi-threaded loop
        std::size_t workers = 0;
        std::size_t most_workers = 0;
        int available = 0;  // libfuse: numavail
    };

    struct Worker {
        Pool& pool;
        std::unique_ptr<host::Thread> thread;
        Fd fd = 0;
        bool own_fd = false;  ///< closes it on leaving
    };

    void start_worker(Pool& pool);
    host::Affinity affinity_at(const transport::Post& post) const;
    sim::Task<> loop(Worker& worker);
    sim::Task<> serve(Worker& worker, const fuse::Taken& taken);

    transport::Transport& dev_;
    FileSystem& file_system_;
    SessionConfig config_;
    std::vector<std::unique_ptr<Pool>> pools_;
    std::vector<std::unique_ptr<Worker>> workers_;
    unsigned most_workers_ = 0;  // sum of the pools' most
    std::size_t alive_ = 0;
    bool killed_ = false;
    sim::Station station_;
};

}  // namespace fusesim::daemon
