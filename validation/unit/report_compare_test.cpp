#include "report/compare.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <sstream>
#include <string>

using namespace fusesim::report;

namespace {

Result before() {
    Result r;
    r.version = "0.1.0";
    r.config = {{"mount", {{"max_background", 12}, {"clone_fd", false}}},
                {"daemon", {{"affinity", {0, 1}}}}};
    r.duration_s = 10;
    r.throughput = {1000, 4.096e6, 0, {{"ops_per_s", {990, 1010}}}};
    r.operations = {{"read", {10'000, 1000, Latency{50e-6, 48e-6, 60e-6, 70e-6, 80e-6, 90e-6}}}};
    r.requests = {{"READ",
                   {10'000,
                    800'000,
                    41'120'000,
                    Latency{40e-6, 39e-6, 50e-6, 60e-6, 70e-6, 80e-6},
                    Phases{0, 10e-6, 20e-6, 10e-6}}},
                  {"FORGET", {5, 280, 0, {}, {}}},
                  {"OPEN", {2, 112, 64, Latency{30e-6, 30e-6, 30e-6, 30e-6, 30e-6, 30e-6}, {}}}};
    return r;
}

Result after() {
    Result r = before();
    r.source = Source::measured;
    r.config["mount"]["max_background"] = 64;
    r.config["mount"].erase("clone_fd");
    r.config["kernel"]["version"] = "6.1";
    r.throughput.ops_per_s = 1015;
    r.throughput.ci95 = {{"ops_per_s", {1003, 1027}}};
    fusesim::report::Request& read = r.requests[0].second;
    read.count = 10'150;
    read.latency = Latency{44e-6, 39.2e-6, 50e-6, 59.9e-6, 70e-6, 80e-6};
    read.phases = Phases{{}, 14e-6, 20.1e-6, {}};
    r.requests.pop_back();
    r.requests.emplace_back("LOOKUP", fusesim::report::Request{7, 300, 900, Latency{}, {}});
    return r;
}

const Difference& metric(const Differences& differences, const std::string& name) {
    const auto found = std::find_if(differences.metrics.begin(),
                                    differences.metrics.end(),
                                    [&](const Difference& d) { return d.metric == name; });
    if (found == differences.metrics.end()) {
        FAIL("no metric " << name);
    }
    return *found;
}

}  // namespace

TEST_CASE("numbers without intervals differ by more than the threshold", "[compare]") {
    const Differences d = compare(before(), after(), 0.01);
    const Difference& mean = metric(d, "requests.READ.latency_s.mean");
    CHECK(mean.a == 40e-6);
    CHECK(mean.b == 44e-6);
    CHECK(*mean.ratio == Approx(1.1));
    CHECK_FALSE(mean.p);
    CHECK(mean.differs);
    CHECK_FALSE(metric(d, "requests.READ.latency_s.p50").differs);  // 0.5 %
    CHECK_FALSE(metric(d, "requests.READ.latency_s.p99").differs);  // -0.2 %
    CHECK(metric(d, "requests.READ.count").differs);                // 1.5 %
    CHECK_FALSE(metric(d, "requests.FORGET.count").differs);
    CHECK(metric(d, "requests.READ.phases_s.queue").differs);  // 40 %
    CHECK_FALSE(metric(d, "requests.READ.phases_s.processing").differs);
    const Differences wide = compare(before(), after(), 0.2);
    CHECK_FALSE(metric(wide, "requests.READ.latency_s.mean").differs);
    CHECK(metric(wide, "requests.READ.phases_s.queue").differs);
    // Below the resolution of time nothing differs.
    Result close = before();
    close.requests[0].second.phases->background = 0.9e-12;
    CHECK_FALSE(metric(compare(before(), close, 0), "requests.READ.phases_s.background").differs);
}

TEST_CASE("what only one result has is listed and not judged, but its count is", "[compare]") {
    const Differences d = compare(before(), after(), 0.01);
    const Difference& phase = metric(d, "requests.READ.phases_s.background");
    CHECK(phase.a == 0.0);
    CHECK_FALSE(phase.b);
    CHECK_FALSE(phase.ratio);
    CHECK_FALSE(phase.differs);
    CHECK(metric(d, "requests.OPEN.count").b == 0.0);
    CHECK(metric(d, "requests.OPEN.count").differs);
    CHECK_FALSE(metric(d, "requests.OPEN.latency_s.mean").b);
    const Difference& lookup = metric(d, "requests.LOOKUP.count");
    CHECK(lookup.a == 0.0);
    CHECK_FALSE(lookup.ratio);
    CHECK(lookup.differs);
}

TEST_CASE("intervals on both sides decide instead of the threshold", "[compare]") {
    // 15 apart, limits that face each other are 10 and 12 away: hypot 15.6.
    Result b = after();
    const Difference near = metric(compare(before(), b, 0.001), "throughput.ops_per_s");
    CHECK_FALSE(near.differs);
    REQUIRE(near.p);
    CHECK(*near.p == Approx(0.0599).epsilon(0.01));  // z = 1.96 * 15 / 15.62 = 1.882
    b.throughput.ops_per_s = 1016;
    b.throughput.ci95 = {{"ops_per_s", {1004, 1028}}};
    const Difference far = metric(compare(before(), b, 0.5), "throughput.ops_per_s");
    CHECK(far.differs);
    CHECK(*far.p < 0.05);
    // One interval alone says nothing about the other number.
    b.throughput.ci95.clear();
    const Difference alone = metric(compare(before(), b, 0.01), "throughput.ops_per_s");
    CHECK_FALSE(alone.p);
    CHECK(alone.differs);
    // Mean latencies of operations have intervals as well.
    Result slow = before();
    Result fast = before();
    slow.throughput.ci95.emplace_back("latency.read", Interval{49e-6, 51e-6});
    fast.throughput.ci95.emplace_back("latency.read", Interval{49e-6, 51e-6});
    CHECK(metric(compare(slow, fast, 0), "operations.read.latency_s.mean").p == 1.0);
    CHECK_FALSE(metric(compare(slow, fast, 0), "operations.read.latency_s.p50").p);
}

TEST_CASE("significance is symmetric and takes intervals as they lie", "[compare]") {
    CHECK(significance(1, {0, 2}, 1, {1, 1}).p == 1);
    CHECK_FALSE(significance(1, {0, 2}, 1, {1, 1}).differs);
    CHECK(significance(1, {1, 1}, 1.5, {1.5, 1.5}).differs);
    CHECK(significance(1, {1, 1}, 1.5, {1.5, 1.5}).p == 0);
    const Significance up = significance(10, {9, 11}, 12, {11.5, 12.5});
    const Significance down = significance(12, {11.5, 12.5}, 10, {9, 11});
    CHECK(up.differs);
    CHECK(up.p == down.p);
    // Wide where it faces the other value, narrow elsewhere, and the other way round.
    CHECK_FALSE(significance(10, {9.9, 14}, 12, {11.9, 12.1}).differs);
    CHECK(significance(10, {4, 10.1}, 12, {11.9, 20}).differs);
    // Equal halves: at the limit of the z test p is 5 %.
    CHECK(significance(0, {-3, 3}, 5, {1, 9}).p == Approx(0.05));
}

TEST_CASE("settings that differ are listed by their key", "[compare]") {
    const Differences d = compare(before(), after(), 0.01);
    std::string all;
    for (const ChangedSetting& setting : d.settings) {
        all += setting.key + ": " + setting.a + " | " + setting.b + "\n";
    }
    CHECK(all ==
          "source: simulated | measured\n"
          "config.mount.max_background: 12 | 64\n"
          "config.mount.clone_fd: false | \n"
          "config.kernel.version:  | 6.1\n");
    CHECK(compare(before(), before(), 0).settings.empty());
}

TEST_CASE("a result does not differ from itself", "[compare]") {
    const Differences d = compare(before(), before(), 0);
    CHECK(d.metrics.size() > 10);
    for (const Difference& one : d.metrics) {
        CHECK_FALSE(one.differs);
    }
    CHECK_THAT(text(d, "x.json", "x.json"), Catch::Contains("same settings\n"));
}

TEST_CASE("a comparison as JSON has the agreed keys", "[compare]") {
    const Json json = to_json(compare(before(), after(), 0.01));
    CHECK(json["schema_version"] == 1);
    CHECK(json["threshold"] == 0.01);
    CHECK(json["settings"][1].dump() ==
          R"({"key":"config.mount.max_background","a":"12","b":"64"})");
    CHECK(json["metrics"][1].dump() == R"({"metric":"throughput.read_bytes_per_s",)"
                                       R"("a":4096000.0,"b":4096000.0,"ratio":1.0,"p":null,)"
                                       R"("differs":false})");
    CHECK(json["metrics"].back()["metric"] == "requests.LOOKUP.latency_s.p99");
    CHECK(json["metrics"].back()["a"].is_null());
}

TEST_CASE("the text of a comparison", "[compare]") {
    CHECK(text(compare(before(), after(), 0.01), "a.json", "b.json") == R"(a: a.json
b: b.json

settings that differ  a          b
source                simulated  measured
mount.max_background  12         64
mount.clone_fd        false      (not set)
kernel.version        (not set)  6.1

                           a           b  b / a   differs      p
throughput ops/s      1.00 k      1.01 k  1.015         ~  0.060
throughput read   3.91 MiB/s  3.91 MiB/s  1.000         ~
read count             10000       10000  1.000         ~
read mean            50.0 us     50.0 us  1.000         ~
read p50             48.0 us     48.0 us  1.000         ~
read p99             70.0 us     70.0 us  1.000         ~
READ count             10000       10150  1.015    +1.5 %
READ mean            40.0 us     44.0 us  1.100   +10.0 %
READ p50             39.0 us     39.2 us  1.005         ~
READ p99             60.0 us     59.9 us  0.998         ~
READ background          0 s           -      -         -
READ queue           10.0 us     14.0 us  1.400   +40.0 %
READ processing      20.0 us     20.1 us  1.005         ~
READ reply           10.0 us           -      -         -
FORGET count               5           5  1.000         ~
OPEN count                 2           0  0.000  -100.0 %
OPEN mean            30.0 us           -      -         -
OPEN p50             30.0 us           -      -         -
OPEN p99             30.0 us           -      -         -
LOOKUP count               0           7      -   differs
LOOKUP mean                -         0 s      -         -
LOOKUP p50                 -         0 s      -         -
LOOKUP p99                 -         0 s      -         -

5 of 15 numbers differ by more than 1.00 %; where there is a p, the 95 %
intervals decide. ~ is no difference, - cannot be compared.
)");
}

TEST_CASE("no line of a comparison passes 80 columns", "[compare]") {
    Result a = before();
    Result b = after();
    a.config["daemon"]["name"] = std::string(200, 'n');
    a.config[std::string(60, 'k')] = std::string(60, 'v');
    b.config[std::string(60, 'k')] = std::string(61, 'v');
    a.operations.emplace_back(std::string(90, 'o'), Operation{12'345'678'901, 1, Latency{}});
    std::istringstream lines(text(compare(a, b, 0.01), "a", "b"));
    for (std::string line; std::getline(lines, line);) {
        CHECK(line.size() <= 80);
    }
}
