#include "support/paper_host.h"
#include "support/scenario_run.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

// Which requests each call makes. Measured on a real mount: kernel 6.18, a null file system on
// libfuse's low-level API with one thread, 8 files of 1 MiB, messages counted by the recorder.

using namespace fusesim;
using namespace fusesim::sim::literals;

namespace {

using Counts = std::map<std::string, std::uint64_t>;

/// Requests by opcode; how many forgets share a message depends on timing and is left out.
report::Result simulated(const std::string& daemon,
                         const std::string& mount,
                         const std::string& workload,
                         std::uint64_t operations,
                         host::HostProfile host = validation::paper_host(1)) {
    host.costs.lower.try_emplace("tmpfs");
    return validation::simulate_on(
        host,
        fmt::format("schema_version: 1\n"
                    "kernel: {{version: '6.18'}}\n"
                    "mount: {{{}}}\n"
                    "daemon: {{{}, threads: single}}\n"
                    "workload: {{files: {{count: 8, size: 1 MiB}}, {}}}\n"
                    "run: {{operations: {}}}\n",
                    mount,
                    daemon,
                    workload,
                    operations));
}

const std::string null_daemon = "filesystem: 'null'";

Counts requests(const std::string& mount,
                const std::string& workload,
                std::uint64_t operations,
                const std::string& daemon = null_daemon) {
    Counts counts;
    for (const auto& [opcode, request] : simulated(daemon, mount, workload, operations).requests) {
        if (opcode != "FORGET" && opcode != "BATCH_FORGET") {
            counts[opcode] = request.count;
        }
    }
    return counts;
}

const std::string cached = "entry_timeout: 1000 s, attr_timeout: 1000 s";
const std::string expired = "entry_timeout: 0 s, attr_timeout: 0 s";
const std::string names_only = "entry_timeout: 1000 s, attr_timeout: 0 s";
const std::string attributes_only = "entry_timeout: 0 s, attr_timeout: 1000 s";

std::string one(const std::string& operation) {
    return "operations: [{op: " + operation + "}]";
}

}  // namespace

TEST_CASE("stat asks for what has expired") {
    CHECK(requests(cached, one("stat"), 100) == Counts{{"LOOKUP", 8}});
    CHECK(requests(expired, one("stat"), 100) == Counts{{"LOOKUP", 100}, {"GETATTR", 100}});
    CHECK(requests(names_only, one("stat"), 100) == Counts{{"LOOKUP", 8}, {"GETATTR", 100}});
    CHECK(requests(attributes_only, one("stat"), 100) == Counts{{"LOOKUP", 100}});
}

TEST_CASE("names that do not exist are remembered only with negative_timeout") {
    CHECK(requests(cached, one("stat_missing"), 100) == Counts{{"LOOKUP", 100}});
    CHECK(requests(cached + ", negative_timeout: 1000 s", one("stat_missing"), 100) ==
          Counts{{"LOOKUP", 8}});
}

TEST_CASE("open, create, unlink") {
    CHECK(requests(cached, one("open"), 100) ==
          Counts{{"LOOKUP", 8}, {"OPEN", 100}, {"FLUSH", 100}, {"RELEASE", 100}});
    CHECK(requests(expired, one("open"), 100) ==
          Counts{{"LOOKUP", 100}, {"OPEN", 100}, {"FLUSH", 100}, {"RELEASE", 100}});
    CHECK(requests(cached, one("create"), 100) ==
          Counts{{"LOOKUP", 100}, {"CREATE", 100}, {"FLUSH", 100}, {"RELEASE", 100}});
    const std::string both = "operations: [{op: create}, {op: unlink}]";
    CHECK(requests(cached, both, 200) ==
          Counts{
              {"LOOKUP", 100}, {"CREATE", 100}, {"FLUSH", 100}, {"RELEASE", 100}, {"UNLINK", 100}});
    CHECK(requests(expired, both, 200)["LOOKUP"] == 200);
    CHECK(requests(cached + ", writeback_cache: true", both, 200)["SETATTR"] == 100);
}

TEST_CASE("readdir reads with attributes first, then until nothing is left") {
    CHECK(requests(cached, one("readdir"), 100) ==
          Counts{{"OPENDIR", 100}, {"READDIRPLUS", 100}, {"READDIR", 100}, {"RELEASEDIR", 100}});
}

TEST_CASE("buffered reads") {
    const auto read = [](const std::string& mount,
                         const std::string& size,
                         const std::string& pattern,
                         const std::string& cache,
                         std::uint64_t operations) {
        return requests(mount,
                        fmt::format("operations: [{{op: read, size: {}, pattern: {}}}], cache: {}",
                                    size,
                                    pattern,
                                    cache),
                        operations);
    };
    CHECK(read(cached, "4 KiB", "random", "cold", 100) == Counts{{"READ", 100}});
    CHECK(read(cached, "4 KiB", "sequential", "cold", 1024) == Counts{{"READ", 44}});
    CHECK(read(cached, "128 KiB", "sequential", "cold", 64) == Counts{{"READ", 64}});
    CHECK(read(cached, "1 MiB", "sequential", "cold", 8) == Counts{{"READ", 64}});
    CHECK(read(cached, "128 KiB", "random", "cold", 64) == Counts{{"READ", 64}});
    CHECK(read(cached, "4 KiB", "random", "warm", 100) == Counts{});
    CHECK(read(names_only, "4 KiB", "random", "cold", 100) ==
          Counts{{"GETATTR", 100}, {"READ", 100}});
    CHECK(read(names_only, "4 KiB", "sequential", "cold", 1024) ==
          Counts{{"GETATTR", 1024}, {"READ", 44}});
    CHECK(read(names_only, "4 KiB", "random", "warm", 100) == Counts{{"GETATTR", 100}});
    CHECK(read(cached + ", direct_io: true", "4 KiB", "sequential", "cold", 1024) ==
          Counts{{"READ", 1024}});
    CHECK(read(cached + ", direct_io: true", "1 MiB", "sequential", "cold", 8) ==
          Counts{{"READ", 8}});
}

