#include "config/error.h"
#include "report/slo.h"

#include <catch2/catch.hpp>

using namespace fusesim::report;
using fusesim::config::Mismatch;

namespace {

Result slo_example() {
    Result out;
    out.duration_s = 2;
    out.throughput = {20'000, 8e7, 0, {}};
    out.operations = {{"read", {40'000, 20'000, Latency{50e-6, 40e-6, 70e-6, 90e-6, 1e-3, 2e-3}}},
                      {"close", {0, 0, {}}}};
    out.requests = {{"READ", {40'000, 0, 0, Latency{45e-6, 40e-6, 60e-6, 80e-6, 1e-3, 2e-3}, {}}}};
    out.bottleneck = Bottleneck{"daemon", 0.9, ""};
    out.cpu = Cpu{1, 1.5, 0.5};
    return out;
}

bool met(const char* slo) {
    return verdicts({Slo::parse(slo)}, slo_example()).front().met;
}

}  // namespace

TEST_CASE("an SLO holds or not") {
    CHECK(met("read.p99 < 100 us"));
    CHECK_FALSE(met("read.p99 < 90us"));
    CHECK(met("read.p99 <= 90us"));
    CHECK(met("read.p99.9<1.1 ms"));
    CHECK(met("READ.mean < 46 us"));
    CHECK(met("read.per_s >= 20 kiops"));
    CHECK_FALSE(met("ops_per_s > 20 kiops"));
    CHECK(met("read_bytes_per_s > 70 MiB/s"));
    CHECK(met("mean < 51 us"));
    CHECK_FALSE(met("mean < 49 us"));
    CHECK(met("cores < 1.6"));
    CHECK_FALSE(met("utilisation <= 85 %"));
}

TEST_CASE("an SLO is written in one way") {
    CHECK(Slo::parse("  read.p99<2 ms ").text == "read.p99 < 2 ms");
    CHECK(Slo::parse("ops_per_s>=2 kiops").text == "ops_per_s >= 2 kiops");
    CHECK(Slo::parse(Slo::parse("READ.max<=3s").text) == Slo::parse("READ.max <= 3s"));
}

TEST_CASE("what is no SLO is refused") {
    CHECK_THROWS_AS(Slo::parse("read.p99"), Mismatch);
    CHECK_THROWS_AS(Slo::parse("read.p98 < 1 ms"), Mismatch);
    CHECK_THROWS_AS(Slo::parse("read.p99 < 1"), Mismatch);
    CHECK_THROWS_AS(Slo::parse("read < 1 ms"), Mismatch);
    CHECK_THROWS_AS(Slo::parse(".p99 < 1 ms"), Mismatch);
    CHECK_THROWS_AS(Slo::parse("ops_per_s > 3 ms"), Mismatch);
    CHECK_THROWS_AS(Slo::parse("< 1 ms"), Mismatch);
}

TEST_CASE("a number that the result lacks is an error that says what there is") {
    CHECK_THROWS_WITH(met("write.p99 < 1 ms"), Catch::Contains("it has read, READ"));
    CHECK_THROWS_AS(met("close.mean < 1 ms"), fusesim::config::Error);
}
