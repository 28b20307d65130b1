#include "host/cpu.h"

#include "support/paper_host.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <string>

using namespace fusesim;
using namespace fusesim::sim::literals;
using host::Affinity;
using host::Cpu;
using host::Group;
using host::Thread;
using sim::Task;
using sim::Time;

namespace {

Task<> compute(Thread& thread, Time cost, Time& ended) {
    co_await thread.run(cost);
    ended = thread.cpu().engine().now();
    thread.exit();
}

Task<> sleep_then_compute(Thread& thread, sim::WaitQueue& queue, Time cost, Time& ended) {
    co_await thread.sleep(queue);
    co_await thread.run(cost);
    ended = thread.cpu().engine().now();
    thread.exit();
}

Task<> wake_then_compute(Thread& thread, sim::WaitQueue& queue, Time first, Time after, Time& end) {
    co_await thread.run(first);
    queue.wake_one();
    co_await thread.run(after);
    end = thread.cpu().engine().now();
    thread.exit();
}

}  // namespace

TEST_CASE("two threads on one core take turns by slices", "[exact]") {
    validation::Simulation sim;
    host::HostProfile profile = validation::paper_host(1);
    profile.scheduler.base_slice = 100_us;
    Cpu cpu(sim.engine, profile, 1);
    Thread a(cpu, "a", Group::application);
    Thread b(cpu, "b", Group::application);
    Time a_ended;
    Time b_ended;
    sim.engine.spawn("a", compute(a, 150_us, a_ended));
    sim.engine.spawn("b", compute(b, 50_us, b_ended));
    sim.engine.run();
    // a: 3 idle exit, runs until its slice ends at 100. b: 2 switch, 50. a: 2 switch, the rest.
    CHECK(b_ended == 152_us);
    CHECK(a_ended == 152_us + 2_us + 53_us);
    CHECK(cpu.cores()[0]->busy().area(sim.engine.now()) == sim.engine.now().ps());
}

TEST_CASE("two threads on two cores do not wait for each other", "[exact]") {
    validation::Simulation sim;
    Cpu cpu(sim.engine, validation::paper_host(2), 1);
    Thread a(cpu, "a", Group::application);
    Thread b(cpu, "b", Group::application);
    Time a_ended;
    Time b_ended;
    sim.engine.spawn("a", compute(a, 150_us, a_ended));
    sim.engine.spawn("b", compute(b, 50_us, b_ended));
    sim.engine.run();
    CHECK(a_ended == 153_us);
    CHECK(b_ended == 53_us);
}

TEST_CASE("without preemption the woken thread waits for the waker, with it the waker waits",
          "[exact]") {
    for (const bool preemption : {false, true}) {
        validation::Simulation sim;
        host::HostProfile profile = validation::paper_host(1);
        profile.scheduler.wakeup_preemption = preemption;
        Cpu cpu(sim.engine, profile, 1);
        sim::WaitQueue queue(sim.engine, "bell");
        Thread waker(cpu, "waker", Group::application);
        Thread sleeper(cpu, "sleeper", Group::application);
        Time waker_ended;
        Time sleeper_ended;
        sim.engine.spawn("sleeper", sleep_then_compute(sleeper, queue, 10_us, sleeper_ended));
        sim.engine.spawn("waker", wake_then_compute(waker, queue, 20_us, 30_us, waker_ended));
        sim.engine.run();
        INFO("preemption " << preemption);
        // The waker rings at 3 + 20.
        CHECK(sleeper_ended == (preemption ? 23_us + 2_us + 10_us : 53_us + 2_us + 10_us));
        CHECK(waker_ended == (preemption ? 35_us + 2_us + 30_us : 53_us));
    }
}

TEST_CASE("a pinned thread is never placed elsewhere; a free one goes to an idle core", "[exact]") {
    for (const bool pinned : {false, true}) {
        validation::Simulation sim;
        Cpu cpu(sim.engine, validation::paper_host(2), 1);
        sim::WaitQueue queue(sim.engine, "bell");
        Thread waker(cpu, "waker", Group::application, {0});
        Thread sleeper(cpu, "sleeper", Group::application, pinned ? Affinity{0} : Affinity{});
        Time waker_ended;
        Time sleeper_ended;
        sim.engine.spawn("sleeper", sleep_then_compute(sleeper, queue, 10_us, sleeper_ended));
        sim.engine.spawn("waker", wake_then_compute(waker, queue, 20_us, 30_us, waker_ended));
        sim.engine.run();
        CHECK(sleeper.core()->id() == (pinned ? 0u : 1u));
        CHECK(sleeper_ended == (pinned ? 53_us + 2_us + 10_us : 23_us + 3_us + 10_us));
        CHECK(waker_ended == 53_us);
    }
}

TEST_CASE("a halted core is passed over where it looks preempted", "[exact]") {
    for (const bool unavailable : {false, true}) {
        validation::Simulation sim;
        host::HostProfile profile = validation::paper_host(2);
        profile.scheduler.halted_is_unavailable = unavailable;
        profile.scheduler.halt_poll = 10_us;
        Cpu cpu(sim.engine, profile, 1);
        sim::WaitQueue queue(sim.engine, "bell");
        Thread waker(cpu, "waker", Group::application, {0});
        Thread sleeper(cpu, "sleeper", Group::application);
        Time waker_ended;
        Time sleeper_ended;
        sim.engine.spawn("sleeper", sleep_then_compute(sleeper, queue, 10_us, sleeper_ended));
        sim.engine.spawn("waker", wake_then_compute(waker, queue, 20_us, 30_us, waker_ended));
        sim.engine.run();
        CHECK(sleeper.core()->id() == (unavailable ? 0u : 1u));
    }
}

TEST_CASE("a copy costs what its size costs", "[exact]") {
    host::Costs costs;
    costs.copy = {{{100}, 10_ns}, {{200}, 30_ns}, {{1000}, 100_ns}};
    CHECK(costs.copy_time(0) == Time());
    CHECK(costs.copy_time(50) == 10_ns);
    CHECK(costs.copy_time(150) == 20_ns);
    CHECK(costs.copy_time(200) == 30_ns);
    CHECK(costs.copy_time(3000) == 300_ns);
}
