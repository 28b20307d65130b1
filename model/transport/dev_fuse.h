#pragma once

#include "fuse/connection.h"
#include "host/cpu.h"
#include "sim/statistics.h"
#include "sim/task.h"
#include "sim/wait_queue.h"
#include "transport/message.h"
#include "transport/request_statistics.h"

#include <cstdint>

namespace fusesim::transport {

/// Settings of the path through /dev/fuse that the daemon chooses.
struct DevFuseConfig {
    bool splice_read = false;   ///< requests are spliced into a pipe and read from it
    bool splice_write = false;  ///< answers of two pages or more leave through a pipe
    bool splice_move = false;   ///< spliced whole pages change owner instead of being copied
    std::uint32_t read_buffer = 0x21000;  ///< bytes; libfuse: max_write + 4 KiB
};

/// Requests cross the kernel border as reads and writes of /dev/fuse. Whoever calls pays: the
/// caller's thread for queueing and waiting, the worker's for reading, copying and ending.
class DevFuse final : private fuse::Listener {
  public:
    using Fd = fuse::Connection::Fd;

    DevFuse(host::Cpu& cpu,
            const fuse::KernelBehaviour& kernel,
            const fuse::ConnectionConfig& connection,
            const DevFuseConfig& config);

    // --- callers; costs of VFS and of building the request are theirs

    /// Sends a request and sleeps until its answer is in. 0 or a negative errno.
    sim::Task<std::int32_t> call(host::Thread& thread, Call& call);
    /// Hands over a request that nobody waits for here; may sleep at the gate. 0 or an errno.
    sim::Task<std::int32_t> call_background(host::Thread& thread, Call& call);
    /// Sleeps until a request handed over in the background has ended.
    sim::Task<> wait_for(host::Thread& thread, Call& call);
    /// Gives back lookups of an inode; never waits. See fuse::Forget for `message`.
    void forget(std::uint64_t nodeid, std::uint64_t nlookup, std::uint32_t message = 0);

    // --- workers

    /// read(2) on /dev/fuse: sleeps until there is something to do. `failed` ends the worker.
    sim::Task<fuse::Taken> receive(host::Thread& worker, Fd fd);
    /// writev(2) of an answer.
    sim::Task<> reply(host::Thread& worker, Fd fd, Call& call);

    fuse::Connection& connection() { return connection_; }

    RequestStatistics& statistics() { return statistics_; }

    const RequestStatistics& statistics() const { return statistics_; }

    host::Cpu& cpu() const { return cpu_; }

    void begin_window(sim::Time at);
    /// Ends of run: throws std::logic_error if a counter, list or station contradicts itself.
    void check(sim::Time at) const;

    const sim::Station& background_station() const { return background_; }

    const sim::Station& queue_station() const { return queue_; }

  private:
    void request_queued(fuse::Request& request) override;

    void wake_one_reader() override { readers_.wake_one(); }

    void wake_all_readers() override { readers_.wake_all(); }

    void wake_one_blocked() override { blocked_.wake_one(); }

    void wake_all_blocked() override { blocked_.wake_all(); }

    sim::Task<std::int32_t> pass_gate(host::Thread& thread, Call& call);
    void charge_read(host::Thread& worker, const fuse::Taken& taken);
    void charge_reply(host::Thread& worker, const Call& call);

    sim::Time now() const { return cpu_.engine().now(); }

    host::Cpu& cpu_;
    DevFuseConfig config_;
    sim::WaitQueue readers_;
    sim::WaitQueue blocked_;
    fuse::Connection connection_;
    RequestStatistics statistics_;
    sim::Station background_;  // created until queued
    sim::Station queue_;       // queued until taken
};

}  // namespace fusesim::transport
