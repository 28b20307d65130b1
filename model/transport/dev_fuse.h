#pragma once

#include "sim/wait_queue.h"
#include "transport/transport.h"

#include <cstdint>
#include <vector>

namespace fusesim::transport {

/// Settings of the path through /dev/fuse that the daemon chooses.
struct DevFuseConfig {
    bool splice_read = false;   ///< requests are spliced into a pipe and read from it
    bool splice_write = false;  ///< answers of two pages or more leave through a pipe
    bool splice_move = false;   ///< spliced whole pages change owner instead of being copied
    std::uint32_t read_buffer = 0x21000;  ///< bytes; libfuse: max_write + 4 KiB
};

/// Requests cross the kernel border as reads and writes of /dev/fuse. Other transports are made of
/// this one: each keeps /dev/fuse for what it does not carry itself.
class DevFuse : public Transport, protected fuse::Listener {
  public:
    DevFuse(host::Cpu& cpu,
            const fuse::KernelBehaviour& kernel,
            const fuse::ConnectionConfig& connection,
            const DevFuseConfig& config);

    sim::Task<std::int32_t> call(host::Thread& thread, Call& call) final;
    sim::Task<std::int32_t> call_background(host::Thread& thread, Call& call) final;
    sim::Task<> wait_for(host::Thread& thread, Call& call) final;
    void forget(std::uint64_t nodeid, std::uint64_t nlookup, std::uint32_t message = 0) override;

    bool congested() const override { return connection_.congested(); }

    std::vector<Post> posts() const override { return {Post{}}; }

    Fd clone_fd() final { return connection_.clone_fd(); }

    void close(Fd fd) final;

    /// read(2) on /dev/fuse.
    sim::Task<fuse::Taken> receive(host::Thread& worker, Fd fd) override;
    /// writev(2) of an answer.
    sim::Task<> reply(host::Thread& worker, Fd fd, Call& call) override;

    void signal_workers() final { wake_all_readers(); }

    void abort() final { connection_.abort(); }

    std::uint64_t waiting() const final { return connection_.num_waiting(); }

    std::optional<sim::Time> oldest() const final;

    fuse::Connection& connection() { return connection_; }

    const RequestStatistics& statistics() const final { return statistics_; }

    void keep_requests(std::size_t most) final { statistics_.keep(most); }

    host::Cpu& cpu() const final { return cpu_; }

    std::vector<const sim::Station*> stations() const final { return {&background_, &queue_}; }

    void begin_window(sim::Time at) override;
    void check(sim::Time at) const override;

  protected:
    // What other transports do otherwise.

    /// Chooses the channel of a request; before the gate.
    virtual void route(const host::Thread&, Call&) {}

    /// A request was handed over by its caller.
    virtual void handed_over(host::Thread&, Call&) {}

    // Of transports whose callers and workers look for a while before they sleep (polls_).
    virtual sim::Task<> poll_answer(host::Thread& thread, Call& call);
    /// True if there is something to receive, or never will be.
    virtual sim::Task<bool> poll_request(host::Thread& worker, Fd fd);

    /// The caller has its answer.
    virtual void answered(Call&) {}

    /// Where the workers of a descriptor sleep.
    virtual sim::WaitQueue& readers(Fd) { return readers_; }

    /// Where callers sleep until a request may pass the gate.
    virtual sim::WaitQueue& gate(const Call&) { return blocked_; }

    /// What a killed worker receives.
    static fuse::Taken interrupted();

    /// The daemon has the request; false if it is gone.
    bool has_it(fuse::Request& request);

    /// A message that is no request was taken.
    void count_taken(const fuse::Taken& taken);

    void charge_reply(host::Thread& worker, const Call& call);

    sim::Time now() const { return cpu_.engine().now(); }

    const host::Costs& costs() const { return cpu_.costs(); }

    void wake_one_reader() override { readers_.wake_one(); }

    void wake_all_readers() override { readers_.wake_all(); }

    void wake_all_blocked() override { blocked_.wake_all(); }

  private:
    void request_queued(fuse::Request& request) override;
    void request_dropped(fuse::Request& request) override;

    void wake_one_blocked() override { blocked_.wake_one(); }

    sim::Task<std::int32_t> pass_gate(host::Thread& thread, Call& call);
    void charge_read(host::Thread& worker, const fuse::Taken& taken);

    host::Cpu& cpu_;

  protected:
    DevFuseConfig config_;
    bool polls_ = false;
    sim::WaitQueue readers_;
    fuse::Connection connection_;
    RequestStatistics statistics_;

  private:
    sim::WaitQueue blocked_;
    sim::Station background_;  // created until queued
    sim::Station queue_;       // queued until taken
};

}  // namespace fusesim::transport
