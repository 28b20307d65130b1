#include "host/cfs_queue.h"

#include <catch2/catch.hpp>

#include <array>

using namespace fusesim::sim::literals;
using fusesim::host::CfsConfig;
using fusesim::host::CfsQueue;
using fusesim::host::FairEntity;
using fusesim::sim::Time;

namespace {

/// Two hogs, new at 1 ms, of which `a` has run until 11 ms and then gone to sleep. With the
/// defaults of one CPU (latency 6 ms, granularities 750 us and 1 ms) a's vruntime is then 16 ms,
/// b's 9 ms: a new one begins behind all that are there, by its slice.
struct Sleeper {
    FairEntity a;
    FairEntity b;
    CfsQueue queue{CfsConfig{}};

    Sleeper() {
        queue.enqueue(a, 1_ms);
        queue.enqueue(b, 1_ms);
        queue.run(a, 1_ms);
        queue.update(11_ms);
        queue.dequeue(a, 11_ms, true);
        queue.stop(11_ms);
        queue.run(b, 11_ms);
    }
};

}  // namespace

TEST_CASE("CFS: a new thread begins a slice behind the others", "[exact]") {
    Sleeper s;
    CHECK(s.a.vruntime() == 16_ms);
    CHECK(s.b.vruntime() == 9_ms);
    CHECK(s.queue.min_vruntime() == 9_ms);
}

TEST_CASE("CFS: threads that are there from the beginning are equals", "[exact]") {
    FairEntity a;
    FairEntity b;
    CfsQueue queue{CfsConfig{}};
    queue.enqueue(a, Time());
    queue.run(a, Time());
    queue.enqueue(b, Time());
    CHECK(a.vruntime() == b.vruntime());
    queue.update(1_ms);
    CHECK_FALSE(queue.preempts(b));
    queue.update(1_ms + 1_ps);
    CHECK(queue.preempts(b));
}

TEST_CASE("CFS: who slept long is owed half a latency, who slept shortly keeps its place",
          "[exact]") {
    Sleeper s;
    SECTION("long: b is at 29 ms") {
        s.queue.enqueue(s.a, 31_ms);
        CHECK(s.a.vruntime() == 26_ms);
        CHECK(s.queue.preempts(s.a));
        CHECK(&s.queue.pick(31_ms) == &s.a);
    }
    SECTION("shortly: b is at 11 ms") {
        s.queue.enqueue(s.a, 13_ms);
        CHECK(s.a.vruntime() == 16_ms);
        CHECK_FALSE(s.queue.preempts(s.a));
        CHECK(&s.queue.pick(13_ms) == &s.b);
    }
}

TEST_CASE("CFS: a wake-up preempts from more than a granularity on", "[exact]") {
    Sleeper s;
    const bool more = GENERATE(false, true);
    const Time now = 19_ms + (more ? 1_ps : Time());  // b is at 17 ms, a at 16
    s.queue.enqueue(s.a, now);
    s.queue.update(now);
    CHECK(s.queue.preempts(s.a) == more);
}

TEST_CASE("CFS: who preempted is picked before one that has run a little less", "[exact]") {
    FairEntity c;
    Sleeper s;
    s.queue.enqueue(c, 11_ms);
    CHECK(c.vruntime() == 12_ms);  // 9 and a slice of two
    const bool preempted = GENERATE(false, true);
    s.queue.update(18_ms + 500_us);  // b is at 16.5 ms
    s.queue.enqueue(s.a, 18_ms + 500_us);
    REQUIRE(s.a.vruntime() == 16_ms);
    s.queue.update(23_ms);  // b at 21, c at 12, a at 16
    CHECK(&s.queue.pick(23_ms) == &c);
    if (preempted) {
        REQUIRE(s.queue.preempts(s.a));
    }
    CHECK(&s.queue.pick(23_ms) == &c);  // 4 ms less are too much
    s.queue.stop(23_ms);
    s.queue.run(c, 23_ms);
    s.queue.update(26_ms + 500_us);  // c at 15.5: within a granularity of a
    s.queue.stop(26_ms + 500_us);
    CHECK(&s.queue.pick(26_ms + 500_us) == (preempted ? &s.a : &c));
}

TEST_CASE("CFS: a slice is a share of the latency, but not less than the granularity", "[exact]") {
    std::array<FairEntity, 10> entities;
    CfsQueue queue{CfsConfig{}};
    queue.enqueue(entities[0], Time());
    queue.run(entities[0], Time());
    CHECK(queue.slice_end() == Time::max());
    queue.enqueue(entities[1], Time());
    CHECK(queue.slice_end() == 3_ms);
    CHECK_FALSE(queue.update(3_ms - 1_ps));
    CHECK(queue.update(3_ms));
    for (std::size_t i = 2; i < entities.size(); ++i) {
        queue.enqueue(entities[i], 3_ms);
    }
    CHECK(queue.slice_end() == 3_ms + 750_us);
}
