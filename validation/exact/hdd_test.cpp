#include "device/hdd.h"

#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <functional>
#include <string>
#include <vector>

// A disk with round numbers, so that schedules can be made on paper: 6000 rpm are 10 ms a
// revolution, 100 sectors a track pass in 100 us each, a sector crosses to the host in 1 us, a seek
// takes 1 ms and 10 us for each cylinder more, another head 500 us. Two heads: sectors 0 to 99 are
// the first track, 200 to 299 the first one of the next cylinder. No skews, no overhead.

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::Hdd;
using device::HddBuffer;
using device::HddConfig;
using device::HddQueue;
using device::Io;
using sim::Engine;
using sim::Task;
using sim::Time;

namespace {

HddConfig paper_disk() {
    HddConfig config;
    config.rpm = 6000;
    config.heads = 2;
    config.zones.resize(1);
    config.zones[0].cylinders = 100;
    config.zones[0].sectors_per_track = 100;
    config.seek.curve = {{1, 1_ms}, {101, 2_ms}};
    config.seek.head_switch = 500_us;
    config.interface.read.bytes_per_second = 512e6;
    config.interface.write.bytes_per_second = 512e6;
    config.buffer.read_ahead = HddBuffer::ReadAhead::none;
    config.buffer.segment_size.count = 64 * 512;
    return config;
}

struct DiskRequest {
    Time at;
    Io::Kind kind;
    std::uint64_t sector;
    std::uint32_t count;
};

Task<> ask(Engine& engine, Hdd& disk, DiskRequest request, Time& done) {
    co_await engine.delay(request.at);
    Io io;
    io.kind = request.kind;
    io.offset = request.sector * 512;
    io.bytes = request.count * 512;
    co_await disk.serve(io);
    done = engine.now();
}

/// When each request is done.
std::vector<Time> run(const HddConfig& config, const std::vector<DiskRequest>& requests) {
    validation::Simulation sim;
    Hdd disk(sim.engine, "disk", config);
    std::vector<Time> done(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
        sim.engine.spawn("client", ask(sim.engine, disk, requests[i], done[i]));
    }
    sim.engine.run();
    disk.station().check(sim.engine.now());
    return done;
}

constexpr auto get = Io::Kind::read;
constexpr auto put = Io::Kind::write;

}  // namespace

