#include "vfs/extfuse.h"

#include "support/paper_host.h"
#include "support/scenario_run.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <string>

// What a program in the kernel answers by itself, and what it lets pass.

using namespace fusesim;

namespace {

report::Result extended(const std::string& extfuse,
                        const std::string& operations,
                        std::uint64_t count,
                        const std::string& settings = "entry_timeout: 0 s, attr_timeout: 0 s") {
    return validation::simulate_on(
        validation::paper_host(1),
        fmt::format("schema_version: 1\n"
                    "kernel: {{version: '6.18'}}\n"
                    "mount: {{{}, {}}}\n"
                    "daemon: {{filesystem: 'null', threads: single}}\n"
                    "workload: {{files: {{count: 8, size: 64 KiB}}, operations: [{}]}}\n"
                    "run: {{operations: {}}}\n",
                    extfuse,
                    settings,
                    operations,
                    count));
}

std::uint64_t sent(const report::Result& result, const std::string& opcode) {
    const report::Request* const request = report::find(result.requests, opcode);
    return request != nullptr ? request->count : 0;
}

void check_answers(const report::Result& result,
                   const std::string& opcode,
                   std::uint64_t answered,
                   std::uint64_t passed) {
    CAPTURE(opcode);
    const report::Answers* const answers = report::find(result.extfuse, opcode);
    REQUIRE(answers != nullptr);
    CHECK(answers->answered == answered);
    CHECK(answers->passed == passed);
    CHECK(sent(result, opcode) == passed);
}

const std::string all = "extfuse: {}";

}  // namespace

TEST_CASE("names and attributes are answered in the kernel once the daemon has told them") {
    const report::Result result = extended(all, "{op: stat}", 100);
    check_answers(result, "LOOKUP", 92, 8);
    check_answers(result, "GETATTR", 100, 0);  // LOOKUP's answer has them
    const report::Result names = extended("extfuse: {getattr: false}", "{op: stat}", 100);
    check_answers(names, "LOOKUP", 92, 8);
    check_answers(names, "GETATTR", 0, 100);
    check_answers(extended("extfuse: {lookup: false}", "{op: stat}", 100), "LOOKUP", 0, 100);
    CHECK(extended("max_background: 12", "{op: stat}", 100).extfuse.empty());
}

TEST_CASE("a full map takes no more") {
    const report::Result result = extended("extfuse: {entries: 6}", "{op: stat}", 80);
    check_answers(result, "LOOKUP", 6 * 9, 6 + 2 * 10);
    check_answers(result, "GETATTR", 6 * 10, 2 * 10);
}

TEST_CASE("what is removed, and then forgotten, leaves its room to others") {
    // Two names a round, of the file that is made and removed and of one that is there.
    const report::Result result =
        extended("extfuse: {entries: 9}", "{op: create}, {op: unlink}, {op: stat}", 240);
    check_answers(result, "GETATTR", 80, 0);
    check_answers(result, "UNLINK", 0, 80);
}

TEST_CASE("a name leaves the map when it is removed, and when its file is forgotten") {
    validation::Simulation sim;
    vfs::Extfuse extfuse(vfs::ExtfuseSettings{});
    transport::Call call(sim.engine);
    const auto learn = [&](fuse::Opcode opcode) {
        call.prepare(opcode);
        call.nodeid = 1;
        call.name = 7;
        call.subject = 2;
        extfuse.learn(call);
    };
    learn(fuse::Opcode::lookup);
    CHECK(extfuse.entries() == 2);  // its name and its attributes
    learn(fuse::Opcode::unlink);    // the file has other names
    CHECK(extfuse.entries() == 1);
    learn(fuse::Opcode::lookup);
    CHECK(extfuse.entries() == 2);
    extfuse.forget(2);
    CHECK(extfuse.entries() == 0);
}

TEST_CASE("what is missing is asked for each time") {
    check_answers(extended(all, "{op: stat_missing}", 100), "LOOKUP", 0, 100);
}

TEST_CASE("a request that changes a file takes its attributes away, and a write does") {
    // Each file is written once a round, and then asked about.
    const report::Result result =
        extended(all, "{op: write, size: 4 KiB}, {op: stat}", 160, "direct_io: true");
    CHECK(report::find(result.extfuse, "WRITE")->passed == 80);
    CHECK(report::find(result.extfuse, "GETATTR")->passed > 0);
    const report::Result unlinked = extended(all, "{op: create}, {op: unlink}", 40);
    check_answers(unlinked, "UNLINK", 0, 20);
    check_answers(unlinked, "CREATE", 0, 20);
    check_answers(unlinked, "FLUSH", 20, 0);
}

TEST_CASE("the caller pays for the program, the daemon for its changes of the maps") {
    const auto mean = [](const std::string& costs) {
        const report::Result result = extended("extfuse: {" + costs + "}", "{op: stat}", 1000);
        return report::find(result.operations, "stat")->latency->mean;
    };
    const double free = mean("program: 0 ns, update: 0 ns");
    // Each stat asks twice.
    CHECK(mean("program: 500 ns, update: 0 ns") - free == Approx(1e-6).epsilon(1e-6));
    // Eight answers of the daemon put in a name and attributes.
    CHECK(mean("program: 0 ns, update: 2 us") - free == Approx(8 * 4e-6 / 1000).epsilon(1e-6));
}
