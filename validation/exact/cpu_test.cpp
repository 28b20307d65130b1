#include "host/cpu.h"

#include "support/paper_host.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

/// A sleeper and who wakes it with a bell; both then compute on.
struct Bell {
    validation::Simulation sim;
    Cpu cpu;
    sim::WaitQueue queue;
    Thread waker;
    Thread sleeper;
    Time sleeper_first;  // computes this before it sleeps
    Time waker_first = 20_us;
    Time waker_ended;
    Time sleeper_ended;

    explicit Bell(const host::HostProfile& profile,
                  Affinity waker_on = {},
                  Affinity sleeper_on = {},
                  Group sleeper_group = Group::application)
        : cpu(sim.engine, profile, 1),
          queue(sim.engine, "bell"),
          waker(cpu, "waker", Group::application, std::move(waker_on)),
          sleeper(cpu, "sleeper", sleeper_group, std::move(sleeper_on)) {}

    Task<> sleep() {
        if (sleeper_first > Time()) {
            co_await sleeper.run(sleeper_first);
        }
        co_await sleeper.sleep(queue);
        co_await sleeper.run(10_us);
        sleeper_ended = sim.engine.now();
        sleeper.exit();
    }

    Task<> wake() {
        co_await waker.run(waker_first);
        queue.wake_one();
        co_await waker.run(30_us);
        waker_ended = sim.engine.now();
        waker.exit();
    }

    void run() {
        sim.engine.spawn("sleeper", sleep());
        sim.engine.spawn("waker", wake());
        sim.engine.run();
    }
};

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

TEST_CASE("a woken thread preempts its waker from the moment that it has run less", "[exact]") {
    struct Case {
        bool preemption;
        Time waker_first;
        bool preempts;
    };

    // The sleeper has run for 3 idle exit + 5 when it sleeps, the waker for 2 switch + waker_first
    // when it rings.
    const Case cases[] = {
        {true, 6_us, false}, {true, 6_us + 1_ps, true}, {true, 20_us, true}, {false, 20_us, false}};
    for (const Group group : {Group::application, Group::daemon}) {
        for (const Case& c : cases) {
            host::HostProfile profile = validation::paper_host(1);
            profile.scheduler.wakeup_preemption = c.preemption;
            Bell bell(profile, {}, {}, group);
            bell.sleeper_first = 5_us;
            bell.waker_first = c.waker_first;
            bell.run();
            INFO("preemption " << c.preemption << ", rings after " << c.waker_first.ps() << " ps");
            const Time rings = 8_us + 2_us + c.waker_first;
            const Time waker_goes_on = rings + (c.preempts ? 2_us + 10_us + 2_us : Time());
            CHECK(bell.waker_ended == waker_goes_on + 30_us);
            CHECK(bell.sleeper_ended == (c.preempts ? rings : bell.waker_ended) + 2_us + 10_us);
        }
    }
}

TEST_CASE("voluntary preemption: who is about to wait makes way for whom it has woken", "[exact]") {
    using Preemption = host::SchedulerConfig::Preemption;
    const Preemption preemption = GENERATE(Preemption::none, Preemption::voluntary);
    const Time first = GENERATE(6_us, 20_us);  // as above: 6 us do not preempt
    host::HostProfile profile = validation::paper_host(1);
    profile.scheduler.wakeup_preemption = true;
    profile.scheduler.preemption = preemption;
    Bell bell(profile);
    bell.sleeper_first = 5_us;
    Time waits;
    const auto wake = [&]() -> Task<> {
        co_await bell.waker.run(first);
        bell.queue.wake_one();
        co_await bell.waker.might_sleep();
        waits = bell.sim.engine.now();
        bell.waker.exit();
    };
    bell.sim.engine.spawn("sleeper", bell.sleep());
    bell.sim.engine.spawn("waker", wake());
    bell.sim.engine.run();
    const bool makes_way = preemption == Preemption::voluntary && first == 20_us;
    const Time rings = 8_us + 2_us + first;
    CHECK(waits == rings + (makes_way ? 2_us + 10_us + 2_us : Time()));
    CHECK(bell.sleeper_ended == rings + 2_us + 10_us);
}

TEST_CASE("a thread that has never run is owed nothing and does not preempt", "[exact]") {
    host::HostProfile profile = validation::paper_host(1);
    profile.scheduler.wakeup_preemption = true;
    Bell bell(profile);
    bell.run();
    CHECK(bell.waker_ended == 3_us + 20_us + 30_us);
    CHECK(bell.sleeper_ended == bell.waker_ended + 2_us + 10_us);
}

TEST_CASE("a wake-up from another core lets the running thread run on", "[exact]") {
    host::HostProfile profile = validation::paper_host(2);
    profile.scheduler.wakeup_preemption = true;
    Bell bell(profile, {1}, {0});
    bell.sleeper_first = 5_us;
    Thread hog(bell.cpu, "hog", Group::application, {0});
    Time hog_ended;
    bell.sim.engine.spawn("sleeper", bell.sleep());
    bell.sim.engine.spawn("hog", compute(hog, 100_us, hog_ended));
    bell.sim.engine.spawn("waker", bell.wake());
    bell.sim.engine.run();
    // Core 0: 3 idle exit and 5 of the sleeper, 2 switch and all of the hog, though core 1 rings
    // at 23.
    CHECK(hog_ended == 110_us);
    CHECK(bell.waker_ended == 53_us);
    CHECK(bell.sleeper_ended == 110_us + 2_us + 10_us);
}

