#include "transport/dev_fuse.h"

#include "support/paper_mount.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

// Schedules made on paper, checked to the picosecond. Costs: see support/paper_host.h.

using namespace fusesim;
using namespace fusesim::sim::literals;
using daemon::Session;
using daemon::SessionConfig;
using fuse::Opcode;
using fuse::Taken;
using host::Thread;
using sim::Role;
using sim::Task;
using sim::Time;
using transport::Call;
using transport::DevFuse;
using validation::at;
using validation::HundredMicroseconds;
using validation::send;
using validation::single;

namespace {

struct DevFuseMount : validation::PaperMount<DevFuse> {
    explicit DevFuseMount(unsigned cores,
                          const fuse::ConnectionConfig& connection = {},
                          const std::string& kernel = "6.1")
        : PaperMount(validation::paper_host(cores),
                     fuse::kernel_behaviour(kernel),
                     connection,
                     transport::DevFuseConfig{}) {}
};

Task<> send_background(DevFuse& dev, Thread& thread, std::vector<Call*> calls) {
    co_await thread.run();
    for (Call* call : calls) {
        co_await dev.call_background(thread, *call);
    }
    thread.exit();
}

}  // namespace

TEST_CASE("one request over two cores: 135 us, then 137 us once the daemon sleeps", "[exact]") {
    DevFuseMount mount(2);
    HundredMicroseconds file_system;
    Session session(mount.dev, file_system, single(1));
    Call& first = mount.call(Opcode::getattr);
    Call& second = mount.call(Opcode::getattr);
    mount.sim.engine.spawn("app", [](DevFuseMount& m, Call& a, Call& b) -> Task<> {
        Thread& app = m.thread("app", 0);
        co_await app.run();
        co_await m.dev.call(app, a);
        co_await m.dev.call(app, b);
        app.exit();
    }(mount, first, second));
    mount.run();

    CHECK(at(first.queued) == 3_us);     // the application's core wakes up
    CHECK(at(first.sent) == 14_us);      // daemon: 3 idle exit, 1 system call, 10 read
    CHECK(at(first.replied) == 114_us);  // 100 service
    CHECK(at(first.ended) == 135_us);    // 1 system call, 20 writev
    CHECK(at(first.resumed) == 138_us);  // 3 idle exit

    CHECK(at(second.queued) == 138_us);
    CHECK(at(second.sent) == 151_us);  // asleep since 136: 3 idle exit, 10 read
    CHECK(at(second.resumed) == 275_us);
    const auto& statistics = mount.dev.statistics().by_opcode().at(Opcode::getattr);
    CHECK(statistics.count == 2);
    CHECK(statistics.latency.sum() == (135_us + 137_us).ps());
    CHECK(statistics.background + statistics.queue + statistics.processing + statistics.reply ==
          statistics.latency.sum());
}

TEST_CASE("one request on one core: two context switches instead of two idle exits", "[exact]") {
    DevFuseMount mount(1);
    HundredMicroseconds file_system;
    Session session(mount.dev, file_system, single(0));
    Call& call = mount.call(Opcode::getattr);
    mount.sim.engine.spawn("app", send(mount.dev, mount.thread("app", 0), call));
    mount.run();

    // The worker was there first: 3 idle exit, 1 system call, then it sleeps and the caller, which
    // has waited for the core, is switched to.
    CHECK(at(call.queued) == 6_us);
    CHECK(at(call.sent) == 18_us);  // 2 switch, 10 read
    CHECK(at(call.replied) == 118_us);
    CHECK(at(call.ended) == 139_us);
    CHECK(at(call.resumed) == 142_us);  // 1 next read, finds nothing; 2 switch
}

TEST_CASE("twelve background requests are let through, the next as each one ends", "[exact]") {
    DevFuseMount mount(2);
    HundredMicroseconds file_system;
    Session session(mount.dev, file_system, single(1));
    std::vector<Call*> calls;
    for (int i = 0; i < 15; ++i) {
        calls.push_back(&mount.call(Opcode::release));
        calls.back()->flags.set(fuse::Flag::force);
    }
    mount.sim.engine.spawn("app", send_background(mount.dev, mount.thread("app", 0), calls));
    mount.run();
    for (int i = 0; i < 12; ++i) {
        CHECK(at(calls[static_cast<std::size_t>(i)]->queued) == 3_us);
    }
    CHECK(calls[12]->queued == calls[0]->ended);
    CHECK(calls[13]->queued == calls[1]->ended);
    CHECK(calls[14]->queued == calls[2]->ended);
    CHECK(at(calls[0]->ended) == 135_us);
    CHECK(at(calls[1]->ended) == 267_us);  // each one 132: read 11, service 100, write 21
}

