#pragma once

#include "config/map.h"
#include "sim/random.h"
#include "transport/dev_fuse.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace fusesim::transport {

/// Settings of ring channels in shared memory.
struct RingsConfig {
    /// How long callers poll: for completion_poll, or, as released, until the timer has ticked so
    /// often that completion_poll has surely passed.
    enum class PollClock { exact, jiffies };

    unsigned workers = 1;
    unsigned most_workers = 2;
    sim::Time completion_poll = sim::Time::from_ns(50'000);
    PollClock poll_clock = PollClock::jiffies;
    unsigned hz = 250;
    unsigned forget_entries = 4096;
};

void bind(config::Map& map, RingsConfig& config);

/// Requests cross the kernel border through memory that kernel and daemon share: a ring of requests
/// for each core, with workers pinned there. Callers poll for their answer, giving way to whoever
/// else wants their core, and sleep after a while; only then does answering take a system call.
/// Data still takes one, to be copied. Sources: README.md.
class Rings final : public DevFuse {
  public:
    Rings(host::Cpu& cpu,
          const fuse::KernelBehaviour& kernel,
          fuse::ConnectionConfig connection,
          const RingsConfig& config,
          std::uint64_t seed);

    std::vector<Post> posts() const override;
    void forget(std::uint64_t nodeid, std::uint64_t nlookup, std::uint32_t message = 0) override;
    bool congested() const override;
    sim::Task<fuse::Taken> receive(host::Thread& worker, Fd fd) override;
    sim::Task<> reply(host::Thread& worker, Fd fd, Call& call) override;

    /// FORGETs that found the ring of their channel full.
    std::uint64_t lost_forgets() const { return lost_forgets_; }

    /// Callers that slept, having polled in vain.
    std::uint64_t slept() const { return slept_; }

  private:
    struct Ring {
        Ring(sim::Engine& engine, Fd descriptor)
            : fd(descriptor),
              sleepers(engine, "a request on a ring channel"),
              gate(engine, "the background limit of a ring channel") {}

        Fd fd;
        sim::WaitQueue sleepers;  // workers
        sim::WaitQueue gate;
        std::deque<fuse::Forget> forgets;
        fuse::Forget taken_forget{};
        unsigned sync_sleeping = 0;  // callers
    };

    Ring& ring_of(Fd fd) { return *rings_[fd - first_]; }

    void route(const host::Thread& thread, Call& call) override;
    sim::Task<> poll_answer(host::Thread& thread, Call& call) override;
    void answered(Call& call) override;

    sim::WaitQueue& gate(const Call& call) override { return ring_of(call.channel).gate; }

    void wake_channel_reader(std::uint32_t fd) override { ring_of(fd).sleepers.wake_all(); }

    void wake_channel_blocked(std::uint32_t fd) override { ring_of(fd).gate.wake_one(); }

    void wake_all_readers() override;
    void wake_all_blocked() override;
    sim::Time end_of_poll() const;
    std::optional<fuse::Taken> next_forget(Ring& ring);

    RingsConfig settings_;
    Fd first_ = 0;
    std::vector<std::unique_ptr<Ring>> rings_;  // by core
    std::size_t next_ = 0;                      // of background requests
    sim::Random random_;
    std::uint64_t lost_forgets_ = 0;
    std::uint64_t slept_ = 0;
};

}  // namespace fusesim::transport
