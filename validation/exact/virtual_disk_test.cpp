#include "device/virtual_disk.h"

#include "support/simulation.h"
#include "support/time_text.h"

#include <catch2/catch.hpp>

#include <vector>

// Token buckets to the picosecond.

using namespace fusesim;
using namespace fusesim::sim::literals;
using namespace fusesim::config::literals;
using device::Io;
using device::TokenBucket;
using device::VirtualDisk;
using device::VirtualDiskConfig;
using sim::Distribution;
using sim::Time;

namespace {

constexpr std::uint32_t kib = 1024;

/// 3000 operations a second are one each 333,333,333.3 ps; the answer is the next whole one.
Time thirds_of_ms(std::int64_t n) {
    return Time::from_ps((n * 1'000'000'000 + 2) / 3);
}

VirtualDiskConfig plain() {
    VirtualDiskConfig config;
    config.bandwidth.rate = {1e12};
    config.bandwidth.burst = 1_GiB;
    return config;
}

struct DiskSchedule {
    explicit DiskSchedule(const VirtualDiskConfig& config) : disk(sim.engine, "disk", config, 1) {}

    void at(Time when, Io::Kind kind, std::uint64_t offset, std::uint32_t bytes) {
        done.emplace_back();
        sim.engine.spawn("request", ask(when, {kind, false, 0, bytes, offset}, done.size() - 1));
    }

    void read(Time when, std::uint64_t offset, std::uint32_t bytes) {
        at(when, Io::Kind::read, offset, bytes);
    }

    sim::Task<> ask(Time when, Io io, std::size_t which) {
        co_await sim.engine.delay(when);
        co_await disk.serve(io);
        done[which] = sim.engine.now();
    }

    const std::vector<Time>& run() {
        sim.engine.run();
        disk.station().check(sim.engine.now());
        return done;
    }

    validation::Simulation sim;
    VirtualDisk disk;
    std::vector<Time> done;
};

using Times = std::vector<Time>;

}  // namespace

TEST_CASE("a bucket gives its content at once and then one token as it comes", "[exact]") {
    TokenBucket bucket(3000, 2);
    CHECK(bucket.ready(0_us, 2) == 0_us);
    bucket.take(0_us, 2);
    CHECK(bucket.ready(0_us, 1) == Time::from_ps(333'333'334));
    CHECK(bucket.ready(Time::from_ps(333'333'333), 1) == Time::from_ps(333'333'334));
    CHECK(bucket.ready(Time::from_ps(333'333'334), 1) == Time::from_ps(333'333'334));
    // What was rounded up is not lost: three tokens come in a millisecond, always.
    for (std::int64_t n = 1; n <= 30'000; ++n) {
        REQUIRE(bucket.ready(0_us, 1) == thirds_of_ms(n));
        bucket.take(thirds_of_ms(n), 1);
    }
    // It never holds more than its size.
    bucket.take(100_s, 0);
    CHECK(bucket.ready(100_s, 2) == 100_s);
    bucket.take(100_s, 2);
    CHECK(bucket.ready(100_s, 1) == 100_s + Time::from_ps(333'333'334));
}

TEST_CASE("a volume lets its burst pass and then keeps to its rate", "[exact]") {
    VirtualDiskConfig config = plain();
    config.iops.burst = 4;
    DiskSchedule schedule(config);
    for (std::uint64_t i = 0; i < 10; ++i) {
        schedule.read(0_us, i << 20, 4 * kib);
    }
    Times expected(4, 0_us);
    for (int n = 1; n <= 6; ++n) {
        expected.push_back(thirds_of_ms(n));
    }
    CHECK(schedule.run() == expected);
    CHECK(schedule.disk.usage(2_ms)[0].utilisation == Approx(10.0 / 6));
}

TEST_CASE("bytes have a budget of their own; the tighter one decides", "[exact]") {
    VirtualDiskConfig config = plain();
    config.bandwidth.rate = {128.0 * 1024 * 1024};
    config.bandwidth.burst = 128_KiB;
    DiskSchedule schedule(config);
    for (std::uint64_t i = 0; i < 3; ++i) {
        schedule.read(0_us, i << 20, 128 * kib);
    }
    schedule.read(0_us, 5u << 20, 4 * kib);
    // 128 KiB at 128 MiB/s take 1/1024 s; by then there are operations enough.
    CHECK(schedule.run() == Times{0_us,
                                  Time::from_ps(976'562'500),
                                  2 * Time::from_ps(976'562'500),
                                  2 * Time::from_ps(976'562'500) + Time::from_ps(333'333'334)});
}

TEST_CASE("requests count by their size, and neighbours share an operation", "[exact]") {
    VirtualDiskConfig config = plain();
    config.io_size = 16_KiB;
    const Time first = 1_s;  // the bucket is full
    SECTION("a large one counts several times, one after another") {
        DiskSchedule schedule(config);
        schedule.read(first, 0, 33 * kib);
        schedule.read(first, 1u << 20, 4 * kib);
        CHECK(schedule.run() == Times{first + thirds_of_ms(2), first + thirds_of_ms(3)});
    }
    SECTION("what continues the last one is paid for until its operation is full") {
        DiskSchedule schedule(config);
        for (std::uint64_t i = 0; i < 6; ++i) {
            schedule.read(first, i * 4 * kib, 4 * kib);
        }
        schedule.at(first, Io::Kind::write, 6 * 4 * kib, 4 * kib);
        CHECK(schedule.run() == Times{first,
                                      first,
                                      first,
                                      first,
                                      first + thirds_of_ms(1),
                                      first + thirds_of_ms(1),
                                      first + thirds_of_ms(2)});
    }
    SECTION("unless the provider does not merge") {
        config.merge = false;
        DiskSchedule schedule(config);
        schedule.read(first, 0, 4 * kib);
        schedule.read(first, 4 * kib, 4 * kib);
        CHECK(schedule.run() == Times{first, first + thirds_of_ms(1)});
    }
}

TEST_CASE("saved-up operations are spent no faster than the peak", "[exact]") {
    VirtualDiskConfig config = plain();
    config.iops.rate = {100};
    config.iops.burst = 10;
    config.iops.peak = config::Rate{1000};
    DiskSchedule schedule(config);
    for (std::uint64_t i = 0; i < 14; ++i) {
        schedule.read(0_us, i << 20, 4 * kib);
    }
    // One a millisecond while ten saved ones last, and what comes meanwhile: at 10 ms one more is
    // there; then one each 10 ms.
    Times expected;
    for (int n = 0; n <= 9; ++n) {
        expected.push_back(n * 1_ms);
    }
    for (int n = 1; n <= 4; ++n) {
        expected.push_back(n * 10_ms);
    }
    CHECK(schedule.run() == expected);
}

TEST_CASE("latency comes after the budget, and a flush has no budget", "[exact]") {
    VirtualDiskConfig config = plain();
    config.read_latency = Distribution::constant(700_us);
    config.write_latency = Distribution::constant(900_us);
    config.flush_latency = Distribution::constant(100_us);
    DiskSchedule schedule(config);
    schedule.read(0_us, 0, 4 * kib);
    schedule.at(0_us, Io::Kind::write, 1u << 20, 4 * kib);
    schedule.at(0_us, Io::Kind::flush, 0, 0);
    CHECK(schedule.run() == Times{700_us, thirds_of_ms(1) + 900_us, 100_us});
    CHECK(schedule.disk.station().waiting().max_seconds() == Approx(1.0 / 3000));
}
