#include "support/device_parts.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <memory>
#include <string>

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::DeviceSettings;
using validation::device_of;

namespace {

sim::Task<> one(device::Device& device) {
    co_await device.serve(device::Io{});
}

}  // namespace

TEST_CASE("a part file says which device is built", "[device]") {
    const DeviceSettings settings =
        device_of("type: queueing\nservers: 2\nservice: 10 us\nname: two servers\n");
    validation::Simulation sim;
    const auto device = device::make_device(sim.engine, "disk", settings, 1);
    for (int i = 0; i < 3; ++i) {
        sim.engine.spawn("customer", one(*device));
    }
    sim.engine.run();
    CHECK(sim.engine.now() == 20_us);
    CHECK(device->station().name() == "disk");
    CHECK(device->station().departures() == 3);
}

TEST_CASE("a device of an unknown type is refused with the words there are", "[device]") {
    CHECK_THROWS_WITH(device_of("type: drum\n"), Catch::Contains("part.yaml:1:7"));
    CHECK_THROWS_WITH(device_of("type: queueing\nrpm: 3\n"), Catch::Contains("unknown key"));
}

namespace {

const std::string disk =
    "type: hdd\nzones: [{cylinders: 1000, sectors_per_track: 1}]\n"
    "seek: {track_to_track: 1 ms, average: 3 ms, full_stroke: 6 ms}\n";

}  // namespace

TEST_CASE("a hard disk needs zones, and seek times that make sense", "[device]") {
    CHECK_NOTHROW(device_of(disk));
    CHECK_THROWS_WITH(device_of("type: hdd\n"), Catch::Contains("zones are missing"));
    CHECK_THROWS_WITH(device_of("type: hdd\nzones: [{cylinders: 10}]\n"),
                      Catch::Contains("need a seek: either a curve, or track_to_track"));
    CHECK_THROWS_WITH(device_of(disk + "sectors: 1001\n"),
                      Catch::Contains("hold 1000 sectors, fewer than `sectors` says"));
    CHECK_THROWS_WITH(device_of("type: hdd\nzones: [{cylinders: 1000, sectors_per_track: 9}]\n"
                                "seek: {track_to_track: 4 ms, average: 3 ms, full_stroke: 6 ms}"),
                      Catch::Contains("give a curve that falls"));
    CHECK_THROWS_WITH(device_of("type: hdd\nzones: [{cylinders: 10, sectors_per_track: 9}]\n"
                                "seek: {curve: [{cylinders: 2, time: 1 ms}, "
                                "{cylinders: 2, time: 2 ms}]}"),
                      Catch::Contains("distances do not rise"));
    CHECK_THROWS_WITH(device_of("type: hdd\nsparing: zone\n"
                                "zones: [{cylinders: 1, sectors_per_track: 9, spares: 9}]\n"
                                "seek: {curve: [{cylinders: 1, time: 1 ms}]}"),
                      Catch::Contains("more spares than sectors in number 1"));
    CHECK_THROWS_WITH(device_of("type: hdd\n"
                                "zones: [{cylinders: 9, sectors_per_track: 9},"
                                "{first_cylinder: 8, cylinders: 1, sectors_per_track: 9}]\n"
                                "seek: {curve: [{cylinders: 1, time: 1 ms}]}"),
                      Catch::Contains("number 2 begins before 1 ends"));
    CHECK_THROWS_WITH(device_of(disk + "interface: {read: 0 MiB/s}\n"),
                      Catch::Contains("must be positive"));
}
