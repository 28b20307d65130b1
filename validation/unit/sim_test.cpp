#include "sim/engine.h"
#include "sim/random.h"
#include "sim/statistics.h"
#include "sim/wait_queue.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace fusesim::sim;
using namespace fusesim::sim::literals;
using Catch::Matchers::Contains;
using fusesim::validation::Simulation;

namespace {

Task<> say(Engine& engine, Time wait, std::string word, std::vector<std::string>& said) {
    co_await engine.delay(wait);
    said.push_back(word);
}

Task<> sleeper(WaitQueue& queue, std::string word, std::vector<std::string>& said) {
    co_await queue.sleep();
    said.push_back(word + "@" + std::to_string(queue.engine().now().ns()));
}

Task<int> twice(Engine& engine, int x) {
    co_await engine.delay(1_us);
    co_return 2 * x;
}

}  // namespace

TEST_CASE("processes go on in the order of time, and of scheduling within one instant", "[unit]") {
    Simulation sim;
    std::vector<std::string> said;
    sim.engine.spawn("late", say(sim.engine, 3_us, "late", said));
    sim.engine.spawn("early", say(sim.engine, 1_us, "early", said));
    sim.engine.spawn("tie", say(sim.engine, 3_us, "tie", said));
    sim.engine.run();
    CHECK(said == std::vector<std::string>{"early", "late", "tie"});
    CHECK(sim.engine.now() == 3_us);
    CHECK(sc_core::sc_time_stamp() <= sc_core::sc_time(3, sc_core::SC_US));
}

TEST_CASE("a task returns its value and its exceptions to whoever awaits it", "[unit]") {
    Simulation sim;
    int result = 0;
    sim.engine.spawn("caller", [](Engine& engine, int& out) -> Task<> {
        out = co_await twice(engine, 21);
    }(sim.engine, result));
    sim.engine.run();
    CHECK(result == 42);
    CHECK(sim.engine.now() == 1_us);
}

TEST_CASE("what a process throws ends the run and comes out of it", "[unit]") {
    Simulation sim;
    sim.engine.spawn("thrower", [](Engine& engine) -> Task<> {
        co_await engine.delay(1_us);
        throw std::runtime_error("broken");
    }(sim.engine));
    CHECK_THROWS_WITH(sim.engine.run(), "broken");
}

TEST_CASE("a wait queue lets the longest waiting go, one per wake-up", "[unit]") {
    Simulation sim;
    WaitQueue queue(sim.engine, "queue");
    std::vector<std::string> said;
    sim.engine.spawn("a", sleeper(queue, "a", said));
    sim.engine.spawn("b", sleeper(queue, "b", said));
    sim.engine.spawn("waker", [](Engine& engine, WaitQueue& q) -> Task<> {
        co_await engine.delay(1_us);
        q.wake_one();
        co_await engine.delay(1_us);
        q.wake_one();
        CHECK_FALSE(q.wake_one());
    }(sim.engine, queue));
    sim.engine.run();
    CHECK(said == std::vector<std::string>{"a@1000", "b@2000"});
}

TEST_CASE("a run that leaves a client waiting names who waits for what since when", "[unit]") {
    Simulation sim;
    WaitQueue queue(sim.engine, "the reply");
    std::vector<std::string> said;
    sim.engine.spawn("reader", [](Engine& engine, WaitQueue& q) -> Task<> {
        co_await engine.delay(5_us);
        co_await q.sleep();
    }(sim.engine, queue));
    CHECK_THROWS_WITH(sim.engine.run(), Contains("reader waits for the reply since 5000 ns"));
    sim.engine.kill_all();
    CHECK(queue.empty());
}

TEST_CASE("servers may wait for ever", "[unit]") {
    Simulation sim;
    WaitQueue queue(sim.engine, "work");
    std::vector<std::string> said;
    sim.engine.spawn("worker", sleeper(queue, "worker", said), Role::server);
    CHECK_NOTHROW(sim.engine.run());
    sim.engine.kill_all();
}

