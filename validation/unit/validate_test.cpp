#include "accuracy.h"
#include "config/document.h"
#include "config/error.h"
#include "suite.h"

#include <catch2/catch.hpp>

#include <string>

using namespace fusesim;
using validate::Accuracy;
using validate::Cell;
using validate::CellResult;

namespace {

const std::string small_suite = R"(schema_version: 1
name: paper
groups: {here: pinned_same, there: free}
parts:
  slow: {set: [workload.threads=1]}
  fast: {set: [workload.threads=2, workload.direct=true]}
  here: {set: ["workload.affinity=[0]"]}
  there: {set: []}
calibration: [slow here]
predicted: [fast here, slow there]
)";

/// A cell that was measured `rates` times and simulated once.
CellResult result(const std::string& name,
                  const std::vector<std::string>& parts,
                  const std::vector<double>& rates,
                  double simulated) {
    CellResult out;
    out.cell = {name, parts, parts.back() == "here" ? "pinned_same" : "free", false, {}};
    out.operation = "read";
    for (const double rate : rates) {
        out.reference.rounds.push_back({rate, 1 / rate, 2 / rate, true});
    }
    out.simulated.throughput.ops_per_s = simulated;
    report::Operation operation;
    operation.latency = report::Latency{1 / simulated, 0, 0, 2 / simulated, 0, 0};
    out.simulated.operations.emplace_back("read", operation);
    return out;
}

}  // namespace

TEST_CASE("a suite is judged by its bounds, where it has any, else by each number") {
    const auto accuracy = validate::compare(
        {result("a", {"here"}, {100, 100, 100}, 105), result("b", {"here"}, {100, 100, 100}, 120)});
    CHECK_FALSE(validate::passes(accuracy, std::nullopt));  // b is beyond 15 %
    const auto bounds = [](const char* group, double median, double worst) {
        validate::Bounds out;
        out.groups[group].median.fraction = median;
        out.groups[group].worst.fraction = worst;
        return out;
    };
    // Errors: 5 and 20 % of the throughputs, 1 - 1 / 1.05 and 1 - 1 / 1.2 of the mean latencies.
    CHECK(validate::passes(accuracy, bounds("every", 0.11, 0.21)));
    CHECK_FALSE(validate::passes(accuracy, bounds("every", 0.10, 0.21)));
    CHECK_FALSE(validate::passes(accuracy, bounds("every", 0.11, 0.19)));

    // A group's own bounds come first, and none at all are kept by nothing.
    auto own = bounds("pinned_same", 0.11, 0.21);
    CHECK(validate::passes(accuracy, own));
    own.groups["every"].median.fraction = 0;
    CHECK(validate::passes(accuracy, own));
    CHECK_FALSE(validate::passes(accuracy, bounds("free", 0.11, 0.21)));
}

TEST_CASE("a suite is judged by numbers of requests and their phases, too") {
    CellResult cell = result("a", {"here"}, {100, 100, 100}, 100);
    const auto request = [](double queue) {
        report::Request out;
        out.count = 10;
        out.phases.emplace();
        out.phases->queue = queue;
        return out;
    };
    cell.reference.recorded_steps = 10;
    cell.reference.recorded.requests.emplace_back("READ", request(10e-6));
    cell.simulated_pass.requests.emplace_back("READ", request(12e-6));
    const auto accuracy = validate::compare({cell}, validate::Tolerance{});
    REQUIRE(accuracy.summaries.size() == 1);
    CHECK(accuracy.summaries[0].phases_within == Approx(1));  // 20 % are allowed

    validate::Tolerance narrow;
    narrow.phase.fraction = 0.1;
    const auto missed = validate::compare({cell}, narrow);
    CHECK(missed.summaries[0].phases_within == Approx(0));
    validate::Bounds bounds;
    bounds.groups["every"].phases.fraction = 0.5;
    CHECK(validate::passes(accuracy, bounds));
    CHECK_FALSE(validate::passes(missed, bounds));

    cell.simulated_pass.requests.front().second.count = 9;
    const auto fewer = validate::compare({cell}, validate::Tolerance{});
    bounds.groups["every"] = {};
    CHECK(validate::passes(fewer, bounds));
    bounds.groups["every"].counts.fraction = 1;
    CHECK_FALSE(validate::passes(fewer, bounds));
}

