#include "transport/channels.h"

#include "support/fuse_support.h"
#include "support/paper_mount.h"
#include "support/time_text.h"

#include <catch2/catch.hpp>

#include <string>

// Schedules made on paper, checked to the picosecond. Costs: see support/paper_host.h.

using namespace fusesim;
using namespace fusesim::sim::literals;
using fuse::Opcode;
using host::Thread;
using sim::Task;
using sim::Time;
using transport::Call;
using transport::Channels;
using transport::ChannelsConfig;
using validation::Asleep;
using validation::at;
using validation::HundredMicroseconds;
using validation::single;

namespace {

using Policy = ChannelsConfig::Policy;
using Wait = ChannelsConfig::Wait;

ChannelsConfig waiting(Wait wait, Time period = 1_ms, unsigned count = 1) {
    ChannelsConfig config;
    config.count = count;
    config.wait = wait;
    config.busy_wait_period = period;
    return config;
}

struct ChannelsMount : validation::PaperMount<Channels> {
    ChannelsMount(unsigned cores, const ChannelsConfig& config)
        : PaperMount(validation::cfs_host(cores),
                     fuse::kernel_behaviour("6.18"),
                     fuse::ConnectionConfig{},
                     transport::DevFuseConfig{},
                     config) {}

    /// Requests one after the other, from 50 us on.
    void send_in_turn(unsigned core, std::initializer_list<Call*> sent) {
        sim.engine.spawn("app",
                         [](ChannelsMount& m, Thread& app, std::vector<Call*> all) -> Task<> {
                             co_await app.sleep_for(50_us);
                             co_await app.run();
                             for (Call* const one : all) {
                                 co_await m.dev.call(app, *one);
                             }
                             app.exit();
                         }(*this, thread("app", core), std::vector<Call*>(sent)));
    }
};

}  // namespace

TEST_CASE("both sides wait busily: no wake-up, no idle exit, no context switch", "[exact]") {
    ChannelsMount mount(2, waiting(Wait::busy));
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, single(1));
    Call& call = mount.call(Opcode::getattr);
    mount.send_in_turn(0, {&call});
    mount.run();
    CHECK(at(call.queued) == 53_us);  // 3 idle exit
    CHECK(at(call.sent) == 63_us);    // 10 read(2), in which the worker had been waiting
    CHECK(at(call.replied) == 163_us);
    CHECK(at(call.ended) == 184_us);  // 1 system call, 20 writev(2)
    CHECK(at(call.resumed) == 184_us);
    CHECK(mount.dev.busy_waits() == 1);
}

TEST_CASE("event wait: both sides are woken", "[exact]") {
    ChannelsMount mount(2, waiting(Wait::event));
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, single(1));
    Call& call = mount.call(Opcode::getattr);
    mount.send_in_turn(0, {&call});
    mount.run();
    CHECK(at(call.sent) == 66_us);  // 3 idle exit of the worker's core
    CHECK(at(call.ended) == 187_us);
    CHECK(at(call.resumed) == 190_us);
    CHECK(mount.dev.event_waits() == 1);
}

TEST_CASE("a busy wait ends after its period", "[exact]") {
    ChannelsMount mount(2, waiting(Wait::busy, 60_us));
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, single(1));
    Call& first = mount.call(Opcode::getattr);
    mount.send_in_turn(0, {&first});
    mount.run();
    // The worker began to wait at 4 us (3 idle exit, 1 system call) and still does at 53 us; the
    // caller sleeps from 113 us on.
    CHECK(at(first.sent) == 63_us);
    CHECK(at(first.ended) == 184_us);
    CHECK(at(first.resumed) == 187_us);
    CHECK(mount.cpu.cores()[0]->busy().mean(187_us) == Approx(66.0 / 187));  // 0 to 3, 50 to 113
}

TEST_CASE("a caller that waits busily gives way to the worker on its core", "[exact]") {
    ChannelsMount mount(1, waiting(Wait::busy));
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, single(0));
    Call& call = mount.call(Opcode::getattr);
    mount.sim.engine.spawn("app", validation::send(mount.dev, mount.thread("app", 0), call));
    mount.run();
    // 10 read(2), 100 service, 21 writev(2), two switches; and as long again at most, in which the
    // caller catches up with what the worker has run. Never the caller's whole period.
    CHECK(at(call.resumed) - at(call.queued) >= 135_us);
    CHECK(at(call.resumed) - at(call.queued) < 300_us);
}

