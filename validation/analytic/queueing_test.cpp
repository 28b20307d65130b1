#include "device/queueing_device.h"
#include "sim/random.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <vector>

// Queues of the textbook against their formulas. Every tolerance is the run's own 99 % confidence
// interval; seeds are fixed, so a failure is a change of the model, not bad luck.

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::Io;
using device::QueueingDevice;
using sim::Distribution;
using sim::Engine;
using sim::Task;
using sim::Time;

namespace {

Task<> customer(QueueingDevice& device) {
    co_await device.serve(Io{});
}

Task<> open_arrivals(Engine& engine,
                     QueueingDevice& device,
                     Distribution gap,
                     int warm_up,
                     int measured,
                     std::uint64_t seed) {
    sim::Random random(seed, "arrivals");
    for (int i = 0; i < warm_up + measured; ++i) {
        if (i == warm_up) {
            device.begin_window(engine.now());
        }
        engine.spawn("customer", customer(device));
        co_await engine.delay(gap.draw(random));
    }
}

struct Measured {
    double sojourn;  // seconds
    double half_width;
    double utilisation;
};

Measured open_queue(unsigned servers, const Distribution& service, Time gap, std::uint64_t seed) {
    validation::Simulation sim;
    QueueingDevice device(sim.engine, "device", {servers, service}, seed);
    sim.engine.spawn(
        "arrivals",
        open_arrivals(sim.engine, device, Distribution::exponential(gap), 20'000, 400'000, seed));
    sim.engine.run();
    device.station().check(sim.engine.now());
    const sim::Tally& sojourn = device.station().sojourn();
    return {sojourn.mean_seconds(),
            sojourn.batch_means().half_width(0.99) * 1e-12,
            device.station().utilisation(sim.engine.now())};
}

/// Probability that an arrival must wait in M/M/c.
double erlang_c(unsigned c, double a) {
    double term = 1;
    double sum = 1;
    for (unsigned k = 1; k < c; ++k) {
        term *= a / k;
        sum += term;
    }
    const double last = term * a / c * c / (c - a);
    return last / (sum + last);
}

}  // namespace

TEST_CASE("M/M/1: mean sojourn time is service / (1 - utilisation)", "[analytic]") {
    for (const double rho : {0.3, 0.6, 0.8}) {
        const Time service = 10_us;
        const Time gap = Time::from_seconds(service.seconds() / rho);
        const Measured m = open_queue(1, Distribution::exponential(service), gap, 11);
        INFO("utilisation " << rho);
        CHECK(m.sojourn == Approx(service.seconds() / (1 - rho)).margin(m.half_width));
        CHECK(m.utilisation == Approx(rho).epsilon(0.02));
    }
}

TEST_CASE("M/M/c: mean sojourn time follows Erlang's C formula", "[analytic]") {
    for (const unsigned c : {2u, 4u, 16u}) {
        const double rho = 0.75;
        const Time service = 10_us;
        const Time gap = Time::from_seconds(service.seconds() / (rho * c));
        const Measured m = open_queue(c, Distribution::exponential(service), gap, 12);
        const double waiting = erlang_c(c, rho * c) * service.seconds() / (c * (1 - rho));
        INFO(c << " servers");
        CHECK(m.sojourn == Approx(waiting + service.seconds()).margin(m.half_width));
    }
}

TEST_CASE("M/D/1 waits half as long as M/M/1", "[analytic]") {
    const double rho = 0.7;
    const Time service = 10_us;
    const Time gap = Time::from_seconds(service.seconds() / rho);
    const Measured m = open_queue(1, Distribution::constant(service), gap, 13);
    const double waiting = rho * service.seconds() / (2 * (1 - rho));
    CHECK(m.sojourn == Approx(waiting + service.seconds()).margin(m.half_width));
}

TEST_CASE("M/G/1 follows Pollaczek and Khinchine", "[analytic]") {
    const double rho = 0.6;
    const Distribution shapes[] = {
        Distribution::erlang(10_us, 4),
        Distribution::hyperexponential(0.8, 5_us, 30_us),
        Distribution::lognormal(10_us, 1.5),
    };
    for (const Distribution& service : shapes) {
        const double mean = service.mean().seconds();
        const Measured m = open_queue(1, service, Time::from_seconds(mean / rho), 14);
        const double waiting = rho * mean * (1 + service.scv()) / (2 * (1 - rho));
        INFO("squared coefficient of variation " << service.scv());
        CHECK(m.sojourn == Approx(waiting + mean).margin(m.half_width));
    }
}

namespace {

struct ClosedNetwork {
    std::vector<double> demand;  // seconds at each single-server station
    double think;
};

/// Exact mean value analysis (Reiser and Lavenberg, 1980): throughput with n customers.
double mva_throughput(const ClosedNetwork& network, int customers) {
    std::vector<double> queue(network.demand.size(), 0.0);
    double throughput = 0;
    for (int n = 1; n <= customers; ++n) {
        double total = network.think;
        std::vector<double> residence(network.demand.size());
        for (std::size_t i = 0; i < residence.size(); ++i) {
            residence[i] = network.demand[i] * (1 + queue[i]);
            total += residence[i];
        }
        throughput = n / total;
        for (std::size_t i = 0; i < residence.size(); ++i) {
            queue[i] = throughput * residence[i];
        }
    }
    return throughput;
}

Task<> circulate(Engine& engine,
                 std::vector<QueueingDevice*> stations,
                 Distribution think,
                 std::uint64_t seed,
                 int id,
                 sim::Tally& cycles,
                 int& laps) {
    sim::Random random(seed, "customer " + std::to_string(id));
    while (laps > 0) {
        const Time began = engine.now();
        co_await engine.delay(think.draw(random));
        for (QueueingDevice* station : stations) {
            co_await station->serve(Io{});
        }
        --laps;
        cycles.add(engine.now() - began);
    }
}

}  // namespace

TEST_CASE("a closed network agrees with exact mean value analysis", "[analytic]") {
    const ClosedNetwork network{{10e-6, 6e-6, 3e-6}, 20e-6};
    for (const int customers : {1, 4, 12}) {
        validation::Simulation sim;
        std::vector<std::unique_ptr<QueueingDevice>> stations;
        std::vector<QueueingDevice*> route;
        for (std::size_t i = 0; i < network.demand.size(); ++i) {
            stations.push_back(std::make_unique<QueueingDevice>(
                sim.engine,
                "station" + std::to_string(i),
                device::QueueingDeviceConfig{
                    1, Distribution::exponential(Time::from_seconds(network.demand[i]))},
                15));
            route.push_back(stations.back().get());
        }
        sim::Tally cycles;
        int laps = 300'000;
        for (int i = 0; i < customers; ++i) {
            sim.engine.spawn("customer",
                             circulate(sim.engine,
                                       route,
                                       Distribution::exponential(Time::from_seconds(network.think)),
                                       15,
                                       i,
                                       cycles,
                                       laps));
        }
        sim.engine.run();
        const double cycle = customers / mva_throughput(network, customers);
        INFO(customers << " customers");
        CHECK(cycles.mean_seconds() ==
              Approx(cycle).margin(cycles.batch_means().half_width(0.99) * 1e-12));
        for (const auto& station : stations) {
            CHECK_NOTHROW(station->station().check(sim.engine.now()));
        }
    }
}
