#include "device/hdd.h"

#include "sim/random.h"
#include "support/device_parts.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

// The ready part of a 15,000 rpm disk against closed forms of seek + half a revolution + transfer,
// and against what its maker states. Seeds are fixed.

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::Hdd;
using device::HddConfig;
using device::Io;
using sim::Task;
using sim::Time;

namespace {

HddConfig savvio(const std::vector<std::string>& overrides = {}) {
    return validation::ready_part<HddConfig>("savvio-15k2.yaml", overrides);
}

Task<> random_requests(
    Hdd& drive, Io::Kind kind, std::uint64_t sectors, std::uint64_t seed, int& left) {
    sim::Random random(seed, "requests");
    while (left > 0) {
        --left;
        Io io;
        io.kind = kind;
        io.bytes = 4096;
        io.offset = random.below(sectors / 8) * 4096;
        co_await drive.serve(io);
    }
}

Task<> in_sequence(Hdd& drive, Io::Kind kind, std::uint64_t from, std::uint32_t bytes, int count) {
    for (int i = 0; i < count; ++i) {
        Io io;
        io.kind = kind;
        io.bytes = bytes;
        io.offset = from + static_cast<std::uint64_t>(i) * bytes;
        co_await drive.serve(io);
    }
    Io flush;
    flush.kind = Io::Kind::flush;
    co_await drive.serve(flush);
}

/// Mean time between two answers in seconds, with that many requests at once.
double random_seconds(const HddConfig& config,
                      Io::Kind kind,
                      unsigned at_once,
                      std::uint64_t sectors) {
    validation::Simulation sim;
    Hdd drive(sim.engine, "disk", config);
    constexpr int requests = 20'000;
    int left = requests;
    for (unsigned i = 0; i < at_once; ++i) {
        sim.engine.spawn("client", random_requests(drive, kind, sectors, i + 1, left));
    }
    sim.engine.run();
    drive.station().check(sim.engine.now());
    return sim.engine.now().seconds() / requests;
}

double mb_per_s(const HddConfig& config, Io::Kind kind, std::uint64_t from, std::uint32_t bytes) {
    validation::Simulation sim;
    Hdd drive(sim.engine, "disk", config);
    const int count = static_cast<int>((128u << 20) / bytes);
    sim.engine.spawn("client", in_sequence(drive, kind, from, bytes, count));
    sim.engine.run();
    return count * 1e-6 * bytes / sim.engine.now().seconds();
}

constexpr double half_revolution = 2.0e-3;

}  // namespace

TEST_CASE("random reads take overhead, mean seek, half a revolution and transfer", "[hdd]") {
    const HddConfig config = savvio();
    const double transfer = 8 * (4e-3 / 1144.5 + 512 / 600e6);
    const double expected = 0.2e-3 + 2.7e-3 + half_revolution + transfer;
    const double seconds = random_seconds(config, Io::Kind::read, 1, *config.sectors);
    CHECK(seconds == Approx(expected).epsilon(0.02));
    // The data sheet: 2.9 ms with overhead, and a latency of 2.0 ms.
    CHECK(1 / seconds == Approx(1 / (2.9e-3 + 2.0e-3)).epsilon(0.05));
}

TEST_CASE("random writes to the medium take the data sheet's time", "[hdd]") {
    const HddConfig config = savvio({"buffer.write_cache=false"});
    const double seconds = random_seconds(config, Io::Kind::write, 1, *config.sectors);
    CHECK(1 / seconds == Approx(1 / (3.3e-3 + 2.0e-3)).epsilon(0.05));
}

TEST_CASE("sequential reads and writes reach the stated rates, outside and inside", "[hdd]") {
    const HddConfig config = savvio();
    const std::uint64_t inside = (*config.sectors * 512 - (160u << 20)) / 4096 * 4096;
    for (const std::uint32_t bytes : {65'536u, 131'072u, 1'048'576u}) {
        INFO(bytes << " bytes at once");
        CHECK(mb_per_s(config, Io::Kind::read, 0, bytes) == Approx(152).epsilon(0.05));
        CHECK(mb_per_s(config, Io::Kind::read, inside, bytes) == Approx(105).epsilon(0.05));
        CHECK(mb_per_s(config, Io::Kind::write, 0, bytes) == Approx(152).epsilon(0.05));
        CHECK(mb_per_s(config, Io::Kind::write, inside, bytes) == Approx(105).epsilon(0.05));
    }
}

TEST_CASE("short strokes, the same formula", "[hdd]") {
    // Within the first zone's first hundred cylinders the mean seek is computed point by point.
    const HddConfig config = savvio();
    const device::SeekCurve curve(config.seek, 62'640);
    constexpr std::uint32_t cylinders = 100;
    double seek = 0;
    for (std::uint32_t a = 0; a < cylinders; ++a) {
        for (std::uint32_t b = 0; b < cylinders; ++b) {
            seek += a == b ? 0.75 * config.seek.settle.seconds()
                           : curve.time(a > b ? a - b : b - a).seconds();
        }
    }
    seek /= cylinders * cylinders;
    const double transfer = 8 * (4e-3 / 1354 + 512 / 600e6);
    const double expected = 0.2e-3 + seek + half_revolution + transfer;
    const std::uint64_t sectors = std::uint64_t{cylinders} * 4 * 1354;
    HddConfig without = savvio({"buffer.read_ahead=none", "buffer.segments=1"});
    CHECK(random_seconds(without, Io::Kind::read, 1, sectors) == Approx(expected).epsilon(0.02));
}

TEST_CASE("a queue in the drive shortens positioning, and never reorders with fcfs", "[hdd]") {
    const HddConfig sptf = savvio();
    const HddConfig fcfs = savvio({"queue.scheduling=fcfs"});
    const double one = random_seconds(sptf, Io::Kind::read, 1, *sptf.sectors);
    const double in_order = random_seconds(fcfs, Io::Kind::read, 32, *sptf.sectors);
    // With two there is nothing to choose from: the queue only hides the controller's overhead.
    double before = random_seconds(sptf, Io::Kind::read, 2, *sptf.sectors);
    CHECK(before == Approx(one - 0.2e-3).epsilon(0.02));
    for (const unsigned depth : {4u, 8u, 16u, 32u}) {
        const double seconds = random_seconds(sptf, Io::Kind::read, depth, *sptf.sectors);
        INFO(depth << " at once");
        CHECK(seconds < 0.95 * before);
        before = seconds;
    }
    CHECK(in_order == Approx(one - 0.2e-3).epsilon(0.02));
}

TEST_CASE("mean seek between random cylinders is the average that was given", "[hdd]") {
    const HddConfig config = savvio();
    const std::uint32_t n = 62'640;
    const device::SeekCurve curve(config.seek, n);
    double sum = 0;
    for (std::uint32_t d = 1; d < n; ++d) {
        sum += 2.0 * (n - d) * curve.time(d).seconds();
    }
    CHECK(sum / n / n == Approx(2.7e-3).epsilon(0.001));
    CHECK(curve.time(1) == 300_us);
    CHECK(curve.time(n - 1).seconds() == Approx(5.55e-3).epsilon(1e-6));
}