TEST_CASE("below the limit callers wait busily, above they sleep at once", "[exact]") {
    // Latency is the service time and some microseconds of costs and wake-ups.
    ChannelsConfig config = waiting(Wait::adaptive, 100_us);
    config.event_wait_overhead = 50_us;
    config.latency_weight = 1;
    for (const auto& [service, busy] : {std::pair(100_us, 3U), std::pair(200_us, 1U)}) {
        ChannelsMount mount(2, config);
        Asleep file_system(service);
        daemon::Session session(mount.dev, file_system, single(1));
        Call& a = mount.call(Opcode::getattr);
        Call& b = mount.call(Opcode::getattr);
        Call& c = mount.call(Opcode::getattr);
        mount.send_in_turn(0, {&a, &b, &c});
        mount.run();
        CHECK(mount.dev.busy_waits() == busy);  // the first: nothing was observed yet
        CHECK(mount.dev.event_waits() == 3 - busy);
    }
}

TEST_CASE("one slow answer does not end busy waits, several do", "[exact]") {
    ChannelsConfig config = waiting(Wait::adaptive, 100_us);
    config.latency_weight = 0.125;
    ChannelsMount mount(2, config);
    Asleep file_system(20_us);
    daemon::Session session(mount.dev, file_system, single(1));
    mount.sim.engine.spawn("app", [](ChannelsMount& m, Asleep& backend) -> Task<> {
        Thread& app = m.thread("app", 0);
        co_await app.sleep_for(50_us);
        co_await app.run();
        for (const Time service : {20_us, 400_us, 20_us, 400_us, 400_us, 400_us}) {
            backend.service = service;
            co_await m.dev.call(app, m.call(Opcode::getattr));
        }
        app.exit();
    }(mount, file_system));
    mount.run();
    // An eighth of each: about 55, 100 (not above 105), 95, 135: the last two sleep at once.
    CHECK(mount.dev.busy_waits() == 4);
    CHECK(mount.dev.event_waits() == 2);
}

TEST_CASE("requests take the channel that the policy says", "[exact]") {
    const auto channels = [](Policy policy) {
        ChannelsConfig config = waiting(Wait::event, 1_ms, 3);
        config.policy = policy;
        ChannelsMount mount(3, config);
        HundredMicroseconds file_system;
        daemon::Session session(mount.dev, file_system, {});
        std::vector<unsigned> taken;
        std::vector<Call*> calls;
        for (int i = 0; i < 3; ++i) {
            calls.push_back(&mount.call(Opcode::getattr));
            mount.sim.engine.spawn(
                "app",
                validation::send(
                    mount.dev, mount.thread("app", 2), *calls.back(), 50_us + 10_us * i));
        }
        mount.run();
        for (const Call* call : calls) {
            taken.push_back(call->channel);
        }
        return taken;
    };
    CHECK(channels(Policy::core) == std::vector<unsigned>{3, 3, 3});
    CHECK(channels(Policy::round_robin) == std::vector<unsigned>{1, 2, 3});
    CHECK(channels(Policy::least_pending) == std::vector<unsigned>{1, 2, 3});
}

TEST_CASE("a FORGET of a mount with channels goes through /dev/fuse", "[exact]") {
    ChannelsMount mount(2, waiting(Wait::adaptive));
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, single(1));
    mount.dev.forget(7, 1);
    mount.run();
    CHECK(mount.dev.statistics().by_opcode().at(Opcode::forget).count == 1);
}

TEST_CASE("abort: callers and workers that wait busily end", "[exact]") {
    ChannelsMount mount(2, waiting(Wait::busy));
    Asleep file_system(10_ms);
    daemon::Session session(mount.dev, file_system, single(1));
    Call& call = mount.call(Opcode::getattr);
    mount.send_in_turn(0, {&call});
    mount.sim.engine.spawn("abort", [](ChannelsMount& m) -> Task<> {
        co_await m.sim.engine.delay(200_us);
        m.dev.connection().abort();
    }(mount));
    mount.run();
    CHECK(call.error != 0);
    CHECK(at(call.resumed) == 200_us);
}