TEST_CASE("groups share a core evenly, whatever their number of threads", "[exact]") {
    for (const bool autogroup : {false, true}) {
        validation::Simulation sim;
        host::HostProfile profile = validation::paper_host(1);
        profile.scheduler.base_slice = 100_us;
        profile.scheduler.sched_autogroup_enabled = autogroup;
        Cpu cpu(sim.engine, profile, 1);
        Thread a(cpu, "a", Group::application);
        Thread b(cpu, "b", Group::application);
        Thread d(cpu, "d", Group::daemon);
        Time a_ended;
        Time b_ended;
        Time d_ended;
        sim.engine.spawn("a", compute(a, 100_us, a_ended));
        sim.engine.spawn("b", compute(b, 100_us, b_ended));
        sim.engine.spawn("d", compute(d, 100_us, d_ended));
        sim.engine.run();
        INFO("groups " << autogroup);
        if (autogroup) {
            // Slices of a d b d, each 100 with 3 idle exit or 2 switch in it. Left are 2 of d, then
            // 3 of a, then 2 of b, each after 2 switch.
            CHECK(d_ended == 304_us);
            CHECK(a_ended == 309_us);
            CHECK(b_ended == 313_us);
        } else {
            // Slices of a b d; left are 3, 2 and 2.
            CHECK(a_ended == 305_us);
            CHECK(b_ended == 309_us);
            CHECK(d_ended == 313_us);
        }
    }
}

TEST_CASE("a pinned thread is never placed elsewhere; a free one goes to an idle core", "[exact]") {
    for (const bool pinned : {false, true}) {
        Bell bell(validation::paper_host(2), {0}, pinned ? Affinity{0} : Affinity{});
        bell.run();
        CHECK(bell.sleeper.core()->id() == (pinned ? 0u : 1u));
        CHECK(bell.sleeper_ended == (pinned ? 53_us + 2_us + 10_us : 23_us + 3_us + 10_us));
        CHECK(bell.waker_ended == 53_us);
    }
}

TEST_CASE("a wake-up takes its caller's time", "[exact]") {
    host::HostProfile profile = validation::paper_host(2);
    profile.scheduler.wakeup_preemption = false;
    profile.costs.wake_same_core = 4_us;
    profile.costs.wake_cross_core = 7_us;
    Bell same(profile, {0}, {0});
    same.run();
    CHECK(same.waker_ended == 57_us);  // 3 idle exit, 20, 4, 30
    Bell across(profile, {0}, {1});
    across.run();
    CHECK(across.waker_ended == 60_us);  // 3 idle exit, 20, 7, 30
}

TEST_CASE("where no core is idle, a woken thread goes to its waker's if that has less to do",
          "[exact]") {
    for (const bool here_has_less : {true, false}) {
        Bell bell(validation::paper_host(2), {0});
        bell.sleeper_first = 1_us;
        std::vector<std::unique_ptr<Thread>> hogs;
        bell.sim.engine.spawn("waker", bell.wake());
        bell.sim.engine.spawn("sleeper", bell.sleep());  // on the other core
        for (const unsigned core : {1U, here_has_less ? 1U : 0U}) {
            hogs.push_back(
                std::make_unique<Thread>(bell.cpu, "hog", Group::application, Affinity{core}));
            bell.sim.engine.spawn("hog", [](Thread& hog) -> Task<> {
                co_await hog.sleep_for(10_us);  // the sleeper has gone to sleep
                co_await hog.run(1_ms);
                hog.exit();
            }(*hogs.back()));
        }
        bell.sim.engine.run();
        CHECK(bell.sleeper.core()->id() == (here_has_less ? 0 : 1));
    }
}

TEST_CASE("a halted core is passed over where it looks preempted", "[exact]") {
    for (const bool unavailable : {false, true}) {
        host::HostProfile profile = validation::paper_host(2);
        profile.scheduler.halted_is_unavailable = unavailable;
        profile.scheduler.halt_poll = 10_us;
        Bell bell(profile, {0});
        bell.run();
        CHECK(bell.sleeper.core()->id() == (unavailable ? 0u : 1u));
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

TEST_CASE("interruptions take their share of a computing thread's time, and none of a sleeper's",
          "[exact]") {
    host::HostProfile profile = validation::paper_host(1);
    profile.interruptions = {{1_ms, 10_us}, {4_ms, 100_us}};
    validation::Simulation sim;
    Cpu cpu(sim.engine, profile, 1);
    Thread thread(cpu, "computes", Group::application);
    constexpr int runs = 20'000;
    static constexpr sim::Time asleep = 1000_s;
    Time ended;
    const auto work = [](Thread& self, Time& at) -> Task<> {
        for (int i = 0; i < runs; ++i) {
            co_await self.run(500_us);
            if (i == runs / 2) {
                co_await self.sleep_for(asleep);
            }
        }
        at = self.cpu().engine().now();
        self.exit();
    };
    sim.engine.spawn("computes", work(thread, ended));
    sim.engine.run();
    // Of 10 s, the kinds take 1 % and 2.5 %, in some 10,000 and 2,500 interruptions: 0.25 is five
    // standard deviations.
    const double share = (ended - asleep).seconds() / (runs * 500e-6) - 1;
    CHECK(share == Approx(0.035).margin(0.0025));
}
