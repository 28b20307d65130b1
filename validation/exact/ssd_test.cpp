#include "device/ssd.h"

#include "support/simulation.h"
#include "support/time_text.h"

#include <catch2/catch.hpp>

#include <functional>
#include <vector>

// Schedules of a small drive, to the picosecond. Cells 50 us to read, 500 us to program; 4 KiB take
// 10 us on a channel and 8 us on the link. Unit n lies on die n mod 4; dies 0 and 2 share channel
// 0.

using namespace fusesim;
using namespace fusesim::sim::literals;
using namespace fusesim::config::literals;
using device::Io;
using device::Precondition;
using device::Ssd;
using device::SsdConfig;
using sim::Time;

namespace {

constexpr std::uint64_t page = 4096;

SsdConfig small_drive() {
    SsdConfig config;
    config.interface = SsdConfig::Interface::sata;
    config.capacity = 8_MiB;
    config.write_buffer = 64_KiB;
    config.link.read = {page / 8e-6};
    config.link.write = {page / 8e-6};
    config.flash.channels = 2;
    config.flash.dies = 2;
    config.flash.planes = 1;
    config.flash.blocks = 64;
    config.flash.pages = 16;
    config.flash.page = 4_KiB;
    config.flash.read = 50_us;
    config.flash.program = 500_us;
    config.flash.erase = 3_ms;
    config.flash.channel = {page / 10e-6};
    return config;
}

/// Requests at given times, and when each was done.
struct Schedule {
    explicit Schedule(const SsdConfig& config) : ssd(sim.engine, "ssd", config, 1) {}

    ~Schedule() { sim.engine.kill_all(); }

    void at(Time when, const Io& io) {
        done.emplace_back();
        sim.engine.spawn("request", ask(when, io, done.size() - 1));
    }

    sim::Task<> ask(Time when, Io io, std::size_t which) {
        co_await sim.engine.delay(when);
        co_await ssd.serve(io);
        done[which] = sim.engine.now();
        order.push_back(which);
    }

    const std::vector<Time>& run() {
        sim.engine.run();
        ssd.station().check(sim.engine.now());
        ssd.ftl().check();
        return done;
    }

    validation::Simulation sim;
    Ssd ssd;
    std::vector<Time> done;
    std::vector<std::size_t> order;
};

Io read(std::uint64_t unit, std::uint32_t units = 1) {
    Io io;
    io.offset = unit * page;
    io.bytes = static_cast<std::uint32_t>(units * page);
    return io;
}

Io write(std::uint64_t unit, std::uint32_t units = 1) {
    Io io = read(unit, units);
    io.kind = Io::Kind::write;
    return io;
}

Io only(Io::Kind kind) {
    Io io;
    io.kind = kind;
    return io;
}

using Times = std::vector<Time>;

}  // namespace

TEST_CASE("a read takes cells, channel and link in turn", "[exact]") {
    Schedule schedule(small_drive());
    schedule.at(0_us, read(0));
    CHECK(schedule.run() == Times{68_us});
}

TEST_CASE("two reads of one die wait for it, of one channel or link for that", "[exact]") {
    SECTION("one die: until its register is empty") {
        Schedule schedule(small_drive());
        schedule.at(0_us, read(0));
        schedule.at(0_us, read(4));
        CHECK(schedule.run() == Times{68_us, 128_us});
    }
    SECTION("one channel") {
        Schedule schedule(small_drive());
        schedule.at(0_us, read(0));
        schedule.at(0_us, read(2));
        CHECK(schedule.run() == Times{68_us, 78_us});
    }
    SECTION("the link only") {
        Schedule schedule(small_drive());
        schedule.at(0_us, read(0));
        schedule.at(0_us, read(1));
        CHECK(schedule.run() == Times{68_us, 76_us});
    }
}

TEST_CASE("a large read uses all dies and sends on what comes first", "[exact]") {
    Schedule schedule(small_drive());
    schedule.at(0_us, read(0, 4));
    // Channels free the dies at 60, 60, 70, 70; the link is busy from 60 on.
    CHECK(schedule.run() == Times{92_us});
}

TEST_CASE("planes read together", "[exact]") {
    SsdConfig config = small_drive();
    config.flash.planes = 2;
    Schedule schedule(config);
    schedule.at(0_us, read(0, 2));
    schedule.at(0_us, read(3, 2));  // in two rows, on two dies
    // Row 0: cells 50, channel 70, link 86. Unit 3: die 1, channel 60, link 68.
    // Unit 4: die 2 on the channel of die 0 after it, 80; the link is free at 86.
    CHECK(schedule.run() == Times{86_us, 94_us});
}