TEST_CASE("local time never passes the next activity of a foreign SystemC process", "[unit]") {
    struct Foreign : sc_core::sc_module {
        SC_HAS_PROCESS(Foreign);

        Foreign(const sc_core::sc_module_name& name, Engine& e, WaitQueue& q)
            : sc_module(name), engine(e), queue(q) {
            SC_THREAD(run);
        }

        void run() {
            for (int i = 1; i <= 3; ++i) {
                wait(10, sc_core::SC_US);
                engine.enter_from_systemc();
                seen.push_back(engine.now());
                queue.wake_one();
            }
        }

        Engine& engine;
        WaitQueue& queue;
        std::vector<Time> seen;
    };

    Simulation sim;
    WaitQueue queue(sim.engine, "foreign");
    Foreign foreign("foreign", sim.engine, queue);
    std::vector<std::string> said;
    sim.engine.spawn("sleeper", sleeper(queue, "woken", said));
    std::vector<Time> ticks;
    sim.engine.spawn("ticker", [](Engine& engine, std::vector<Time>& out) -> Task<> {
        for (int i = 0; i < 5; ++i) {
            co_await engine.delay(7_us);
            out.push_back(engine.now());
        }
    }(sim.engine, ticks));
    sim.engine.run();
    CHECK(foreign.seen == std::vector<Time>{10_us, 20_us, 30_us});
    CHECK(said == std::vector<std::string>{"woken@10000"});
    CHECK(ticks == std::vector<Time>{7_us, 14_us, 21_us, 28_us, 35_us});
}

TEST_CASE("random streams depend on seed and name alone", "[unit]") {
    Random a(1, "arrivals");
    Random b(1, "arrivals");
    Random c(1, "service");
    Random d(2, "arrivals");
    const std::uint64_t first = a.bits();
    CHECK(first == b.bits());
    CHECK(first != c.bits());
    CHECK(first != d.bits());
}

TEST_CASE("each distribution has the mean and variation that it says", "[unit]") {
    const Distribution shapes[] = {
        Distribution::constant(5_us),
        Distribution::uniform(2_us, 10_us),
        Distribution::exponential(5_us),
        Distribution::normal(5_us, 3_us),
        Distribution::lognormal(5_us, 1.5),
        Distribution::erlang(5_us, 4),
        Distribution::hyperexponential(0.9, 1_us, 20_us),
        Distribution::quantiles({{0, 1_us}, {0.5, 2_us}, {0.9, 5_us}, {1, 50_us}}),
    };
    for (const Distribution& shape : shapes) {
        Random random(7, "test");
        const int n = 400'000;
        double sum = 0;
        double squares = 0;
        for (int i = 0; i < n; ++i) {
            const double x = shape.draw(random).seconds() * 1e6;
            sum += x;
            squares += x * x;
        }
        const double mean = sum / n;
        const double scv = squares / n / (mean * mean) - 1;
        INFO("shape " << static_cast<int>(shape.shape()));
        CHECK(mean == Approx(shape.mean().seconds() * 1e6).epsilon(0.01));
        CHECK(scv == Approx(shape.scv()).epsilon(0.05).margin(1e-9));
    }
}

TEST_CASE("a histogram is exact below 256 and within half a per cent above", "[unit]") {
    Histogram h;
    for (int i = 1; i <= 200; ++i) {
        h.add(i);
    }
    CHECK(h.quantile(0.5) == Approx(100).margin(1));
    h.clear();
    for (std::int64_t i = 1; i <= 100'000; ++i) {
        h.add(i * 1'000'003);
    }
    CHECK(h.quantile(0.5) == Approx(50'000.0 * 1'000'003).epsilon(0.005));
    CHECK(h.quantile(0.99) == Approx(99'000.0 * 1'000'003).epsilon(0.005));
    CHECK(h.quantile(1) == 100'000.0 * 1'000'003);
    CHECK(h.quantile(0) == 1'000'003);
}

TEST_CASE("a station that lies about a sojourn fails its own check", "[unit]") {
    fusesim::sim::Station honest("honest", 1);
    honest.arrive(1_us);
    honest.arrive(2_us);
    honest.begin_service(1_us, 1_us);
    honest.depart(4_us, 1_us, 1_us);
    CHECK_NOTHROW(honest.check(10_us));
    CHECK(honest.utilisation(10_us) == Approx(0.3));

    fusesim::sim::Station liar("liar", 1);
    liar.arrive(1_us);
    liar.begin_service(1_us, 1_us);
    liar.depart(4_us, 3_us, 1_us);
    CHECK_THROWS_AS(liar.check(10_us), std::logic_error);
}

TEST_CASE("batch means of independent numbers cover their mean", "[unit]") {
    Random random(3, "batches");
    int covered = 0;
    for (int run = 0; run < 200; ++run) {
        BatchMeans means;
        for (int i = 0; i < 5000; ++i) {
            means.add(random.exponential(1.0));
        }
        covered += std::abs(means.mean() - 1.0) <= means.half_width(0.95) ? 1 : 0;
    }
    CHECK(covered >= 180);
    CHECK(covered <= 199);
}
