#pragma once

#include "config/map.h"
#include "transport/dev_fuse.h"

#include <memory>
#include <vector>

namespace fusesim::transport {

/// Settings of several channels with adaptive waiting.
struct ChannelsConfig {
    enum class Policy { core, round_robin, least_pending };
    enum class Wait { event, busy, adaptive };

    unsigned count = 0;  ///< 0: one for each core
    Policy policy = Policy::core;
    unsigned workers = 1;  ///< of each channel
    Wait wait = Wait::adaptive;
    sim::Time busy_wait_period = sim::Time::from_ns(10'000);
    sim::Time event_wait_overhead = sim::Time::from_ns(5'000);
    double latency_weight = 0.125;
};

void bind(config::Map& map, ChannelsConfig& config);

/// Each channel is a pending and a processing queue with workers of its own, read and written as
/// /dev/fuse is. Callers and workers may wait busily before they sleep; whether they do is
/// predicted from the latency that the channel has shown. FORGET and INTERRUPT stay on /dev/fuse.
class Channels final : public DevFuse {
  public:
    Channels(host::Cpu& cpu,
             const fuse::KernelBehaviour& kernel,
             const fuse::ConnectionConfig& connection,
             const DevFuseConfig& dev,
             const ChannelsConfig& config);

    std::vector<Post> posts() const override;

    /// How often callers waited busily at first, and how often they slept at once.
    std::uint64_t busy_waits() const { return busy_waits_; }

    std::uint64_t event_waits() const { return event_waits_; }

  private:
    struct Channel {
        Channel(sim::Engine& engine, Fd descriptor)
            : fd(descriptor), readers(engine, "a request on a channel") {}

        Fd fd;
        sim::WaitQueue readers;
        double latency_s = 0;  // observed, a moving average
    };

    Channel& channel_of(Fd fd) { return *channels_[fd - first_]; }

    void route(const host::Thread& thread, Call& call) override;
    sim::Task<> poll_answer(host::Thread& thread, Call& call) override;
    sim::Task<bool> poll_request(host::Thread& worker, Fd fd) override;
    void answered(Call& call) override;

    sim::WaitQueue& readers(Fd fd) override {
        return fd < first_ ? DevFuse::readers(fd) : channel_of(fd).readers;
    }

    void wake_channel_reader(std::uint32_t fd) override { channel_of(fd).readers.wake_one(); }

    void wake_all_readers() override;
    bool waits_busily(const Channel& channel) const;

    ChannelsConfig settings_;
    Fd first_ = 0;
    std::vector<std::unique_ptr<Channel>> channels_;
    std::size_t next_ = 0;  // round_robin
    std::uint64_t busy_waits_ = 0;
    std::uint64_t event_waits_ = 0;
};

}  // namespace fusesim::transport
