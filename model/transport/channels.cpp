#include "transport/channels.h"

#include <algorithm>

namespace fusesim::transport {

using host::Thread;
using sim::Time;

void bind(config::Map& map, ChannelsConfig& config) {
    using Policy = ChannelsConfig::Policy;
    using Wait = ChannelsConfig::Wait;
    const Time most = Time::from_seconds(1);
    map.field("count", config.count, 0, 1024, "channels; 0: one for each core");
    map.field("policy",
              config.policy,
              {{"core", Policy::core},
               {"round_robin", Policy::round_robin},
               {"least_pending", Policy::least_pending}},
              "which channel a request takes: of its caller's core, the next one, or that with the "
              "fewest requests waiting or being served");
    map.field("workers", config.workers, 1, 1024, "daemon threads of each channel");
    map.field(
        "wait",
        config.wait,
        {{"event", Wait::event}, {"busy", Wait::busy}, {"adaptive", Wait::adaptive}},
        "callers and workers sleep at once; wait busily first; or do what the latency observed "
        "suggests");
    map.field("busy_wait_period",
              config.busy_wait_period,
              Time(),
              most,
              "how long callers and workers wait busily before they sleep");
    map.field("event_wait_overhead",
              config.event_wait_overhead,
              Time(),
              most,
              "adaptive: with busy_wait_period, the latency below which they wait busily");
    map.field("latency_weight",
              config.latency_weight,
              0.001,
              1.0,
              "adaptive: of the newest latency in the moving average of a channel's");
}

Channels::Channels(host::Cpu& cpu,
                   const fuse::KernelBehaviour& kernel,
                   const fuse::ConnectionConfig& connection,
                   const DevFuseConfig& dev,
                   const ChannelsConfig& config)
    : DevFuse(cpu, kernel, connection, dev), settings_(config) {
    polls_ = true;
    const std::size_t count = config.count > 0 ? config.count : cpu.cores().size();
    for (std::size_t i = 0; i < count; ++i) {
        const Fd fd = connection_.add_channel();
        first_ = i == 0 ? fd : first_;
        channels_.push_back(std::make_unique<Channel>(cpu.engine(), fd));
    }
}

std::vector<Post> Channels::posts() const {
    std::vector<Post> posts{Post{}};
    for (const auto& channel : channels_) {
        posts.push_back({channel->fd, false, settings_.workers, settings_.workers, -1});
    }
    return posts;
}

void Channels::route(const Thread& thread, Call& call) {
    using Policy = ChannelsConfig::Policy;
    std::size_t choice = 0;
    switch (settings_.policy) {
        case Policy::core:
            choice = (thread.core() != nullptr ? thread.core()->id() : 0) % channels_.size();
            break;
        case Policy::round_robin:
            choice = next_;
            next_ = (next_ + 1) % channels_.size();
            break;
        case Policy::least_pending: {
            const auto present = [this](const auto& channel) {
                const fuse::ProcessingQueue& taken = connection_.processing(channel->fd);
                return connection_.input(channel->fd).pending() + taken.io() + taken.processing();
            };
            const auto least = std::min_element(
                channels_.begin(), channels_.end(), [&](const auto& a, const auto& b) {
                    return present(a) < present(b);
                });
            choice = static_cast<std::size_t>(least - channels_.begin());
            break;
        }
    }
    call.channel = channels_[choice]->fd;
}

void Channels::wake_all_readers() {
    DevFuse::wake_all_readers();
    for (const auto& channel : channels_) {
        channel->readers.wake_all();
    }
}

bool Channels::waits_busily(const Channel& channel) const {
    const double limit = (settings_.busy_wait_period + settings_.event_wait_overhead).seconds();
    return settings_.wait == ChannelsConfig::Wait::busy ||
           (settings_.wait == ChannelsConfig::Wait::adaptive && channel.latency_s < limit);
}

sim::Task<> Channels::poll_answer(Thread& thread, Call& call) {
    if (!waits_busily(channel_of(call.channel))) {
        ++event_waits_;
        co_return;
    }
    ++busy_waits_;
    co_await thread.run_in_kernel();
    const Time until = now() + settings_.busy_wait_period;
    while (!call.finished() && now() < until) {
        co_await thread.spin(call.done(), until);
    }
}

sim::Task<bool> Channels::poll_request(Thread& worker, Fd fd) {
    if (fd < first_ || !waits_busily(channel_of(fd))) {
        co_return false;
    }
    const auto something = [&] {
        return !connection_.input(fd).empty() || !connection_.connected();
    };
    co_await worker.run_in_kernel();
    const Time until = now() + settings_.busy_wait_period;
    while (!something() && now() < until) {
        co_await worker.spin(channel_of(fd).readers, until);
    }
    co_return something();
}

void Channels::answered(Call& call) {
    Channel& channel = channel_of(call.channel);
    const double newest = (now() - Time::from_ps(call.created)).seconds();
    channel.latency_s =
        channel.latency_s == 0
            ? newest
            : channel.latency_s + settings_.latency_weight * (newest - channel.latency_s);
}

}  // namespace fusesim::transport
