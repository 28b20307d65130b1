#include "host/cpu.h"
#include "support/paper_host.h"
#include "support/scenario_run.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

// Daemons that stop, die and answer late. Real mounts show the same: the scenarios of question 6 in
// validation/questions.

using namespace fusesim;
using namespace fusesim::sim::literals;
using host::Group;
using host::Thread;
using sim::Task;
using sim::Time;

namespace {

Task<> send(sim::Engine& engine, Time at, const std::function<void()>& signal) {
    co_await engine.delay(at);
    signal();
}

/// Computes, sleeps and computes again, and gets signals meanwhile.
struct Victim {
    validation::Simulation sim;
    host::Cpu cpu{sim.engine, validation::paper_host(1), 1};
    Thread thread{cpu, "victim", Group::daemon};
    Time computed;
    Time ended;

    Task<> live() {
        co_await thread.run(100_us);
        computed = sim.engine.now();
        co_await thread.sleep_for(200_us);
        co_await thread.run(100_us);
        ended = sim.engine.now();
        thread.exit();
    }

    void run(const std::vector<std::pair<Time, std::function<void()>>>& signals) {
        sim.engine.spawn("victim", live());
        for (const auto& [at, signal] : signals) {
            sim.engine.spawn("signal", send(sim.engine, at, signal));
        }
        sim.engine.run();
    }
};

report::Result simulated(const std::string& text) {
    return validation::simulate_on(validation::paper_host(2), text);
}

/// Four callers, each with a read every 20 ms on average, and a daemon that sleeps 1 ms for each.
std::string reads(const std::string& rest) {
    return "schema_version: 1\n"
           "kernel: {version: '6.18'}\n"
           "daemon: {filesystem: service_time, service: {other: {blocked: 1 ms}}, threads: 4}\n"
           "workload: {threads: 4, rate: 200 iops, files: {count: 1, size: 64 KiB},\n"
           "           operations: [{op: read, size: 4 KiB}]}\n" +
           rest;
}

}  // namespace

TEST_CASE("a stopped thread goes on where it was", "[exact]") {
    // 3 idle exit, 100 computing, 200 asleep, 3 idle exit, 100 computing.
    SECTION("not stopped") {
        Victim victim;
        victim.run({});
        CHECK(victim.computed == 103_us);
        CHECK(victim.ended == 406_us);
    }
    SECTION("while it computes") {
        Victim victim;
        victim.run(
            {{50_us, [&] { victim.thread.stop(); }}, {1050_us, [&] { victim.thread.go_on(); }}});
        CHECK(victim.computed == 103_us + 1000_us + 3_us);  // the core was idle
        CHECK(victim.ended == victim.computed + 303_us);
    }
    SECTION("while it sleeps: the time passes") {
        Victim victim;
        victim.run(
            {{150_us, [&] { victim.thread.stop(); }}, {250_us, [&] { victim.thread.go_on(); }}});
        CHECK(victim.ended == 406_us);
    }
    SECTION("while it sleeps, beyond its end") {
        Victim victim;
        victim.run(
            {{150_us, [&] { victim.thread.stop(); }}, {900_us, [&] { victim.thread.go_on(); }}});
        CHECK(victim.ended == 900_us + 103_us);
    }
}

TEST_CASE("a killed thread neither computes nor sleeps any more", "[exact]") {
    SECTION("while it computes") {
        Victim victim;
        victim.run({{50_us, [&] { victim.thread.kill(); }}});
        CHECK(victim.computed == 50_us);
    }
    SECTION("while it sleeps") {
        Victim victim;
        victim.run({{150_us, [&] { victim.thread.kill(); }}});
        CHECK(victim.ended == 150_us + 103_us);  // what it still has to do before it ends
    }
    SECTION("while it is stopped") {
        Victim victim;
        victim.run(
            {{50_us, [&] { victim.thread.stop(); }}, {80_us, [&] { victim.thread.kill(); }}});
        CHECK(victim.computed == 80_us + 3_us);
    }
}

