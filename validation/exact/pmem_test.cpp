#include "device/pmem.h"

#include "support/simulation.h"

#include <catch2/catch.hpp>

// Persistent memory with round numbers: a load takes 100 ns from the buffer (two lines of 256
// bytes), 1 us more from the medium, 10 us more where the address is new (two pages); the medium
// reads a line in 256 ns. The queue holds eight stores of 64 bytes; a line is written in 2 us; a
// store takes 10 ns.

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::Io;
using device::Pmem;
using device::PmemConfig;
using sim::Task;
using sim::Time;

namespace {

PmemConfig paper_memory() {
    PmemConfig config;
    config.capacity.count = 1u << 20;
    config.buffer.count = 512;
    config.translation_buffer.count = 8192;
    config.read = 100_ns;
    config.read_medium = 1_us;
    config.read_translation = 10_us;
    config.read_again = 50_ns;
    config.read_bandwidth.bytes_per_second = 1e9;
    config.loads = 4;
    config.write_queue.count = 512;
    config.write_medium = 2_us;
    config.write_again = 3_us;
    config.store = 10_ns;
    return config;
}

struct PmemBench {
    explicit PmemBench(const PmemConfig& config = paper_memory())
        : pmem(sim.engine, "pmem", config, 1) {}

    validation::Simulation sim;
    Pmem pmem;
};

}  // namespace

TEST_CASE("a load takes buffer, medium and translation", "[pmem][exact]") {
    PmemBench b;
    CHECK(b.pmem.load(0_us, 0, 8) == 11'100_ns);
    CHECK(b.pmem.load(20_us, 64, 8) == 20'100_ns);
    // The line that was loaded last is not ready again at once.
    CHECK(b.pmem.load(30_us, 64, 64) == 30'150_ns);
    CHECK(b.pmem.load(40_us, 256, 8) == 41'100_ns);
    CHECK(b.pmem.load(50_us, 4096, 8) == 61'100_ns);
    // One of the two lines in the buffer had to go for it, none of the two pages.
    const Time first = b.pmem.load(70_us, 0, 8);
    CHECK((first == 70'100_ns || first == 71'100_ns));
}

TEST_CASE("a thread has some loads under way, the medium serves all threads", "[pmem][exact]") {
    PmemBench b;
    CHECK(b.pmem.load(0_us, 0, 8) == 11'100_ns);
    // Four lines are sixteen words, one line in the buffer: the slowest takes 1.1 us, and fifteen
    // more words four at a time 850 ns each on average.
    CHECK(b.pmem.load(20_us, 0, 1024) == 20_us + 1100_ns + 850_ns * 15 / 4);
    // Two at the same time, of new lines on a known page: the second waits for the medium.
    PmemBench c;
    c.pmem.load(0_us, 0, 8);
    CHECK(c.pmem.load(20_us, 1024, 64) == 21'100_ns);
    CHECK(c.pmem.load(20_us, 1280, 64) == 21'100_ns + 256_ns);
}

TEST_CASE("stores end in the queue until it is full, and combine there", "[pmem][exact]") {
    PmemBench b;
    // Eight words of eight lines fill it; the first is being written until 2.01 us.
    Time now;
    for (unsigned i = 0; i < 8; ++i) {
        now = b.pmem.store(now, i * 256, 64);
    }
    CHECK(now == 80_ns);
    CHECK(b.pmem.store(now, 8 * 256, 64) == 2010_ns);

    // Two lines, two words each by turns: they are written once each.
    PmemBench c;
    now = Time();
    now = c.pmem.store(now, 0, 64);  // to the medium at once
    for (const unsigned at : {256u, 512u, 320u, 576u}) {
        now = c.pmem.store(now, at, 64);
    }
    CHECK(now == 50_ns);
    // The line of 256 is written from 2.01 to 4.01 us: until then its words may not change.
    CHECK(c.pmem.store(3_us, 320, 64) == 5010_ns);
}

TEST_CASE("a word on its way to the medium is stored to again only later", "[pmem][exact]") {
    PmemBench b;
    CHECK(b.pmem.store(0_us, 0, 64) == 10_ns);
    CHECK(b.pmem.store(1_us, 0, 64) == 3010_ns);
    CHECK(b.pmem.store(10_us, 64, 64) == 10'010_ns);
}

TEST_CASE("a long write goes at the medium's pace", "[pmem][exact]") {
    PmemBench b;
    // 64 lines: the last two are in the queue when the 62 before them have been written.
    CHECK(b.pmem.store(0_us, 0, 16'384) == 62 * 2_us + 80_ns);
}

TEST_CASE("as a block device it has an overhead and a flush that costs nothing more",
          "[pmem][exact]") {
    PmemConfig config = paper_memory();
    config.request = 1_us;
    PmemBench b(config);
    Time read;
    Time flushed;
    b.sim.engine.spawn("client",
                       [](sim::Engine& engine, Pmem& pmem, Time& one, Time& two) -> Task<> {
                           Io io;
                           io.bytes = 64;
                           co_await pmem.serve(io);
                           one = engine.now();
                           io.kind = Io::Kind::flush;
                           co_await pmem.serve(io);
                           two = engine.now();
                       }(b.sim.engine, b.pmem, read, flushed));
    b.sim.engine.run();
    CHECK(read == 12'100_ns);
    CHECK(flushed == 13'100_ns);
    CHECK_THROWS_WITH(b.pmem.load(20_us, 1u << 20, 1),
                      "pmem: a request ends at byte 1048577 of 1048576");
}