TEST_CASE("the gate holds callers, not requests, and lets one through per end", "[exact]") {
    fuse::ConnectionConfig connection;
    connection.limits = {2, 1};
    DevFuseMount mount(2, connection);
    HundredMicroseconds file_system;
    Session session(mount.dev, file_system, single(1));
    std::vector<Call*> calls;
    for (int i = 0; i < 3; ++i) {
        calls.push_back(&mount.call(Opcode::read));
    }
    mount.sim.engine.spawn("app", send_background(mount.dev, mount.thread("app", 0), calls));
    mount.run();
    CHECK(at(calls[1]->created) == 3_us);
    CHECK(at(calls[0]->ended) == 135_us);
    CHECK(at(calls[2]->created) == 138_us);  // woken at 135, 3 idle exit
    CHECK(at(calls[2]->queued) == 138_us);
}

TEST_CASE("a forced request passes the gate", "[exact]") {
    fuse::ConnectionConfig connection;
    connection.limits = {1, 1};
    DevFuseMount mount(2, connection);
    HundredMicroseconds file_system;
    Session session(mount.dev, file_system, single(1));
    std::vector<Call*> calls{&mount.call(Opcode::read), &mount.call(Opcode::release)};
    calls[1]->flags.set(fuse::Flag::force);
    mount.sim.engine.spawn("app", send_background(mount.dev, mount.thread("app", 0), calls));
    mount.run();
    CHECK(at(calls[1]->created) == 3_us);        // not held at the gate
    CHECK(calls[1]->queued == calls[0]->ended);  // but in the background queue
}

namespace {

/// Reads and never answers; notes what it took.
Task<> silent_daemon(DevFuse& dev, Thread& worker, std::vector<std::string>& log, int messages) {
    for (int i = 0; i < messages; ++i) {
        const Taken taken = co_await dev.receive(worker, 0);
        switch (taken.kind) {
            case Taken::Kind::request:
                log.emplace_back("request");
                break;
            case Taken::Kind::forget:
            case Taken::Kind::batch_forget:
                log.emplace_back("forget");
                break;
            case Taken::Kind::interrupt:
                log.emplace_back("interrupt");
                break;
            default:
                log.emplace_back("other");
        }
    }
    worker.exit();
}

int run_length(const std::vector<std::string>& log, std::size_t& from) {
    const std::size_t begin = from;
    while (from < log.size() && log[from] == log[begin]) {
        ++from;
    }
    return static_cast<int>(from - begin);
}

}  // namespace

TEST_CASE("8 requests, then 16 forgets and 8 requests by turns", "[exact]") {
    fuse::ConnectionConfig connection;
    connection.protocol_minor = 15;  // no BATCH_FORGET: one message a forget
    DevFuseMount mount(2, connection);
    std::vector<Call*> calls;
    for (int i = 0; i < 40; ++i) {
        mount.dev.forget(static_cast<std::uint64_t>(i) + 2, 1);
        calls.push_back(&mount.call(Opcode::release));
        calls.back()->flags.set(fuse::Flag::force);
    }
    mount.dev.connection().set_max_background(100);
    std::vector<std::string> log;
    mount.sim.engine.spawn("app", send_background(mount.dev, mount.thread("app", 0), calls));
    mount.sim.engine.spawn("daemon", [](DevFuseMount& m, std::vector<std::string>& l) -> Task<> {
        Thread& worker = m.thread("daemon", 1);
        co_await worker.sleep_for(50_us);  // everything is queued before its first read
        co_await silent_daemon(m.dev, worker, l, 64);
    }(mount, log));
    mount.run();
    std::size_t at_message = 0;
    CHECK(log.front() == "request");
    for (const int expected : {8, 16, 8, 16, 8}) {
        CHECK(run_length(log, at_message) == expected);
    }
}