TEST_CASE("a write ends in the buffer; a read behind its program waits", "[exact]") {
    Schedule schedule(small_drive());
    schedule.at(0_us, write(100));
    schedule.at(10_us, read(4));
    schedule.at(10_us, read(100));
    // The write goes to die 0: channel until 18 us, cells until 518 us.
    CHECK(schedule.run() == Times{8_us, 518_us + 68_us, 18_us});
}

TEST_CASE("reads pass programs that have not begun, but not for ever", "[exact]") {
    SsdConfig config = small_drive();
    config.flash.channels = 1;
    config.flash.dies = 1;
    config.capacity = 2_MiB;
    config.flash.reads_first = 1;
    Schedule schedule(config);
    schedule.at(0_us, write(100));
    schedule.at(0_us, write(101));
    for (int i = 0; i < 3; ++i) {
        schedule.at(20_us, read(i));
    }
    // Programs end at 518 us and, after one read of 60 us, 510 us later; then the other reads.
    CHECK(schedule.run() == Times{8_us, 16_us, 518_us + 68_us, 1088_us + 68_us, 1088_us + 128_us});
}

TEST_CASE("flush and FUA end when the data is on flash", "[exact]") {
    SsdConfig config = small_drive();
    config.flash.planes = 2;  // a row of two units, of which one is written
    SECTION("without them a part of a row stays in the buffer") {
        Schedule schedule(config);
        schedule.at(0_us, write(100));
        CHECK(schedule.run() == Times{8_us});
        CHECK(schedule.sim.engine.now() == 8_us);
        CHECK(schedule.ssd.counters().host_units == 0);
    }
    SECTION("flush") {
        Schedule schedule(config);
        schedule.at(0_us, write(100));
        schedule.at(20_us, only(Io::Kind::flush));
        schedule.at(700_us, only(Io::Kind::flush));
        CHECK(schedule.run() == Times{8_us, 530_us, 700_us});
        CHECK(schedule.ssd.counters().padding_units == 1);
    }
    SECTION("FUA") {
        Schedule schedule(config);
        Io io = write(100);
        io.fua = true;
        schedule.at(0_us, io);
        CHECK(schedule.run() == Times{518_us});
    }
    SECTION("with power-loss protection neither waits") {
        config.volatile_buffer = false;
        config.controller.flush_latency = 3_us;
        Schedule schedule(config);
        Io io = write(100);
        io.fua = true;
        schedule.at(0_us, io);
        schedule.at(20_us, only(Io::Kind::flush));
        CHECK(schedule.run() == Times{8_us, 23_us});
    }
}

TEST_CASE("commands beyond the queue depth wait outside", "[exact]") {
    SsdConfig config = small_drive();
    config.queue_depth = 1;
    Schedule schedule(config);
    schedule.at(0_us, read(0));
    schedule.at(0_us, read(1));
    CHECK(schedule.run() == Times{68_us, 136_us});
    CHECK(schedule.ssd.station().waiting().max_seconds() == Approx(68e-6));
}

TEST_CASE("SATA carries data one way at a time, NVMe both ways", "[exact]") {
    SsdConfig config = small_drive();
    config.precondition = Precondition::fresh;  // a read of nothing takes the link only
    const bool nvme = GENERATE(false, true);
    config.interface = nvme ? SsdConfig::Interface::nvme : SsdConfig::Interface::sata;
    config.link.read_command = 1_us;
    config.link.write_command = 2_us;
    Schedule schedule(config);
    schedule.at(0_us, read(0));
    schedule.at(0_us, write(0));
    CHECK(schedule.run() == Times{9_us, nvme ? 10_us : 19_us});
}

TEST_CASE("the firmware takes one command after another, from the queues in turn", "[exact]") {
    SsdConfig config = small_drive();
    config.interface = SsdConfig::Interface::nvme;
    config.queues = 2;
    config.precondition = Precondition::fresh;
    config.controller.read = 20_us;
    config.controller.read_latency = 5_us;
    Schedule schedule(config);
    for (const std::uint16_t stream : {0, 0, 0, 1}) {
        Io io = read(0);
        io.stream = stream;
        schedule.at(0_us, io);
    }
    CHECK(schedule.run() == Times{33_us, 53_us, 93_us, 73_us});
}

TEST_CASE("a write that is not sequential costs the firmware its own time", "[exact]") {
    SsdConfig config = small_drive();
    config.controller.write = 1_us;
    config.controller.random_write = 100_us;
    Schedule schedule(config);
    schedule.at(0_us, write(7));
    schedule.at(1_ms, write(8));
    schedule.at(2_ms, write(7));
    CHECK(schedule.run() == Times{108_us, 1009_us, 2108_us});
}