TEST_CASE("a sector is read when it has passed, and crosses to the host", "[hdd][exact]") {
    // Sector 50 begins to pass at 5 ms.
    CHECK(run(paper_disk(), {{0_ms, get, 50, 1}})[0] == 5101_us);
    // Ten of them: the way to the host is faster than the medium, so only the last one counts.
    CHECK(run(paper_disk(), {{0_ms, get, 50, 10}})[0] == 6001_us);
    // Asked for while it passes, it comes with the next revolution.
    CHECK(run(paper_disk(), {{5001_us, get, 50, 1}})[0] == 15'101_us);
}

TEST_CASE("a slow way to the host begins with the first sector and ends last", "[hdd][exact]") {
    HddConfig config = paper_disk();
    config.interface.read.bytes_per_second = 512.0 / 400e-6;
    CHECK(run(config, {{0_ms, get, 0, 10}})[0] == 4100_us);
    // With a watermark of one half it begins with the fifth.
    config.buffer.read_watermark.value = 0.5;
    CHECK(run(config, {{0_ms, get, 0, 10}})[0] == 4500_us);
}

TEST_CASE("seek, head switch, settling", "[hdd][exact]") {
    HddConfig config = paper_disk();
    // Cylinder 1: 1 ms, then 9 ms until sector 200 passes; cylinder 51: 1.5 ms.
    CHECK(run(config, {{0_ms, get, 200, 1}})[0] == 10'101_us);
    CHECK(run(config, {{0_ms, get, 215, 1}})[0] == 1601_us);
    CHECK(run(config, {{0_ms, get, 10'215, 1}})[0] == 1601_us);
    CHECK(run(config, {{0_ms, get, 10'214, 1}})[0] == 11'501_us);
    // The other head: 0.5 ms, or the 0.7 ms of settling.
    CHECK(run(config, {{0_ms, get, 105, 1}})[0] == 601_us);
    config.seek.settle = 700_us;
    CHECK(run(config, {{0_ms, get, 105, 1}})[0] == 10'601_us);
    CHECK(run(config, {{0_ms, get, 107, 1}})[0] == 801_us);
    // Along the way no settling: 95 to 99 and, half a millisecond later than 0.5 ms, 105.
    CHECK(run(config, {{0_ms, get, 95, 10}})[0] == 20'501_us);
    config.zones[0].track_skew = 5;
    CHECK(run(config, {{0_ms, get, 95, 10}})[0] == 11'001_us);
    // Writes settle longer, after a move: 215 passes at 2.0 ms now.
    config.seek.write_settle = 100_us;
    CHECK(run(config, {{0_ms, put, 215, 1}})[0] == 2100_us);
}

TEST_CASE("skews, slipped sectors and spares say where a sector lies", "[hdd][exact]") {
    HddConfig config = paper_disk();
    config.sparing = HddConfig::Sparing::zone;
    config.zones[0].spares = 50;
    config.zones[0].slipped = {3, 7};
    CHECK(run(config, {{0_ms, get, 2, 1}})[0] == 301_us);
    CHECK(run(config, {{0_ms, get, 3, 1}})[0] == 501_us);
    CHECK(run(config, {{0_ms, get, 6, 1}})[0] == 901_us);
    CHECK(device::HddLayout(config).sectors() == 20'000 - 50);

    config.sparing = HddConfig::Sparing::range;
    config.sparing_range = 2;  // of 400 sectors, 350 have data
    config.zones[0].slipped = {403};
    const device::HddLayout ranges(config);
    CHECK(ranges.sectors() == 50 * 350);
    CHECK(ranges.place(350).cylinder == 2);
    CHECK(ranges.place(352).angle == 200_us);
    CHECK(ranges.place(353).angle == 400_us);

    config.sparing = HddConfig::Sparing::track;
    config.zones[0].spares = 4;
    config.zones[0].slipped = {1};  // a track
    const device::HddLayout tracks(config);
    CHECK(tracks.sectors() == 19'600);
    CHECK(tracks.place(99).cylinder == 0);
    CHECK(tracks.place(100).cylinder == 1);

    config = paper_disk();
    config.order = HddConfig::Order::alternating;
    config.zones[0].track_skew = 5;
    config.zones[0].cylinder_skew = 12;
    const device::HddLayout layout(config);
    CHECK(layout.place(100).head == 1);
    CHECK(layout.place(100).angle == 500_us);
    CHECK(layout.place(200).head == 1);
    CHECK(layout.place(200).angle == 1700_us);
    CHECK(layout.place(300).head == 0);
    CHECK(layout.place(300).angle == 2200_us);
}

TEST_CASE("what was read ahead is a hit", "[hdd][exact]") {
    HddConfig config = paper_disk();
    config.buffer.read_ahead = HddBuffer::ReadAhead::segment;
    config.controller.read_hit = {50_us, 50_us};
    // After 0 to 3, the segment of 64 sectors is full at 6.4 ms.
    CHECK(run(config, {{0_ms, get, 0, 4}, {8_ms, get, 60, 4}})[1] == 8054_us);
    CHECK(run(config, {{0_ms, get, 0, 4}, {8_ms, get, 64, 1}})[1] == 16'501_us);
    // At 3 ms, sector 30 begins to pass: 28 to 31 are complete 0.2 ms later.
    CHECK(run(config, {{0_ms, get, 0, 4}, {3_ms, get, 28, 4}})[1] == 3201_us);
    // 30 itself counts as a hit.
    CHECK(run(config, {{0_ms, get, 0, 4}, {3_ms, get, 30, 1}})[1] == 3101_us);
    config.buffer.almost_hits = false;
    CHECK(run(config, {{0_ms, get, 0, 4}, {3_ms, get, 30, 1}})[1] == 3101_us);
    config.buffer.read_ahead = HddBuffer::ReadAhead::track;
    config.controller.read_miss = {50_us, 50_us};
    CHECK(run(config, {{0_ms, get, 80, 4}, {30_ms, get, 99, 1}})[1] == 30'051_us);
    CHECK(run(config, {{0_ms, get, 80, 4}, {30_ms, get, 100, 1}})[1] == 40'101_us);
}

TEST_CASE("free reads keep what passes before, zero latency reads begin anywhere", "[hdd][exact]") {
    HddConfig config = paper_disk();
    // Landed at 0, 50 is asked for: 0 to 49 pass before.
    const std::vector<DiskRequest> back = {{0_ms, get, 50, 1}, {10_ms, get, 20, 10}};
    CHECK(run(config, back)[1] == 13'001_us);
    config.buffer.free_reads = true;
    CHECK(run(config, back)[1] == 10'010_us);

    config = paper_disk();
    // Landed at 2.05 ms within 0 to 63: sector 21 is the first whole one; 0 to 20 come at the end.
    CHECK(run(config, {{2050_us, get, 0, 64}})[0] == 16'401_us);
    config.buffer.zero_latency = true;
    CHECK(run(config, {{2050_us, get, 0, 64}})[0] == 12'100_us + 44_us);
}

TEST_CASE("a cached write ends with its data and goes to the medium by itself", "[hdd][exact]") {
    HddConfig config = paper_disk();
    config.buffer.write_cache = true;
    config.controller.write_cached = {100_us, 100_us};
    // 100 us and 8 sectors; the medium has it at 5.8 ms.
    const auto done = run(config, {{0_ms, put, 50, 8}, {1_ms, put, 300, 8}});
    CHECK(done[0] == 108_us);
    // One write is all that fits: the second one waits for the first, and crosses then.
    CHECK(done[1] == 5808_us);
    config.buffer.write_segments = 2;
    CHECK(run(config, {{0_ms, put, 50, 8}, {1_ms, put, 300, 8}})[1] == 1108_us);
    // A flush waits for the medium: 5.8 ms, then cylinder 1, the other head, 300 at 10 ms.
    const auto flushed =
        run(config, {{0_ms, put, 50, 8}, {1_ms, put, 300, 8}, {2_ms, Io::Kind::flush, 0, 0}});
    CHECK(flushed[2] == 10'800_us);
    // What was written can be read from the buffer.
    CHECK(run(config, {{0_ms, put, 50, 8}, {1_ms, get, 52, 2}})[1] == 1002_us);
}

TEST_CASE("a write through the cache waits for the medium, and for its data", "[hdd][exact]") {
    HddConfig config = paper_disk();
    CHECK(run(config, {{0_ms, put, 50, 8}})[0] == 5800_us);
    // Data that come half as fast as the medium turns: every other sector misses its turn but one.
    config.interface.write.bytes_per_second = 512.0 / 200e-6;
    // Data of sector 0 are there at 0.2 ms: it is written at 10 ms; by then all others are there.
    CHECK(run(config, {{0_ms, put, 0, 8}})[0] == 10'800_us);
    // 4 begins to pass at 0.4 ms, with two sectors there: 4 is written, and so is 5; 6 needs
    // 0.6 ms and is passed at 0.6 ms; 7 would need 0.8 ms at 0.7 ms.
    CHECK(run(config, {{0_ms, put, 4, 4}})[0] == 10'800_us);
    // With three in the buffer before it begins, nothing is written in the first revolution.
    config.buffer.write_start = 3;
    CHECK(run(config, {{0_ms, put, 4, 4}})[0] == 10'800_us);
    config.seek.least_write_seek = 11_ms;
    CHECK(run(config, {{0_ms, put, 4, 4}})[0] == 20'800_us);
}

TEST_CASE("forced unit access passes the write cache by", "[hdd][exact]") {
    HddConfig config = paper_disk();
    config.buffer.write_cache = true;
    validation::Simulation sim;
    Hdd disk(sim.engine, "disk", config);
    Time done;
    sim.engine.spawn("client", [](Engine& engine, Hdd& drive, Time& end) -> Task<> {
        Io io;
        io.kind = Io::Kind::write;
        io.fua = true;
        io.offset = 50 * 512;
        io.bytes = 512;
        co_await drive.serve(io);
        end = engine.now();
    }(sim.engine, disk, done));
    sim.engine.run();
    CHECK(done == 5100_us);
}

TEST_CASE("the queue serves what passes first; one command at a time does not choose",
          "[hdd][exact]") {
    HddConfig config = paper_disk();
    config.queue.depth = 8;
    // While sector 10 is read, three others come: after 1.1 ms, 20 is next, then 40, then 30 is
    // behind by one revolution only if it is served in order.
    const std::vector<DiskRequest> requests = {
        {0_ms, get, 10, 1}, {500_us, get, 40, 1}, {510_us, get, 30, 1}, {520_us, get, 20, 1}};
    const auto nearest = run(config, requests);
    CHECK(nearest == std::vector<Time>{1101_us, 4101_us, 3101_us, 2101_us});
    config.queue.scheduling = HddQueue::Scheduling::fcfs;
    const auto in_order = run(config, requests);
    CHECK(in_order == std::vector<Time>{1101_us, 4101_us, 13'101_us, 22'101_us});
    config.queue.depth = 1;
    CHECK(run(config, requests) == std::vector<Time>{1101_us, 4101_us, 13'101_us, 22'101_us});
}

TEST_CASE("a station is busy while a command is served, once for all of them", "[hdd][exact]") {
    validation::Simulation sim;
    HddConfig config = paper_disk();
    config.queue.depth = 4;
    Hdd disk(sim.engine, "disk", config);
    Time done;
    sim.engine.spawn("a", ask(sim.engine, disk, {0_ms, get, 10, 1}, done));
    sim.engine.spawn("b", ask(sim.engine, disk, {500_us, get, 40, 1}, done));
    sim.engine.spawn("c", ask(sim.engine, disk, {8_ms, get, 99, 1}, done));
    sim.engine.run();
    CHECK(sim.engine.now() == 10'001_us);
    // 0 to 4.101 ms and 8 to 10.001 ms.
    CHECK(disk.station().utilisation(sim.engine.now()) == Approx(6.102 / 10.001));
    CHECK(disk.station().waiting().sum() == (600_us + 1_us).ps());
}

TEST_CASE("a request beyond the end is an error", "[hdd][exact]") {
    CHECK_THROWS_WITH(run(paper_disk(), {{0_ms, get, 19'999, 2}}),
                      "disk: a request ends at sector 20001 of 20000");
}
