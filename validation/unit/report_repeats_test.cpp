#include "report/repeats.h"

#include <catch2/catch.hpp>

#include <cmath>

using namespace fusesim::report;

namespace {

Result run(double ops_per_s, double mean) {
    Result out;
    out.throughput.ops_per_s = ops_per_s;
    Operation operation;
    operation.count = 10;
    operation.latency = Latency{mean, 1, 2, 3, 4, 5 + mean};
    out.operations.emplace_back("read", operation);
    fusesim::report::Request request;
    request.count = static_cast<std::uint64_t>(ops_per_s);
    request.latency = operation.latency;
    request.phases = Phases{0, mean / 4, mean / 2, mean / 4};
    out.requests.emplace_back("READ", request);
    out.stations = {{"a", mean, 1, 0, 0}, {"b", 0.5 - mean, 1, 0, 0}};
    out.bottleneck = busiest(out.stations);
    return out;
}

}  // namespace

TEST_CASE("repeats become means with intervals") {
    const Result three = pooled({run(9, 0.1), run(10, 0.2), run(11, 0.3)});
    CHECK(three.throughput.ops_per_s == Approx(10));
    CHECK(three.operations[0].second.latency->mean == Approx(0.2));
    REQUIRE(three.throughput.ci95.size() == 4);
    CHECK(three.throughput.ci95[0].first == "ops_per_s");
    CHECK(three.throughput.ci95[0].second.low == Approx(10 - 4.302653 / std::sqrt(3.0)));
    CHECK(three.throughput.ci95[3].first == "latency.read");
    CHECK(three.operations[0].second.latency->max == Approx(5.3));
    const fusesim::report::Request& read = three.requests[0].second;
    CHECK(read.count == 10);
    CHECK(read.latency->mean == Approx(0.2));
    CHECK(*read.phases->processing == Approx(0.1));
    CHECK(three.stations[0].utilisation == Approx(0.2));
    CHECK(three.bottleneck->station == "b");
    CHECK(pooled({run(9, 0.1), run(11, 0.3)}).throughput.ci95.empty());
}

TEST_CASE("a call that one repeat did not make has no pooled latency") {
    Result without = run(9, 0.1);
    without.operations.clear();
    const Result both = pooled({run(9, 0.1), without});
    CHECK(both.operations[0].second.latency->mean == Approx(0.1));
}

TEST_CASE("the relative error is half the interval, and narrower with less confidence") {
    const std::vector<double> values{9, 10, 11};
    CHECK(relative_error(values, 0.95) == Approx(4.302653 / std::sqrt(3.0) / 10).epsilon(1e-6));
    CHECK(relative_error(values, 0.5) == Approx(0.816497 / std::sqrt(3.0) / 10).epsilon(1e-6));
    CHECK(std::isinf(relative_error({-1, 0, 1}, 0.95)));
}