TEST_CASE("an interrupt is read before older requests", "[exact]") {
    DevFuseMount mount(4);
    std::vector<std::string> log;
    Call& victim = mount.call(Opcode::setlkw);
    Call& other = mount.call(Opcode::getattr);
    mount.sim.engine.spawn(
        "victim", send(mount.dev, mount.thread("victim", 0), victim), Role::server);
    mount.sim.engine.spawn(
        "other", send(mount.dev, mount.thread("other", 2), other, 9_us), Role::server);
    mount.sim.engine.spawn("daemon", silent_daemon(mount.dev, mount.thread("daemon", 1), log, 3));
    mount.sim.engine.spawn("signal", [](DevFuseMount& m, Call& v) -> Task<> {
        co_await m.sim.engine.delay(14'500_ns);
        CHECK(m.dev.connection().interrupt(v));
    }(mount, victim));
    // The daemon has the victim at 14 us and reads again at 15 us: both others wait by then.
    mount.run();
    CHECK(at(other.queued) < 14'500_ns);
    CHECK(log == std::vector<std::string>{"request", "interrupt", "request"});
}

TEST_CASE("an answer through another clone of /dev/fuse is not found", "[exact]") {
    DevFuseMount mount(2);
    Call& call = mount.call(Opcode::getattr);
    mount.sim.engine.spawn("app", send(mount.dev, mount.thread("app", 0), call));
    mount.sim.engine.spawn("daemon", [](DevFuseMount& m, Call& c) -> Task<> {
        Thread& worker = m.thread("daemon", 1);
        const DevFuse::Fd clone = m.dev.connection().clone_fd();
        const Taken taken = co_await m.dev.receive(worker, clone);
        CHECK(taken.request == &c);
        co_await m.dev.reply(worker, 0, c);
        CHECK_FALSE(c.finished());
        co_await m.dev.reply(worker, clone, c);
        CHECK(c.finished());
        worker.exit();
    }(mount, call));
    mount.run();
    CHECK(call.finished());
}

TEST_CASE("of two sleeping workers the one idle longest gets the request", "[exact]") {
    DevFuseMount mount(4);
    HundredMicroseconds file_system;
    SessionConfig config;
    config.max_threads = 2;
    Session session(mount.dev, file_system, config);
    // The first request makes the second worker; from then on they take turns.
    std::vector<Call*> calls;
    for (int i = 0; i < 5; ++i) {
        calls.push_back(&mount.call(Opcode::getattr));
    }
    mount.sim.engine.spawn("app", [](DevFuseMount& m, std::vector<Call*> all) -> Task<> {
        Thread& app = m.thread("app", 0);
        co_await app.run();
        for (Call* call : all) {
            co_await m.dev.call(app, *call);
        }
        app.exit();
    }(mount, calls));
    mount.run();
    CHECK(session.most_workers() == 2);
    CHECK(
        file_system.served_by ==
        std::vector<std::string>{"worker[0]", "worker[1]", "worker[0]", "worker[1]", "worker[0]"});
}

namespace {

/// Four requests at once, from as many cores.
void send_burst(DevFuseMount& mount, Time start) {
    for (unsigned i = 0; i < 4; ++i) {
        mount.sim.engine.spawn(
            "app", send(mount.dev, mount.thread("app", i), mount.call(Opcode::getattr), start));
    }
}

}  // namespace

TEST_CASE("the loop keeps one idle worker until its limit", "[exact]") {
    for (const int most : {1, 3, 10}) {
        DevFuseMount mount(16);
        HundredMicroseconds file_system;
        SessionConfig config;
        config.max_threads = most;
        Session session(mount.dev, file_system, config);
        send_burst(mount, 20_us);
        mount.run();
        CHECK(session.most_workers() == static_cast<std::size_t>(std::min(most, 5)));
    }
}

TEST_CASE("idle threads beyond max_idle_threads end", "[exact]") {
    for (const int idle : {-1, 2}) {
        DevFuseMount mount(16);
        HundredMicroseconds file_system;
        SessionConfig config;
        config.max_idle_threads = idle;
        Session session(mount.dev, file_system, config);
        // A second burst finds those that are left, and makes the others anew.
        for (const Time burst : {20_us, 5_ms}) {
            send_burst(mount, burst);
        }
        mount.run();
        CHECK(session.most_workers() == 5);
        const auto& by = file_system.served_by;
        CHECK((std::find(by.begin(), by.end(), "worker[5]") != by.end()) == (idle >= 0));
    }
}

TEST_CASE("both ways are copied, by their bytes", "[exact]") {
    host::HostProfile host = validation::paper_host(2);
    host.costs.copy = {{{0}, Time()}, {{1'000'000}, 1000_us}};  // a nanosecond a byte
    validation::PaperMount<DevFuse> mount(
        host, fuse::kernel_behaviour("6.1"), fuse::ConnectionConfig{}, transport::DevFuseConfig{});
    HundredMicroseconds file_system;
    Session session(mount.dev, file_system, single(1));
    Call& call = mount.call(Opcode::getattr);
    call.bytes_in = 2000;
    call.reply_bytes = 5000;
    mount.sim.engine.spawn("app", send(mount.dev, mount.thread("app", 0), call));
    mount.run();
    CHECK(at(call.sent) == 16_us);    // 14 without the copy
    CHECK(at(call.ended) == 142_us);  // 100 service, 21 writev(2), 5 copy
}

TEST_CASE("abort ends what is queued and what the daemon has", "[exact]") {
    DevFuseMount mount(4);
    std::vector<std::string> log;
    Call& taken = mount.call(Opcode::getattr);
    Call& queued = mount.call(Opcode::getattr);
    mount.sim.engine.spawn("taken", send(mount.dev, mount.thread("taken", 0), taken));
    mount.sim.engine.spawn("queued", send(mount.dev, mount.thread("queued", 2), queued, 20_us));
    mount.sim.engine.spawn("daemon", silent_daemon(mount.dev, mount.thread("daemon", 1), log, 1));
    mount.sim.engine.spawn("admin", [](DevFuseMount& m) -> Task<> {
        co_await m.sim.engine.delay(100_us);
        m.dev.connection().abort();
    }(mount));
    mount.run();
    CHECK(taken.error == -103);  // ECONNABORTED
    CHECK(queued.error == -103);
    CHECK(at(taken.resumed) == 103_us);
    CHECK(at(queued.resumed) == 103_us);
}
