#include "transport/rings.h"

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
using transport::Rings;
using transport::RingsConfig;
using validation::Asleep;
using validation::at;
using validation::HundredMicroseconds;

namespace {

RingsConfig polling(Time span) {
    RingsConfig config;
    config.completion_poll = span;
    config.poll_clock = RingsConfig::PollClock::exact;
    config.most_workers = 1;
    return config;
}

struct RingsMount : validation::PaperMount<Rings> {
    RingsMount(unsigned cores, const RingsConfig& config, fuse::ConnectionConfig connection = {})
        : PaperMount(
              validation::cfs_host(cores), fuse::kernel_behaviour("5.15"), connection, config, 1) {}

    Call& send_late(unsigned core, Opcode opcode = Opcode::getattr) {
        Call& sent = call(opcode);
        sim.engine.spawn("app", validation::send(dev, thread("app", core), sent, 50_us));
        return sent;
    }

    Call& send_in_background(Time start) {
        Call& sent = call(Opcode::read);
        sim.engine.spawn("app", [](RingsMount& m, Thread& app, Call& one, Time begin) -> Task<> {
            co_await app.sleep_for(begin);
            co_await app.run();
            co_await m.dev.call_background(app, one);
            app.exit();
        }(*this, thread("app", 0), sent, start));
        return sent;
    }
};

}  // namespace

TEST_CASE("a request on a ring of the caller's core: no system call either way", "[exact]") {
    RingsMount mount(1, polling(1_ms));
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, {});
    const Call& call = mount.send_late(0);
    mount.run();
    CHECK(at(call.queued) == 53_us);  // 3 idle exit
    // The caller polls and gives way: 2 switch, and the worker's sleep has ended.
    CHECK(at(call.sent) == 55_us);
    CHECK(at(call.replied) == 155_us);
    CHECK(at(call.ended) == 155_us);
    // The worker looks again (1 system call) and sleeps, then the caller goes on: 2 switch.
    CHECK(at(call.resumed) == 158_us);
    CHECK(mount.dev.slept() == 0);
}

TEST_CASE("jiffies: callers poll until more ticks have passed than the period has", "[exact]") {
    const auto busy_until = [](RingsConfig::PollClock clock) {
        RingsConfig config = polling(50_us);
        config.poll_clock = clock;
        RingsMount mount(1, config);
        Asleep file_system(20_ms);
        daemon::Session session(mount.dev, file_system, {});
        const Call& call = mount.send_late(0);
        mount.run();
        CHECK(mount.dev.slept() == 1);
        CHECK(at(call.replied) == 20'058_us);  // 55, 20 ms asleep, 3 idle exit
        CHECK(at(call.ended) == 20'059_us);    // 1 system call
        return mount.cpu.cores()[0]->busy().mean(21_ms) * 21'000;
    };
    // 4 at the start, by the worker, 7 at the end; between, the caller from 50 until 103, or until
    // 8000, the second tick.
    CHECK(busy_until(RingsConfig::PollClock::exact) == Approx(64).margin(10));
    CHECK(busy_until(RingsConfig::PollClock::jiffies) == Approx(7961).margin(10));
}

TEST_CASE("requests avoid rings on which a caller sleeps", "[exact]") {
    RingsMount mount(2, polling(10_us));
    Asleep file_system(10_ms);
    daemon::Session session(mount.dev, file_system, {});
    const Call& first = mount.send_late(0);
    Call& second = mount.call(Opcode::getattr);
    mount.sim.engine.spawn("late",
                           validation::send(mount.dev, mount.thread("late", 0), second, 5_ms));
    mount.run();
    CHECK(first.channel == 1);
    CHECK(second.channel == 2);
    CHECK(second.sent < first.ended);
}

TEST_CASE("a ring is avoided no longer once its caller has the answer", "[exact]") {
    RingsMount mount(2, polling(10_us));
    Asleep file_system(1_ms);
    daemon::Session session(mount.dev, file_system, {});
    mount.send_late(0);
    Call& second = mount.call(Opcode::getattr);
    mount.sim.engine.spawn("late",
                           validation::send(mount.dev, mount.thread("late", 0), second, 5_ms));
    mount.run();
    CHECK(mount.dev.slept() == 2);
    CHECK(second.channel == 1);
}

TEST_CASE("background requests go round, each ring has limits of its own", "[exact]") {
    fuse::ConnectionConfig connection;
    connection.limits = {1, 1};
    RingsMount mount(2, polling(1_ms), connection);
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, {});
    std::vector<Call*> calls;
    for (int i = 0; i < 3; ++i) {
        calls.push_back(&mount.send_in_background(50_us + 10_us * i));
    }
    mount.run();
    CHECK(calls[0]->channel == 1);
    CHECK(calls[1]->channel == 2);
    CHECK(calls[2]->channel == 1);
    CHECK(calls[2]->queued >= calls[0]->ended);                  // held at its ring's gate
    CHECK(at(calls[1]->ended) - at(calls[1]->replied) == 1_us);  // a system call ends it
}

TEST_CASE("forgets of a ring: one at a time, without waking anybody, lost if it is full",
          "[exact]") {
    RingsConfig config = polling(1_ms);
    config.forget_entries = 2;
    RingsMount mount(1, config);
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, {});
    mount.sim.engine.spawn("early", [](RingsMount& m) -> Task<> {
        co_await m.sim.engine.delay(20_us);
        for (int i = 0; i < 3; ++i) {
            m.dev.forget(7, 1);
        }
        co_await m.sim.engine.delay(20_us);
        CHECK(m.dev.statistics().by_opcode().count(Opcode::forget) == 0);
    }(mount));
    mount.send_late(0);
    mount.run();
    CHECK(mount.dev.lost_forgets() == 1);
    CHECK(mount.dev.statistics().by_opcode().at(Opcode::forget).count == 2);
}

TEST_CASE("data of ring channels takes a system call and a copy", "[exact]") {
    host::HostProfile host = validation::cfs_host(1);
    host.costs.fuse_page_write = 5_us;
    host.costs.fuse_page_reply = 7_us;
    validation::PaperMount<Rings> mount(
        host, fuse::kernel_behaviour("5.15"), fuse::ConnectionConfig{}, polling(1_ms), 1);
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, {});
    Call& write = mount.call(Opcode::write);
    write.payload_pages = 2;
    Call& read = mount.call(Opcode::read);
    read.payload_pages = 3;
    for (const auto& [call, at] : {std::pair(&write, 50_us), std::pair(&read, 1000_us)}) {
        mount.sim.engine.spawn("app",
                               validation::send(mount.dev, mount.thread("app", 0), *call, at));
    }
    mount.run();
    CHECK(at(write.sent) - at(write.queued) == 2_us + 1_us + 10_us);
    CHECK(at(read.ended) - at(read.sent) == 100_us + 1_us + 21_us);
}

TEST_CASE("a ring gets a second worker while its first is asleep with a request", "[exact]") {
    RingsConfig config = polling(1_ms);
    config.most_workers = 2;
    RingsMount mount(1, config);
    Asleep file_system(10_ms);
    daemon::Session session(mount.dev, file_system, {});
    for (int i = 0; i < 3; ++i) {
        mount.send_late(0);
    }
    mount.run();
    CHECK(session.most_workers() == 2);
    CHECK(file_system.served_by.size() == 3);
}