TEST_CASE("callers of a stopped daemon wait until it goes on", "[exact]") {
    const report::Result result =
        simulated(reads("mount: {direct_io: true}\n"
                        "run: {duration: 2 s}\n"
                        "faults: [{kind: stall, at: 1 s, for: 500 ms}]\n"));
    REQUIRE(result.faults.size() == 1);
    const report::Fault& stall = result.faults[0];
    CHECK(stall.kind == "stall");
    CHECK(stall.waiting_before < 1);
    CHECK(stall.waiting_peak == 4);
    CHECK(stall.failed_operations == 0);
    // Some 25 calls of each thread are late by then, and take a little over 1 ms each.
    REQUIRE(stall.drain_s);
    CHECK(*stall.drain_s > 0.015);
    CHECK(*stall.drain_s < 0.060);
    // The longest wait: almost the whole stall.
    CHECK(result.operations[0].second.latency->max > 0.45);
    CHECK(result.operations[0].second.latency->p50 < 0.5);
    CHECK(result.operations[0].second.count > 370);
}

TEST_CASE("a daemon that crashes takes the calls with it", "[exact]") {
    const std::string transport = GENERATE(as<std::string>(), "dev_fuse", "channels", "rings");
    const std::string io = GENERATE(
        as<std::string>(), "direct_io: true", "writeback_cache: true, attr_timeout: 100 s");
    INFO(transport << ", " << io);
    const report::Result result =
        simulated(reads(fmt::format("mount: {{transport: {}, {}}}\n"
                                    "run: {{duration: 1 s}}\n"
                                    "faults: [{{kind: crash, at: 500 ms}}]\n",
                                    transport,
                                    io)));
    REQUIRE(result.faults.size() == 1);
    CHECK(result.faults[0].kind == "crash");
    REQUIRE(result.faults[0].drain_s);
    CHECK(*result.faults[0].drain_s < 0.002);
    const bool asks = io == "direct_io: true";
    CHECK(result.faults[0].failed_operations == (asks ? 4 : 0));
    if (asks) {
        CHECK(result.operations[0].second.count < 130);
    }
}

TEST_CASE("calls after a crash fail even where the daemon is of many kinds of requests") {
    // Metadata, asynchronous reads and writes back.
    const report::Result result = simulated(
        "schema_version: 1\n"
        "kernel: {version: '6.18'}\n"
        "mount: {writeback_cache: true, entry_timeout: 0 s, attr_timeout: 0 s}\n"
        "daemon: {filesystem: service_time, service: {other: {blocked: 300 us}}, threads: multi}\n"
        "workload: {threads: 6, cache: cold, files: {count: 2, size: 1 MiB}, order: random,\n"
        "           operations: [{op: read, size: 64 KiB}, {op: write, size: 16 KiB}, {op: open},\n"
        "                        {op: readdir}, {op: stat}, {op: fsync}]}\n"
        "run: {duration: 300 ms}\n"
        "faults: [{kind: stall, at: 50 ms, for: 20 ms}, {kind: crash, at: 100 ms}]\n");
    REQUIRE(result.faults.size() == 2);
    CHECK(result.faults[0].failed_operations == 0);
    CHECK(result.faults[1].failed_operations == 6);
}

TEST_CASE("a request that is late aborts the connection at the kernel's next look", "[exact]") {
    // It looks every 15 s from the mount on, and 10 s count as 15: at 30 s the oldest waits for 20
    // s.
    const report::Result result =
        simulated(reads("mount: {direct_io: true, request_timeout: 10 s}\n"
                        "run: {warm_up: 5 s, duration: 40 s}\n"
                        "faults: [{kind: stall, at: 5 s, for: 60 s}]\n"));
    REQUIRE(result.faults.size() == 2);
    CHECK_FALSE(result.faults[0].failed_operations);
    CHECK(result.faults[1].kind == "request_timeout");
    CHECK(result.faults[1].at_s == 25);
    CHECK(result.faults[1].failed_operations == 4);
    CHECK(result.operations[0].second.latency->max < 0.1);
}

TEST_CASE("a stall shorter than the timeout does no harm") {
    const report::Result result =
        simulated(reads("mount: {direct_io: true, request_timeout: 10 s}\n"
                        "run: {duration: 20 s}\n"
                        "faults: [{kind: stall, at: 10 s, for: 6 s}]\n"));
    REQUIRE(result.faults.size() == 1);
    CHECK(result.faults[0].failed_operations == 0);
}
