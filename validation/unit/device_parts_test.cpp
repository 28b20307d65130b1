#include "support/device_parts.h"

#include "device/ssd.h"
#include "sim/random.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>
#include <vector>

using namespace fusesim;
using namespace fusesim::sim::literals;
using namespace fusesim::config::literals;
using device::DeviceSettings;
using device::Io;
using device::Ssd;
using device::SsdConfig;
using sim::Time;

namespace {

sim::Task<> one(device::Device& device, Io io, int& done) {
    co_await device.serve(io);
    ++done;
}

/// A drive with little of everything, so that every limit is met.
SsdConfig tight_drive(bool nvme) {
    SsdConfig config;
    config.interface = nvme ? SsdConfig::Interface::nvme : SsdConfig::Interface::sata;
    config.capacity = 13_MiB;
    config.queues = nvme ? 3 : 1;
    config.queue_depth = 4;
    config.write_buffer = 64_KiB;
    config.controller.read = 1_us;
    config.controller.write = 2_us;
    config.controller.random_write = 3_us;
    config.controller.flush_latency = 7_us;
    config.controller.write_latency = 2_us;
    config.flash.channels = 2;
    config.flash.dies = 2;
    config.flash.planes = 2;
    config.flash.blocks = 40;
    config.flash.pages = 16;
    config.flash.page = 4_KiB;
    config.flash.programming_dies = 2;
    config.flash.reads_first = 3;
    config.slc_cache.size = 128_KiB;
    config.slc_cache.idle = 2_ms;
    config.precondition = device::Precondition::steady;
    return config;
}

Io random_request(sim::Random& random, std::uint64_t capacity) {
    Io io;
    const std::uint64_t kind = random.below(100);
    io.kind = kind < 45   ? Io::Kind::read
              : kind < 90 ? Io::Kind::write
              : kind < 96 ? Io::Kind::flush
                          : Io::Kind::trim;
    io.fua = random.below(10) == 0;
    io.stream = static_cast<std::uint16_t>(random.below(7));
    if (io.kind != Io::Kind::flush) {
        // Of 512 bytes to 256 KiB, aligned to sectors: more than the buffer holds.
        io.bytes = static_cast<std::uint32_t>(
            (random.below(8) == 0 ? random.below(512) + 1 : random.below(16) + 1) * 512);
        io.offset = random.below((capacity - io.bytes) / 512 + 1) * 512;
    }
    return io;
}

sim::Task<> storm(sim::Engine& engine, Ssd& ssd, int requests, int& done) {
    sim::Random random(9, "storm");
    for (int i = 0; i < requests; ++i) {
        engine.spawn("request",
                     one(ssd, random_request(random, ssd.config().capacity.count), done));
        // Bursts, and now and then a pause in which the drive tidies up.
        const std::uint64_t pause = random.below(1000);
        if (pause < 500) {
            co_await engine.delay(
                Time::from_ns(static_cast<std::int64_t>(random.below(4'000'000))));
        } else if (pause == 999) {
            co_await engine.delay(50_ms);
        }
    }
}

}  // namespace

TEST_CASE("every ready part of a device can be read and built", "[device]") {
    int parts = 0;
    for (const auto& file : std::filesystem::directory_iterator(FUSESIM_CONFIGS "/devices")) {
        if (file.path().extension() != ".yaml") {
            continue;
        }
        INFO(file.path());
        const auto settings = validation::ready_part(file.path().filename());
        CHECK_FALSE(settings.name.empty());
        CHECK_FALSE(settings.provenance.empty());
        validation::Simulation sim;
        const auto device = device::make_device(sim.engine, "device", settings, 1);
        Io io;
        io.bytes = 4096;
        int done = 0;
        sim.engine.spawn("request", one(*device, io, done));
        sim.engine.run();
        CHECK(done == 1);
        CHECK(sim.engine.now() > 1_us);
        ++parts;
    }
    CHECK(parts >= 6);
}

TEST_CASE("settings of an SSD that cannot be are refused where they stand", "[device]") {
    const auto part_complaint = [](const std::string& yaml, const std::string& text) {
        CHECK_THROWS_WITH(validation::device_of("type: ssd\n" + yaml), Catch::Contains(text));
    };
    part_complaint("interface: sata\nqueues: 2\n", "part.yaml:3:9");
    part_complaint("interface: sata\nqueue_depth: 64\n", "32 commands");
    part_complaint("capacity: 2 TiB\n", "does not fit on the flash");
    part_complaint("unit: 3000\n", "does not divide flash.page");
    part_complaint("write_buffer: 32 KiB\n", "less than two pages of every plane");
    part_complaint("flash: {program: 5}\n", "has no unit");
}

TEST_CASE("no request is lost in a storm of all kinds, and the flash stays consistent",
          "[device]") {
    const bool nvme = GENERATE(false, true);
    Time ends[2];
    for (Time& end : ends) {
        validation::Simulation sim;
        Ssd ssd(sim.engine, "ssd", tight_drive(nvme), 1);
        int done = 0;
        sim.engine.spawn("storm", storm(sim.engine, ssd, 20'000, done));
        sim.engine.run();
        CHECK(done == 20'000);
        ssd.station().check(sim.engine.now());
        ssd.ftl().check();
        CHECK(ssd.counters().moved_units > 0);
        CHECK(ssd.counters().evicted_units > 0);
        CHECK(ssd.counters().padding_units > 0);
        end = sim.engine.now();
    }
    CHECK(ends[0] == ends[1]);
}

TEST_CASE("a run may end while a drive is busy", "[device]") {
    validation::Simulation sim;
    Ssd ssd(sim.engine, "ssd", tight_drive(true), 1);
    int done = 0;
    sim.engine.spawn("storm", storm(sim.engine, ssd, 20'000, done));
    sim.engine.run(100_ms);
    CHECK(done > 0);
    CHECK(done < 20'000);
    sim.engine.kill_all();
}
