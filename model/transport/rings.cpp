#include "transport/rings.h"

#include "fuse/sizes.h"

namespace fusesim::transport {

using fuse::Taken;
using host::Thread;
using sim::Task;
using sim::Time;

namespace {

/// So often a caller draws for a channel where nobody sleeps.
constexpr int draws = 10;

/// Nobody reads requests into a buffer.
constexpr std::uint32_t any_length = ~std::uint32_t{0};

fuse::ConnectionConfig of_ring_channels(fuse::ConnectionConfig connection) {
    connection.channel_background = fuse::ChannelBackground::channel;
    connection.no_interrupt = true;  // entries of the interrupt ring are never read
    return connection;
}

}  // namespace

void bind(config::Map& map, RingsConfig& config) {
    using PollClock = RingsConfig::PollClock;
    map.field("workers", config.workers, 1, 1024, "daemon threads of each channel at first");
    map.field("most_workers",
              config.most_workers,
              1,
              1024,
              "daemon threads of each channel once all are busy");
    map.field("completion_poll",
              config.completion_poll,
              Time(),
              Time::from_seconds(1),
              "how long a caller polls before it sleeps");
    map.field("poll_clock",
              config.poll_clock,
              {{"exact", PollClock::exact}, {"jiffies", PollClock::jiffies}},
              "exact: for completion_poll, as the paper says; jiffies: until more ticks than that "
              "have passed, as the released code does");
    map.field("hz", config.hz, 100, 1000, "ticks of the kernel's timer a second");
    map.field("forget_entries", config.forget_entries, 1, 1'000'000, "of a channel's forget ring");
    map.check(config.most_workers >= config.workers, "most_workers", "must not be below workers");
}

Rings::Rings(host::Cpu& cpu,
             const fuse::KernelBehaviour& kernel,
             fuse::ConnectionConfig connection,
             const RingsConfig& config,
             std::uint64_t seed)
    : DevFuse(cpu, kernel, of_ring_channels(connection), DevFuseConfig{}),
      settings_(config),
      random_(seed, "transport.rings") {
    polls_ = true;
    for (std::size_t core = 0; core < cpu.cores().size(); ++core) {
        const Fd fd = connection_.add_channel();
        first_ = core == 0 ? fd : first_;
        rings_.push_back(std::make_unique<Ring>(cpu.engine(), fd));
    }
}

std::vector<Post> Rings::posts() const {
    std::vector<Post> posts;
    for (std::size_t core = 0; core < rings_.size(); ++core) {
        posts.push_back({rings_[core]->fd,
                         false,
                         settings_.workers,
                         settings_.most_workers,
                         static_cast<int>(core)});
    }
    return posts;
}

void Rings::route(const Thread& thread, Call& call) {
    if (call.has(fuse::Flag::background)) {
        call.channel = rings_[next_]->fd;
        next_ = (next_ + 1) % rings_.size();
        return;
    }
    std::size_t choice = thread.core() != nullptr ? thread.core()->id() : 0;
    for (int draw = 0; rings_[choice]->sync_sleeping > 0 && draw < draws; ++draw) {
        choice = random_.below(rings_.size());
    }
    call.channel = rings_[choice]->fd;
}

bool Rings::congested() const {
    for (const auto& ring : rings_) {
        if (connection_.background(ring->fd).congested()) {
            return true;
        }
    }
    return false;
}

// --- callers

Time Rings::end_of_poll() const {
    if (settings_.poll_clock == RingsConfig::PollClock::exact) {
        return now() + settings_.completion_poll;
    }
    // Until jiffies is beyond its value now by more than the period, in whole ticks.
    const std::int64_t tick = 1'000'000'000'000 / settings_.hz;
    const std::int64_t period = (settings_.completion_poll.ps() + tick - 1) / tick;
    return Time::from_ps((now().ps() / tick + period + 1) * tick);
}

Task<> Rings::poll_answer(Thread& thread, Call& call) {
    co_await thread.run_in_kernel();
    const Time until = end_of_poll();
    while (!call.finished() && now() < until) {
        co_await thread.spin(call.done(), until);
    }
    if (!call.finished()) {
        call.needs_wakeup = true;
        ++ring_of(call.channel).sync_sleeping;
        ++slept_;
    }
}

void Rings::answered(Call& call) {
    if (call.needs_wakeup) {
        --ring_of(call.channel).sync_sleeping;
    }
}

void Rings::forget(std::uint64_t nodeid, std::uint64_t nlookup, std::uint32_t message) {
    Ring& ring = *rings_[nodeid % rings_.size()];
    if (ring.forgets.size() == settings_.forget_entries) {
        ++lost_forgets_;
        return;
    }
    ring.forgets.push_back({nodeid, nlookup, now().ps(), message});
}

// --- workers

void Rings::wake_all_readers() {
    for (const auto& ring : rings_) {
        ring->sleepers.wake_all();
    }
}

void Rings::wake_all_blocked() {
    for (const auto& ring : rings_) {
        ring->gate.wake_all();
    }
}

std::optional<Taken> Rings::next_forget(Ring& ring) {
    if (ring.forgets.empty()) {
        return std::nullopt;
    }
    Taken taken;
    taken.kind = Taken::Kind::forget;
    taken.bytes = fuse::request_bytes(fuse::Opcode::forget, connection_.config().protocol_minor);
    ring.taken_forget = ring.forgets.front();
    ring.forgets.pop_front();
    taken.forgets = std::span(&ring.taken_forget, 1);
    count_taken(taken);
    return taken;
}

// One look at the requests, one at the forgets; with neither, a system call that sleeps unless a
// request has come.
Task<Taken> Rings::receive(Thread& worker, Fd fd) {
    Ring& ring = ring_of(fd);
    for (;;) {
        co_await worker.run();
        if (worker.killed()) {
            co_return interrupted();
        }
        const Taken taken = connection_.take(fd, any_length);
        if (taken.kind == Taken::Kind::failed) {
            co_return taken;
        }
        if (taken.kind == Taken::Kind::request) {
            auto& call = static_cast<Call&>(*taken.request);
            if (call.opcode == fuse::Opcode::write && call.payload_pages > 0) {
                worker.charge(costs().syscall + costs().fuse_page_write * call.payload_pages +
                              costs().copy_time(call.size));
                co_await worker.run();
            }
            if (has_it(call)) {
                co_return taken;
            }
            continue;
        }
        if (auto forget = next_forget(ring)) {
            co_return *forget;
        }
        co_await worker.run(costs().syscall);
        if (connection_.input(fd).empty() && connection_.connected()) {
            co_await worker.sleep(ring.sleepers);
        }
    }
}

Task<> Rings::reply(Thread& worker, Fd fd, Call& call) {
    if (worker.killed()) {
        co_return;
    }
    if (call.opcode == fuse::Opcode::read && call.payload_pages > 0) {
        worker.charge(costs().syscall + costs().fuse_page_reply * call.payload_pages +
                      costs().copy_time(call.reply_bytes - fuse::out_header_bytes));
    }
    co_await worker.run();
    call.replied = now().ps();
    const fuse::Replied found =
        connection_.begin_reply(fd, call.unique, call.error_reply, call.reply_bytes);
    if (found.kind != fuse::Replied::Kind::request) {
        co_return;  // the request is gone: aborted
    }
    if (call.needs_wakeup || call.has(fuse::Flag::background)) {
        co_await worker.run(costs().syscall);
    }
    connection_.finish_reply(call);  // the call may be gone now
    co_await worker.return_to_user();
}

}  // namespace fusesim::transport