TEST_CASE("writes and fsync") {
    CHECK(requests(cached, one("write"), 100) == Counts{{"WRITE", 100}});
    CHECK(requests(cached, one("write, size: 1 MiB"), 8) == Counts{{"WRITE", 8}});
    CHECK(requests(cached, one("write") + ", direct: true", 100) == Counts{{"WRITE", 100}});
    CHECK(requests(cached, "operations: [{op: write}, {op: fsync}]", 200) ==
          Counts{{"WRITE", 100}, {"FSYNC", 100}});
    CHECK(requests(cached + ", writeback_cache: true", one("write"), 100) == Counts{});
    const Counts back =
        requests(cached + ", writeback_cache: true", "operations: [{op: write}, {op: fsync}]", 200);
    CHECK(back.at("WRITE") == 100);
    CHECK(back.at("FSYNC") == 100);
}

TEST_CASE(
    "the first write asks for a capability, where the layout was not written through the mount") {
    const std::string stack = "filesystem: stackfs";
    CHECK(requests(cached, one("write"), 100, stack) == Counts{{"WRITE", 100}, {"GETXATTR", 1}});
    CHECK(requests(cached + ", direct_io: true", one("write"), 100, stack) ==
          Counts{{"WRITE", 100}});
}

TEST_CASE("the library takes what its opcode takes, beside service times unless these include it") {
    host::HostProfile host = validation::paper_host(1);
    const auto processing = [&](const std::string& daemon, const char* opcode) {
        const auto result = simulated(daemon, expired, one("stat"), 10, host);
        return sim::Time::from_seconds(
            report::find(result.requests, opcode)->phases->processing.value());
    };
    const std::string service = "filesystem: service_time, service: {other: {cpu: 100 us}}";
    const std::string beside = service + ", service_includes_library: false";
    host.costs.libfuse_request = sim::Time::from_ns(4'000);
    const sim::Time null = processing(null_daemon, "LOOKUP");
    const sim::Time call = null - host.costs.libfuse_request;
    const sim::Time served = sim::Time::from_ns(100'000);
    CHECK(processing(service, "LOOKUP") == call + served);
    CHECK(processing(beside, "LOOKUP") == null + served);

    SECTION("what comes after the reply is not part of processing") {
        host.costs.libfuse_loop = sim::Time::from_ns(1'000);
        CHECK(processing(null_daemon, "LOOKUP") == null - host.costs.libfuse_loop);
    }
    SECTION("by opcode") {
        host.costs.library.emplace();
        host.costs.library->lookup = sim::Time::from_ns(7'000);
        host.costs.library->getattr = sim::Time::from_ns(5'000);
        CHECK(processing(null_daemon, "LOOKUP") == call + host.costs.library->lookup);
        CHECK(processing(null_daemon, "GETATTR") == call + host.costs.library->getattr);
        CHECK(processing(beside, "GETATTR") == call + host.costs.library->getattr + served);
    }
}

TEST_CASE("stackfs looks up and stats what is there, and only looks up what is not") {
    host::HostProfile host = validation::paper_host(1);
    host::LowerCosts& lower = host.costs.lower["tmpfs"];
    lower.lookup = 5_us;
    lower.stat = 7_us;
    lower.close_path = 1_us;
    lower.lookup_missing = 3_us;
    const auto processing = [&](const std::string& operation) {
        const auto result =
            simulated("filesystem: stackfs", attributes_only, one(operation), 100, host);
        return report::find(result.requests, "LOOKUP")->phases->processing;
    };
    CHECK(*processing("stat") == Approx(13e-6));
    CHECK(*processing("stat_missing") == Approx(3e-6));
}

TEST_CASE("CPU time is that of the window, without the warm-up") {
    const report::Result result = validation::simulate_on(
        validation::paper_host(1),
        "schema_version: 1\n"
        "mount: {direct_io: true}\n"
        "daemon: {filesystem: 'null', threads: single}\n"
        "workload: {files: {count: 1, size: 64 KiB}, operations: [{op: read, size: 4 KiB}]}\n"
        "run: {warm_up: 30 ms, duration: 10 ms}\n");
    // One core that somebody always has.
    const double all = result.cpu->application_s + result.cpu->daemon_s + result.cpu->kernel_s;
    CHECK(all > 0.9 * result.duration_s);
    CHECK(all < 1.01 * result.duration_s);
}
