#pragma once

#include "transport/dev_fuse.h"

#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace fusesim::transport {

/// Settings of the rings that the daemon chooses.
struct UringConfig {
    unsigned io_uring_q_depth = 8;  ///< entries of each core's queue; libfuse's default
};

/// Requests cross the kernel border through io_uring: a queue for each core, each served by a
/// thread of its own that commits answers and fetches requests by one io_uring_enter(2) (models
/// fs/fuse/dev_uring.c with libfuse's fuse_uring_thread()). FORGET and INTERRUPT stay on /dev/fuse.
class Uring final : public DevFuse {
  public:
    /// The host's costs must have `uring`.
    Uring(host::Cpu& cpu,
          const fuse::KernelBehaviour& kernel,
          fuse::ConnectionConfig connection,
          const DevFuseConfig& dev,
          const UringConfig& config);

    std::vector<Post> posts() const override;
    std::optional<sim::Time> library_time(Fd fd) const override;
    /// Requests that have come on the queue: each is handled before the thread enters the kernel
    /// again.
    sim::Task<fuse::Taken> receive(host::Thread& worker, Fd fd) override;
    /// Prepares the submission; the next receive() hands it over.
    sim::Task<> reply(host::Thread& worker, Fd fd, Call& call) override;
    void check(sim::Time at) const override;

    /// Entries of a queue that hold no request.
    unsigned available(unsigned queue) const { return queues_[queue]->available; }

  private:
    struct Queue {
        Queue(sim::Engine& engine, Fd descriptor, unsigned depth)
            : fd(descriptor), available(depth), waiting(engine, "a request on a ring") {}

        Fd fd;
        unsigned available;
        std::size_t task_work = 0;      // requests given to an entry, for the thread to fetch
        std::deque<Call*> completions;  // fetched, for the thread to handle
        std::vector<Call*> prepared;    // answers not yet committed
        sim::WaitQueue waiting;
    };

    Queue* queue_of(Fd fd) { return fd == 0 ? nullptr : queues_[fd - first_].get(); }

    void route(const host::Thread& thread, Call& call) override;
    void handed_over(host::Thread& thread, Call& call) override;

    void wake_channel_reader(std::uint32_t) override {}  // see handed_over()

    void wake_all_readers() override;
    bool has_unassigned(const Queue& queue) const;
    sim::Task<> fetch(host::Thread& worker, Queue& queue);
    sim::Task<> do_task_work(host::Thread& worker, Queue& queue);
    sim::Task<> commit(host::Thread& worker, Queue& queue);

    const host::UringCosts& ring_costs() const { return *costs().uring; }

    unsigned depth_;
    Fd first_ = 0;
    std::vector<std::unique_ptr<Queue>> queues_;  // by core
};

}  // namespace fusesim::transport
