#pragma once

#include "fuse/connection.h"
#include "host/cpu.h"
#include "sim/statistics.h"
#include "sim/task.h"
#include "transport/message.h"
#include "transport/request_statistics.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace fusesim::transport {

/// Where workers of the daemon wait for requests.
struct Post {
    fuse::Connection::Fd fd = 0;
    /// The library's own loop serves it, with as many workers as that keeps; else `workers` do, and
    /// up to `most_workers` once all are busy.
    bool library_loop = true;
    unsigned workers = 1;
    unsigned most_workers = 1;
    /// Its workers stay on this core where the daemon may use it; -1: wherever the daemon may.
    int core = -1;
};

/// How requests cross the kernel border. Whoever calls pays: the caller's thread for queueing and
/// waiting, the worker's for fetching, copying and ending.
class Transport {
  public:
    using Fd = fuse::Connection::Fd;

    virtual ~Transport() = default;

    // --- callers; costs of VFS and of building the request are theirs

    /// Sends a request and waits until its answer is in. 0 or a negative errno.
    virtual sim::Task<std::int32_t> call(host::Thread& thread, Call& call) = 0;
    /// Hands over a request that nobody waits for here; may sleep at the gate. 0 or an errno.
    virtual sim::Task<std::int32_t> call_background(host::Thread& thread, Call& call) = 0;
    /// Sleeps until a request handed over in the background has ended.
    virtual sim::Task<> wait_for(host::Thread& thread, Call& call) = 0;
    /// Gives back lookups of an inode; never waits. See fuse::Forget for `message`.
    virtual void forget(std::uint64_t nodeid, std::uint64_t nlookup, std::uint32_t message = 0) = 0;
    /// Readahead and writeback hold back.
    virtual bool congested() const = 0;

    // --- workers

    virtual std::vector<Post> posts() const = 0;
    /// A descriptor of its own for one more worker of a post.
    virtual Fd clone_fd() = 0;
    virtual void close(Fd fd) = 0;
    /// The next message: sleeps until there is one. `failed` ends the worker; so does being killed.
    virtual sim::Task<fuse::Taken> receive(host::Thread& worker, Fd fd) = 0;
    /// The library's own work on a request that came there, unless that is libfuse's.
    virtual std::optional<sim::Time> library_time(Fd) const { return std::nullopt; }

    /// The answer; the call may be gone afterwards.
    virtual sim::Task<> reply(host::Thread& worker, Fd fd, Call& call) = 0;

    // --- when the daemon fails

    /// Workers that wait for a message look up: who was killed gets `failed`.
    virtual void signal_workers() = 0;
    /// fuse_abort_conn(): all requests end with ECONNABORTED. No worker may serve one any more.
    virtual void abort() = 0;
    /// Requests alive and callers at the gate: /sys/fs/fuse/connections/N/waiting.
    virtual std::uint64_t waiting() const = 0;
    /// When the oldest unanswered request was created.
    virtual std::optional<sim::Time> oldest() const = 0;

    // --- a run

    virtual host::Cpu& cpu() const = 0;
    virtual const RequestStatistics& statistics() const = 0;
    /// Keeps the first so many requests of the window, with their times.
    virtual void keep_requests(std::size_t most) = 0;
    virtual std::vector<const sim::Station*> stations() const = 0;
    virtual void begin_window(sim::Time at) = 0;
    /// Ends of run: throws std::logic_error if a counter, list or station contradicts itself.
    virtual void check(sim::Time at) const = 0;
};

}  // namespace fusesim::transport