TEST_CASE("a write of part of a unit reads it first, unless there is nothing", "[exact]") {
    SsdConfig config = small_drive();
    Io io = write(0);
    io.offset = 512;
    io.bytes = 512;
    SECTION("from flash") {
        Schedule schedule(config);
        schedule.at(0_us, io);
        CHECK(schedule.run() == Times{61_us});
    }
    SECTION("nothing there") {
        config.precondition = Precondition::fresh;
        Schedule schedule(config);
        schedule.at(0_us, io);
        CHECK(schedule.run() == Times{1_us});
    }
    SECTION("both ends") {
        io.bytes = 2 * page;  // units 0 to 2, all of the second
        Schedule schedule(config);
        schedule.at(0_us, io);
        // Units 0 and 2 share a channel: the second is there at 70 us.
        CHECK(schedule.run() == Times{86_us});
    }
}

TEST_CASE("what was trimmed is read without the flash", "[exact]") {
    Schedule schedule(small_drive());
    Io io = read(0, 2);
    io.kind = Io::Kind::trim;
    io.offset += 1;  // so only unit 1 is inside
    schedule.at(0_us, io);
    schedule.at(10_us, read(1));
    schedule.at(100_us, read(0));
    io = only(Io::Kind::trim);
    io.bytes = 8u << 20;
    schedule.at(200_us, io);
    schedule.at(200_us, read(0));
    CHECK(schedule.run() == Times{0_us, 18_us, 168_us, 200_us, 208_us});
}

TEST_CASE("a full buffer holds writes back until a die is done", "[exact]") {
    SsdConfig config = small_drive();
    config.flash.channels = 1;
    config.flash.dies = 1;
    config.capacity = 2_MiB;
    config.write_buffer = 8_KiB;
    Schedule schedule(config);
    for (int i = 0; i < 3; ++i) {
        schedule.at(0_us, write(i));
    }
    CHECK(schedule.run() == Times{8_us, 16_us, 526_us});
}

TEST_CASE("no more dies program than the power allows", "[exact]") {
    SsdConfig config = small_drive();
    config.flash.programming_dies = 1;
    Schedule schedule(config);
    schedule.at(0_us, write(0, 3));
    schedule.at(25_us, only(Io::Kind::flush));
    schedule.at(600_us, read(6));  // die 2, which waits for power meanwhile
    // Three programs of 510 us, one after another.
    CHECK(schedule.run() == Times{24_us, 24_us + 3 * 510_us, 668_us});
}

TEST_CASE("the SLC cache takes new data until it is full, and again after idling", "[exact]") {
    SsdConfig config = small_drive();
    config.flash.channels = 1;
    config.flash.dies = 1;
    config.capacity = 2_MiB;
    config.slc_cache.size = 32_KiB;  // one block: 16 / 2 pages
    config.slc_cache.bits = 2;
    config.slc_cache.program = 100_us;
    config.slc_cache.read = 20_us;
    config.slc_cache.idle = 10_ms;
    Schedule schedule(config);
    schedule.at(0_us, write(0, 8));
    schedule.at(65_us, only(Io::Kind::flush));  // the first program began at 64 us
    schedule.at(2_ms, read(0));
    schedule.at(3_ms, write(0));
    schedule.at(3_ms + 9_us, only(Io::Kind::flush));
    schedule.at(4_ms, read(0));
    // Left alone for longer than it takes to read, move and erase one block.
    schedule.at(40_ms, write(0));
    schedule.at(40_ms + 9_us, only(Io::Kind::flush));
    CHECK(schedule.run() == Times{64_us,
                                  64_us + 8 * 110_us,
                                  2_ms + 38_us,
                                  3_ms + 8_us,
                                  3_ms + 518_us,
                                  4_ms + 68_us,
                                  40_ms + 8_us,
                                  40_ms + 118_us});
    // Unit 0 had been written elsewhere since.
    CHECK(schedule.ssd.counters().evicted_units == 7);
}

TEST_CASE("a request beyond the capacity ends the run", "[exact]") {
    Schedule schedule(small_drive());
    schedule.at(0_us, read(2047, 2));
    CHECK_THROWS_WITH(schedule.run(), Catch::Contains("beyond its capacity"));
}

TEST_CASE("parts report how busy they were", "[exact]") {
    Schedule schedule(small_drive());
    schedule.at(0_us, read(0));
    schedule.run();
    const auto usage = schedule.ssd.usage(68_us);
    REQUIRE(usage.size() == 4);
    CHECK(usage[1].part == "link");
    CHECK(usage[1].utilisation == Approx(8.0 / 68));
    CHECK(usage[2].utilisation == Approx(10.0 / 68 / 2));
    CHECK(usage[3].utilisation == Approx(60.0 / 68 / 4));
}
