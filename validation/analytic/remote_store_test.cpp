#include "device/remote_store.h"

#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::Io;
using device::RemoteStore;
using device::RemoteStoreConfig;
using sim::Distribution;
using sim::Task;
using sim::Time;

namespace {

Task<> ask(sim::Engine& engine, RemoteStore& store, Time when, Io io, Time& done) {
    co_await engine.delay(when);
    co_await store.serve(io);
    done = engine.now();
}

/// When each of these requests is done, in seconds.
std::vector<double> schedule(const RemoteStoreConfig& config,
                             const std::vector<std::pair<Time, Io>>& requests) {
    validation::Simulation sim;
    RemoteStore store(sim.engine, "store", config, 1);
    std::vector<Time> done(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
        sim.engine.spawn("request",
                         ask(sim.engine, store, requests[i].first, requests[i].second, done[i]));
    }
    sim.engine.run();
    store.station().check(sim.engine.now());
    std::vector<double> seconds;
    for (const Time time : done) {
        seconds.push_back(time.seconds());
    }
    return seconds;
}

Io get(std::uint32_t bytes) {
    return {Io::Kind::read, false, 0, bytes, 0};
}

Io put(std::uint32_t bytes) {
    return {Io::Kind::write, false, 0, bytes, 0};
}

/// 10 ms round trip; 1 MB/s a stream, 2 MB/s together.
RemoteStoreConfig slow() {
    RemoteStoreConfig config;
    config.read_latency = Distribution::constant(10_ms);
    config.write_latency = Distribution::constant(30_ms);
    config.stream = {1e6};
    config.bandwidth = {2e6};
    config.connections = 8;
    return config;
}

Task<> one(RemoteStore& store, std::uint32_t bytes) {
    co_await store.serve(get(bytes));
}

Task<> arrivals(sim::Engine& engine, RemoteStore& store, Distribution gap, Distribution bytes) {
    sim::Random random(21, "arrivals");
    for (int i = 0; i < 420'000; ++i) {
        if (i == 20'000) {
            store.begin_window(engine.now());
        }
        // A byte a nanosecond of the distribution.
        engine.spawn("request", one(store, static_cast<std::uint32_t>(bytes.draw(random).ns())));
        co_await engine.delay(gap.draw(random));
    }
}

}  // namespace

TEST_CASE("streams have their own limit until they have to share", "[analytic][remote]") {
    CHECK(schedule(slow(), {{0_us, get(10'000)}}) == std::vector{0.020});
    CHECK(schedule(slow(), {{0_us, put(10'000)}}) == std::vector{0.040});
    CHECK(schedule(slow(), {{0_us, get(0)}}) == std::vector{0.010});
    // Two fill the path exactly; four get half of their limit each.
    CHECK(schedule(slow(), {{0_us, get(10'000)}, {0_us, get(10'000)}}) == std::vector(2, 0.020));
    CHECK(schedule(slow(), {4, {0_us, get(10'000)}}) == std::vector(4, 0.030));
    // Both directions at the same time.
    CHECK(schedule(slow(), {{0_us, get(10'000)}, {0_us, get(10'000)}, {0_us, put(10'000)}}) ==
          std::vector{0.020, 0.020, 0.040});
}

TEST_CASE("a stream that joins slows the others down, one that leaves sets them free",
          "[analytic][remote]") {
    // Three from 10 ms on at 2/3 MB/s; at 25 ms the first two have 10,000 bytes and leave; the
    // third has 10,000 bytes left, and a limit of its own.
    const auto done =
        schedule(slow(), {{0_us, get(10'000)}, {0_us, get(10'000)}, {0_us, get(20'000)}});
    CHECK(done[0] == Approx(0.025).epsilon(1e-12));
    CHECK(done[1] == done[0]);
    CHECK(done[2] == Approx(0.035).epsilon(1e-12));
    // One alone for 5 ms (5,000 bytes), then three of them.
    const auto late =
        schedule(slow(), {{0_us, get(10'000)}, {5_ms, get(9'000)}, {5_ms, get(9'000)}});
    CHECK(late[0] == Approx(0.015 + 0.0075).epsilon(1e-12));
    // They had 5,000 bytes each by then, and now all they can take.
    CHECK(late[1] == Approx(0.0225 + 0.004).epsilon(1e-12));
}

TEST_CASE("requests beyond the connections wait their turn", "[analytic][remote]") {
    RemoteStoreConfig config = slow();
    config.connections = 1;
    CHECK(schedule(config, {3, {0_us, get(10'000)}}) == std::vector{0.020, 0.040, 0.060});
    // Flushes need none: what was answered is durable.
    Io flush;
    flush.kind = Io::Kind::flush;
    CHECK(schedule(config, {{0_us, get(0)}, {5_ms, flush}}) == std::vector{0.010, 0.005});
}

TEST_CASE("a shared path is processor sharing: the mean depends on the mean size only",
          "[analytic][remote]") {
    // M/G/1-PS: mean sojourn E[S] / (1 - rho) for whatever distribution of sizes.
    const double rho = 0.7;
    const Distribution shapes[] = {
        Distribution::constant(100_us),
        Distribution::exponential(100_us),
        Distribution::hyperexponential(0.9, 50_us, 550_us),
    };
    for (const Distribution& bytes : shapes) {
        RemoteStoreConfig config;
        config.read_latency = Distribution::constant(Time());
        config.stream = {1e9};
        config.bandwidth = {1e9};
        config.connections = 1'000'000;
        validation::Simulation sim;
        RemoteStore store(sim.engine, "store", config, 1);
        sim.engine.spawn("arrivals",
                         arrivals(sim.engine,
                                  store,
                                  Distribution::exponential(Time::from_seconds(100e-6 / rho)),
                                  bytes));
        sim.engine.run();
        store.station().check(sim.engine.now());
        const sim::Tally& sojourn = store.station().sojourn();
        INFO("squared coefficient of variation " << bytes.scv());
        CHECK(sojourn.mean_seconds() ==
              Approx(100e-6 / (1 - rho)).margin(sojourn.batch_means().half_width(0.99) * 1e-12));
        CHECK(store.usage(sim.engine.now())[0].utilisation == Approx(rho).epsilon(0.02));
    }
}

TEST_CASE("clients that wait for a store get connections / round trip requests a second",
          "[analytic][remote]") {
    // Closed: 64 clients, 16 connections, each 10 ms and 1 ms of data alone on a wide path.
    RemoteStoreConfig config;
    config.read_latency = Distribution::uniform(5_ms, 15_ms);
    config.stream = {1e6};
    config.bandwidth = {1e9};
    config.connections = 16;
    validation::Simulation sim;
    RemoteStore store(sim.engine, "store", config, 1);
    int left = 50'000;
    for (int i = 0; i < 64; ++i) {
        sim.engine.spawn("client", [](RemoteStore& of, int& requests) -> Task<> {
            while (requests-- > 0) {
                co_await of.serve(get(1000));
            }
        }(store, left));
    }
    sim.engine.run();
    CHECK(50'000 / sim.engine.now().seconds() == Approx(16 / 11e-3).epsilon(0.01));
    CHECK(store.station().utilisation(sim.engine.now()) == Approx(1).epsilon(0.01));
}
