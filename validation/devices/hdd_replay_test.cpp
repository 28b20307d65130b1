#include "device/hdd.h"
#include "devices/disksim.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

// Four real drives: what was traced on them is asked of their models, built from what was
// extracted of them. The measure is DiskSim's: the root mean square of the horizontal distance
// between the distributions of simulated and of measured response times ("demerit figure",
// Ruemmler and Wilkes, 1994). No constant of the model was fitted to the traces.

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::Hdd;
using device::Io;
using sim::Task;
using sim::Time;
using validation::DisksimDrive;

namespace {

Task<> replay(sim::Engine& engine,
              Hdd& drive,
              const std::vector<DisksimDrive::Request>& requests,
              std::vector<double>& responses) {
    for (const DisksimDrive::Request& request : requests) {
        Io io;
        io.kind = request.write ? Io::Kind::write : Io::Kind::read;
        io.offset = request.sector * 512;
        io.bytes = request.count * 512;
        const Time began = engine.now();
        co_await drive.serve(io);
        responses.push_back((engine.now() - began).seconds());
        co_await engine.delay(request.gap);
    }
}

double demerit_ms(std::vector<double> simulated, const DisksimDrive& drive) {
    std::vector<double> measured;
    for (const DisksimDrive::Request& request : drive.requests) {
        measured.push_back(request.response.seconds());
    }
    REQUIRE(simulated.size() == measured.size());
    std::sort(simulated.begin(), simulated.end());
    std::sort(measured.begin(), measured.end());
    double squares = 0;
    for (std::size_t i = 0; i < measured.size(); ++i) {
        squares += (simulated[i] - measured[i]) * (simulated[i] - measured[i]);
    }
    return std::sqrt(squares / static_cast<double>(measured.size())) * 1e3;
}

/// Nobody knows how the platters stood when a trace began: the mean over twelve positions.
double mean_demerit_ms(const DisksimDrive& drive) {
    constexpr int positions = 12;
    double sum = 0;
    for (int i = 0; i < positions; ++i) {
        validation::Simulation sim;
        Hdd hdd(sim.engine, "drive", drive.config);
        std::vector<double> responses;
        const Time first = Time::from_seconds(60 / drive.config.rpm * i / positions);
        sim.engine.spawn("host", [](sim::Engine& engine, Time wait, Task<> body) -> Task<> {
            co_await engine.delay(wait);
            co_await std::move(body);
        }(sim.engine, first, replay(sim.engine, hdd, drive.requests, responses)));
        sim.engine.run();
        hdd.station().check(sim.engine.now());
        sum += demerit_ms(std::move(responses), drive);
    }
    return sum / positions;
}

const std::string folder = FUSESIM_DEVICE_DATA "/hdd";

}  // namespace

// The bounds are what DiskSim 4.0 reaches with the same files.

TEST_CASE("Cheetah 9LP: replayed as well as by DiskSim", "[hdd][replay]") {
    CHECK(mean_demerit_ms(validation::load_disksim(folder, "cheetah9LP")) <= 0.107);
}

TEST_CASE("Atlas 10K: replayed as well as by DiskSim", "[hdd][replay]") {
    CHECK(mean_demerit_ms(validation::load_disksim(folder, "atlas10k")) <= 0.268);
}

TEST_CASE("Barracuda: replayed as well as by DiskSim", "[hdd][replay]") {
    CHECK(mean_demerit_ms(validation::load_disksim(folder, "barracuda")) <= 0.348);
}

TEST_CASE("HP C2247: replayed as well as by DiskSim", "[hdd][replay]") {
    // The bus of the test bed, from DiskSim's valid/hp_c2247a.parv: "Read block transfer time =
    // 0.17010", "Write block transfer time = 0.18686" (ms).
    CHECK(mean_demerit_ms(
              validation::load_disksim(folder, "hp_c2247a", {170'100_ns, 186'860_ns})) <= 0.090);
}
