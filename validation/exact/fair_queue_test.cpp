#include "host/eevdf_queue.h"

#include <catch2/catch.hpp>

using namespace fusesim::sim::literals;
using fusesim::host::EevdfQueue;
using fusesim::host::FairEntity;
using fusesim::sim::Time;

// Times, vruntimes and decisions as read from the sched_entity of cat and of a FUSE daemon, each
// the only thread of its group on one core of a kernel 6.18.
TEST_CASE("sleep, debt, lag and preemption go as recorded in a kernel", "[exact]") {
    FairEntity cat;
    FairEntity daemon;
    EevdfQueue queue(1'400'000_ns);
    Time now;
    const auto runs = [&](FairEntity& entity, Time span) {
        if (queue.current() != &entity) {
            queue.stop(now);
            CHECK(&queue.pick(now) == &entity);
            queue.run(entity, now);
        }
        now += span;  // not yet counted, as in the kernel
    };
    const auto wakes = [&](FairEntity& entity) {
        queue.enqueue(entity, now);
        queue.update(now);
        return queue.preempts(entity);
    };
    queue.enqueue(cat, now);
    queue.enqueue(daemon, now);

    runs(cat, 7'468_ns);
    CHECK_FALSE(queue.dequeue(cat, now, true));  // has run more: sleeps in debt
    CHECK(cat.delayed());
    runs(daemon, 7'982_ns);
    CHECK(wakes(cat));
    CHECK_FALSE(cat.delayed());
    CHECK(cat.vruntime() == 7'468_ns);

    runs(cat, 11'117_ns);
    CHECK_FALSE(queue.dequeue(cat, now, true));
    runs(daemon, 6'369_ns);
    CHECK_FALSE(wakes(cat));  // still in debt
    runs(daemon, 2'244_ns);
    CHECK(queue.dequeue(daemon, now, true));
    CHECK(daemon.lag() == 995_ns);

    runs(cat, 3'745_ns);
    CHECK(wakes(daemon));
    CHECK(cat.vruntime() - daemon.vruntime() == 1'990_ns);
    CHECK(daemon.deadline() - daemon.vruntime() == 1'400_us);
    runs(daemon, 6'890_ns);
    CHECK_FALSE(queue.dequeue(daemon, now, true));
    runs(cat, 6'550_ns);
    CHECK(wakes(daemon));
    CHECK_FALSE(queue.dequeue(cat, now, true));
    runs(daemon, 13'380_ns);
    CHECK(wakes(cat));

    runs(cat, 8'342_ns);
    CHECK(queue.dequeue(cat, now, true));
    CHECK(cat.lag() == 1'694_ns);
    runs(daemon, 6'249_ns);
    CHECK(wakes(cat));
    CHECK(daemon.vruntime() - cat.vruntime() == 3'388_ns);
}

namespace {

/// a has run 10 us and sleeps in debt; b runs.
struct SleepInDebt {
    FairEntity a;
    FairEntity b;
    EevdfQueue queue{100_us};

    SleepInDebt() {
        queue.enqueue(a, Time());
        queue.enqueue(b, Time());
        queue.run(a, Time());
        CHECK_FALSE(queue.dequeue(a, 10_us, true));
        queue.stop(10_us);
        queue.run(b, 10_us);
    }
};

}  // namespace

TEST_CASE_METHOD(SleepInDebt, "a debt is forgiven once it is paid, but makes no claim", "[exact]") {
    queue.update(30_us);  // b has run 20, a 10

    SECTION("found paid when it wakes: it starts where b was") {
        queue.enqueue(a, 35_us);
        CHECK(a.vruntime() == 20_us);  // at the last update
        queue.update(35_us);
        CHECK(queue.preempts(a));
    }
    SECTION("picked while it sleeps: it leaves with no claim") {
        CHECK_FALSE(queue.dequeue(b, 30_us, true));
        REQUIRE(&queue.pick(30_us) == &a);
        queue.dequeue_delayed(a, 30_us);
        CHECK(a.lag() == Time());
        CHECK_FALSE(a.queued());
        CHECK(queue.size() == 1);
    }
}

TEST_CASE_METHOD(SleepInDebt,
                 "who is taken away while it sleeps in debt comes back with it",
                 "[exact]") {
    queue.dequeue_delayed(a, 12_us);  // a has run 10, b 2
    CHECK(a.lag() == Time() - 4_us);
}

TEST_CASE("the eligible one with the earliest deadline is picked", "[exact]") {
    FairEntity a;
    FairEntity b;
    FairEntity c;
    EevdfQueue queue(100_us);
    queue.enqueue(a, Time());
    queue.enqueue(b, Time());
    queue.run(a, Time());
    queue.enqueue(c, 40_us);  // placed at the average of 40 and 0
    CHECK(c.vruntime() == 20_us);
    CHECK(queue.slice_end() == 100_us);
    CHECK_FALSE(queue.update(100_us - 1_ps));
    CHECK(queue.update(100_us));
    CHECK(a.deadline() == 200_us);
    queue.stop(100_us);
    CHECK(&queue.pick(100_us) == &b);  // deadline 100, c's is 120
    queue.run(b, 100_us);
    CHECK_FALSE(queue.update(160_us));  // a 100, b 60, c 20: b is at the average, thus protected
    CHECK_FALSE(queue.preempts(c));
    CHECK_FALSE(queue.update(160_us + 1_ps));
    CHECK(queue.preempts(c));
}