TEST_CASE("a suite is judged by the directions of changes, too") {
    // Measured: b is faster; simulated: slower, but each within a tenth.
    const auto accuracy = validate::compare({result("a", {"slow", "here"}, {100, 100, 100}, 103),
                                             result("b", {"fast", "here"}, {105, 105, 105}, 102)});
    REQUIRE(accuracy.changes.size() == 1);
    validate::Bounds bounds;
    bounds.groups["every"] = {};
    bounds.direction.fraction = 1;
    CHECK_FALSE(validate::passes(accuracy, bounds));
    bounds.direction.fraction = 0;
    CHECK(validate::passes(accuracy, bounds));
}

TEST_CASE("a suite's lines become cells with the settings of their parts") {
    const auto document = config::Document::parse(small_suite, "suite.yaml");
    const auto cells = validate::cells(config::read<validate::Suite>(document), document);
    REQUIRE(cells.size() == 3);
    CHECK(cells[0].calibration);
    CHECK(cells[1].name == "fast/here");
    CHECK(cells[1].group == "pinned_same");
    CHECK(cells[1].overrides == std::vector<std::string>{"workload.threads=2",
                                                         "workload.direct=true",
                                                         "workload.affinity=[0]"});
    CHECK(cells[2].group == "free");
}

TEST_CASE("an unknown part is an error with the nearest one") {
    auto document = config::Document::parse(small_suite, "suite.yaml");
    auto suite = config::read<validate::Suite>(document);
    suite.predicted = {"fasst here"};
    CHECK_THROWS_WITH(validate::cells(suite, document), Catch::Contains("did you mean 'fast'"));
    suite.predicted = {"fast"};
    CHECK_THROWS_WITH(validate::cells(suite, document), Catch::Contains("in no group"));
}

TEST_CASE("medians, bounds and changes") {
    const std::vector<CellResult> results{
        result("slow/here", {"slow", "here"}, {100, 101, 99}, 110),
        result("fast/here", {"fast", "here"}, {200, 202, 198}, 150),
        result("slow/there", {"slow", "there"}, {100, 100}, 118)};
    const Accuracy accuracy = validate::compare(results);
    REQUIRE(accuracy.verdicts.size() == 9);
    CHECK(accuracy.verdicts[0].reference == Approx(100));
    CHECK(accuracy.verdicts[0].spread == Approx(0.01));
    CHECK(accuracy.verdicts[0].error == Approx(0.10));
    CHECK(accuracy.verdicts[0].ok);
    CHECK_FALSE(accuracy.verdicts[3].ok);  // 25 % on a pinned core
    CHECK(accuracy.verdicts[6].ok);        // 18 % left to the scheduler

    // slow/here -> fast/here differs in one part and by more than the spread; so does
    // slow/here -> slow/there in one part, but its difference is none.
    REQUIRE(accuracy.changes.size() == 1);
    CHECK(accuracy.changes[0].reference_ratio == Approx(2.0));
    CHECK(accuracy.changes[0].predicted_ratio == Approx(150.0 / 110));
    CHECK(accuracy.changes[0].right_direction);
}

TEST_CASE("rounds with hardly any time at full pace do not count") {
    CellResult cell = result("slow/here", {"slow", "here"}, {100, 60, 102}, 101);
    cell.reference.rounds[1].kept_share = 0.1;
    CHECK(cell.reference.good_rounds() == 2);
    CHECK(validate::compare({cell}).verdicts[0].reference == Approx(101));
}
