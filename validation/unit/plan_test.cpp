#include "config/error.h"
#include "judge.h"
#include "scale.h"
#include "search.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <set>

using namespace fusesim;
using namespace fusesim::plan;

TEST_CASE("the search finds the last good value, wherever it starts") {
    for (const double start : {1.0, 3.0, 8.0, 37.0, 38.0, 100.0, 1024.0}) {
        for (const double last : {1.0, 2.0, 37.0, 511.0, 1023.0}) {
            const auto found =
                search({1, 1024, start, true, true, 0}, [&](double v) { return v <= last; });
            CAPTURE(start, last);
            CHECK(found.best == last);
            CHECK(found.beyond == last + 1);
            const auto least =
                search({1, 1024, start, true, false, 0}, [&](double v) { return v > last; });
            CHECK(least.best == last + 1);
            CHECK(least.beyond == last);
        }
    }
}

TEST_CASE("the search says where nothing or everything is good") {
    const Bounds bounds{1, 64, 8, true, true, 0};
    const auto none = search(bounds, [](double) { return false; });
    CHECK_FALSE(none.best);
    CHECK(none.beyond == 1);
    const auto all = search(bounds, [](double) { return true; });
    CHECK(all.best == 64);
    CHECK_FALSE(all.beyond);
}

TEST_CASE("values that are not whole are found within the precision, in few steps") {
    std::set<double> asked;
    const auto found = search({1, 1e7, 1000, false, true, 0.02}, [&](double v) {
        asked.insert(v);
        return v < 54'321;
    });
    CHECK(*found.best < 54'321);
    CHECK(*found.beyond >= 54'321);
    CHECK(*found.beyond <= *found.best * 1.02);
    CHECK(asked.size() < 20);
}

TEST_CASE("a scale knows its setting's unit and range") {
    const Scale threads("workload.threads", "");
    CHECK(threads.whole());
    CHECK(threads.high() == 1024);
    CHECK(threads.text(37) == "37");
    const Scale rate("workload.rate", "100 iops..50 kiops");
    CHECK_FALSE(rate.whole());
    CHECK(rate.low() == 100);
    CHECK(rate.high() == 50'000);
    CHECK(rate.text(1234.5) == "1234.5 iops");
    CHECK(rate.unit() == "iops");
    const Scale timeout("mount.entry_timeout", "");
    CHECK(timeout.in_unit(*timeout.value("2 ms")) == Approx(2e-3));
    CHECK(timeout.value(timeout.text(5e6)) == 5e6);
    CHECK(Scale("daemon.threads", "").value("single") == 1);
    CHECK_FALSE(Scale("daemon.threads", "").value("multi"));
    const Scale transport("mount.transport", "dev_fuse, io_uring");
    CHECK(transport.whole());
    CHECK(transport.text(2) == "io_uring");
    CHECK(transport.value("dev_fuse") == 1);
    CHECK_THROWS_AS(Scale("mount.transport", ""), config::Error);
    CHECK_THROWS_AS(Scale("mount.max_backgrond", ""), config::Error);
    CHECK_THROWS_AS(Scale("workload.threads", "8..2"), config::Error);
    CHECK_THROWS_AS(Scale("workload.threads", "0..2"), config::Error);
}

namespace {

std::vector<report::Result> runs(std::vector<double> rates) {
    std::vector<report::Result> out;
    for (const double rate : rates) {
        out.emplace_back().throughput.ops_per_s = rate;
    }
    return out;
}

}  // namespace

TEST_CASE("an SLO is met only if the interval meets it") {
    const auto slo = report::Slo::parse("ops_per_s > 100 iops");
    const Judged clear = judge(slo, runs({110, 111, 112}));
    CHECK((clear.met && clear.certain));
    const Judged close = judge(slo, runs({90, 110, 130}));
    CHECK((!close.met && !close.certain));
    const Judged below = judge(slo, runs({90, 91, 92}));
    CHECK((!below.met && below.certain));
    CHECK(judge(slo, runs({101})).met);
}

TEST_CASE("changes are taken run by run") {
    const report::Metric rate("ops_per_s");
    const Change same_for_all = change(rate, runs({100, 200, 300}), runs({110, 220, 330}));
    CHECK(same_for_all.mean == Approx(0.1));
    CHECK(same_for_all.interval->low == Approx(0.1));
    CHECK(same_for_all.matters(0.01));
    CHECK_FALSE(same_for_all.matters(0.2));
    const Change noise = change(rate, runs({100, 100, 100}), runs({90, 100, 115}));
    CHECK_FALSE(noise.certain());
    CHECK_FALSE(noise.matters(0.01));
}
