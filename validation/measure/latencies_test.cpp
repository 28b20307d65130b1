#include "latencies.h"

#include "report/repeats.h"
#include "sim/statistics.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <vector>

using namespace fusesim;
using measure::Latencies;

TEST_CASE("measured latencies have the quantiles that simulated ones would have", "[measure]") {
    Latencies measured;
    sim::Tally simulated;
    for (std::int64_t ns = 1; ns < 2'000'000; ns += 997) {
        measured.add(ns);
        simulated.add(sim::Time::from_seconds(static_cast<double>(ns) * 1e-9));
    }
    const report::Latency latency = measured.report();
    CHECK(measured.count() == simulated.count());
    CHECK(latency.mean == Approx(simulated.mean_seconds()).epsilon(1e-12));
    CHECK(latency.p50 == simulated.quantile_seconds(0.5));
    CHECK(latency.p95 == simulated.quantile_seconds(0.95));
    CHECK(latency.p99 == simulated.quantile_seconds(0.99));
    CHECK(latency.p999 == simulated.quantile_seconds(0.999));
    CHECK(latency.max == simulated.max_seconds());
}

TEST_CASE("merged latencies are those of all values", "[measure]") {
    Latencies all;
    Latencies even;
    Latencies odd;
    for (std::int64_t ns = 100; ns < 10'000; ++ns) {
        all.add(ns);
        (ns % 2 == 0 ? even : odd).add(ns);
    }
    even.merge(odd);
    CHECK(even.count() == all.count());
    CHECK(even.mean_s() == all.mean_s());
    CHECK(even.report().p99 == all.report().p99);
}

TEST_CASE("latencies of nothing are zero", "[measure]") {
    CHECK(Latencies().mean_s() == 0);
    CHECK(Latencies().report().max == 0);
}

TEST_CASE("the confidence interval is Student's", "[measure]") {
    // mean 10, deviation 1: half = t / sqrt(n)
    const report::Interval three = report::interval95({9, 10, 11});
    CHECK(three.low == Approx(10 - 4.3026527 / 1.7320508).epsilon(1e-6));
    CHECK(three.high == Approx(10 + 4.3026527 / 1.7320508).epsilon(1e-6));
    std::vector<double> many;
    for (int i = 0; i < 61; ++i) {
        many.push_back(i % 2 == 0 ? 1 : -1);
    }
    // 60 degrees of freedom: t = 2.000
    const report::Interval wide = report::interval95(many);
    const double mean = 1.0 / 61;
    double squares = 0;
    for (const double value : many) {
        squares += (value - mean) * (value - mean);
    }
    CHECK((wide.high - wide.low) / 2 == Approx(2.000 * std::sqrt(squares / 60 / 61)).epsilon(2e-3));
}

TEST_CASE("the spread is half the range, relative to the median", "[measure]") {
    CHECK(measure::relative_spread({}) == 0);
    CHECK(measure::relative_spread({7}) == 0);
    CHECK(measure::relative_spread({12, 8, 10}) == Approx(0.2));
    CHECK(measure::relative_spread({8, 12}) == Approx(0.2));
}
