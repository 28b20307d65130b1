#include "config/document.h"
#include "config/map.h"
#include "device/settings.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <memory>
#include <string>

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::DeviceSettings;

namespace {

DeviceSettings settings_of(const std::string& yaml) {
    return config::read<DeviceSettings>(config::Document::parse(yaml, "part.yaml"));
}

sim::Task<> one(device::Device& device) {
    co_await device.serve(device::Io{});
}

}  // namespace

TEST_CASE("a part file says which device is built", "[device]") {
    const DeviceSettings settings =
        settings_of("type: queueing\nservers: 2\nservice: 10 us\nname: two servers\n");
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
    CHECK_THROWS_WITH(settings_of("type: drum\n"), Catch::Contains("part.yaml:1:7"));
    CHECK_THROWS_WITH(settings_of("type: queueing\nrpm: 3\n"), Catch::Contains("unknown key"));
}
