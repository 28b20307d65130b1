#include "config/document.h"
#include "device/hdd.h"
#include "device/settings.h"
#include "support/paper_host.h"
#include "system/scenario.h"
#include "system/simulation.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <string>

// ext4 on ready devices, from the application's call down, against closed forms.

using namespace fusesim;

namespace {

report::Result run(const std::string& text) {
    const auto document = config::Document::parse(text, FUSESIM_CONFIGS "/test.yaml");
    auto scenario = config::read<system::Scenario>(document);
    auto host = validation::paper_host(4);
    // Calls take time, or a loop of calls that never sleep would be one step without end.
    host.costs.lower["ext4"].write = {{config::Bytes{128u << 10}, sim::Time::from_ns(20'000)}};
    host.costs.lower["ext4"].read = {{config::Bytes{128u << 10}, sim::Time::from_ns(10'000)}};
    host.memory = scenario.host ? scenario.host->memory : std::nullopt;
    if (scenario.mount.writeback_cache.value_or(false)) {
        // Where sending takes no time at all, a flush of many pages is one long call.
        host.costs.fuse_submit = sim::Time::from_ns(100);
    }
    scenario.host = host;
    return system::simulate(scenario, document).result;
}

std::string stack(const std::string& daemon,
                  const std::string& memory,
                  const std::string& part,
                  bool writeback_cache = false) {
    return fmt::format(
        "schema_version: 1\n"
        "host: {{cores: 4, memory: {}, costs: {{idle_exit: [{{idle: 0 s, quantiles: [0 s, 0 "
        "s]}}]}}}}\n"
        "mount: {{attr_timeout: 1000 s, entry_timeout: 1000 s, writeback_cache: {}}}\n"
        "daemon: {{{}}}\n"
        "lower: {{filesystem: ext4}}\n"
        "device: {{from: devices/{}.yaml}}\n",
        memory,
        writeback_cache,
        daemon,
        part);
}

/// Between random places in the first so many bytes of the disk.
double mean_seek(std::uint64_t bytes) {
    const auto document = config::Document::load(FUSESIM_CONFIGS "/devices/savvio-15k2.yaml");
    const auto disk =
        std::get<device::HddConfig>(config::read<device::DeviceSettings>(document).kind);
    const device::SeekCurve curve(disk.seek, 62'640);
    double left = static_cast<double>(bytes) / 512;
    double cylinders = 0;
    for (const device::HddZone& zone : disk.zones) {
        const double sectors = static_cast<double>(zone.sectors_per_track) * disk.heads;
        const double used = std::min<double>(zone.cylinders, left / sectors);
        cylinders += used;
        left -= used * sectors;
    }
    const auto n = static_cast<std::uint32_t>(cylinders);
    double sum = 0;
    for (std::uint32_t d = 1; d < n; ++d) {
        sum += 2.0 * (n - d) * curve.time(d).seconds();
    }
    return sum / n / n;
}

const std::string stackfs = "filesystem: stackfs, threads: multi";
const std::string none = "filesystem: none";

double latency(const report::Result& result, const std::string& operation) {
    const auto found = std::find_if(result.operations.begin(),
                                    result.operations.end(),
                                    [&](const auto& one) { return one.first == operation; });
    REQUIRE(found != result.operations.end());
    return found->second.latency->mean;
}

}  // namespace

TEST_CASE("random reads of a disk take overhead, seek, half a revolution and transfer", "[lower]") {
    const std::string workload =
        "workload: {files: {count: 1, size: 124 GiB}, operations: [{op: read}], cache: cold}\n"
        "run: {operations: 4000}\n";
    const double transfer = 8 * (4e-3 / 1144.5 + 512 / 600e6);
    const double drive = 0.2e-3 + mean_seek(std::uint64_t{124} << 30) + 2.0e-3 + transfer;
    // Alone: one idle exit. Below the daemon: read(2), writev(2) and two more wake-ups.
    const report::Result alone = run(stack(none, "4 GiB", "savvio-15k2") + workload);
    CHECK(latency(alone, "read") == Approx(drive + 3e-6).epsilon(0.02));
    const report::Result below = run(stack(stackfs, "4 GiB", "savvio-15k2") + workload);
    CHECK(latency(below, "read") == Approx(drive + 42e-6).epsilon(0.02));
}

TEST_CASE("sequential reads go at the speed of the device", "[lower]") {
    for (const auto& [part, stated] :
         {std::pair{"savvio-15k2", 152e6}, {"samsung-850-evo", 540e6}}) {
        for (const std::string& daemon : {none, stackfs}) {
            const report::Result result =
                run(stack(daemon, "4 GiB", part) +
                    "workload: {files: {count: 1, size: 4 GiB}, cache: cold,\n"
                    "  operations: [{op: read, size: 128 KiB, pattern: sequential}]}\n"
                    "run: {warm_up: 500 ms, duration: 2 s}\n");
            INFO(part << ", " << daemon);
            CHECK(result.throughput.read_bytes_per_s == Approx(stated).epsilon(0.05));
        }
    }
}

TEST_CASE("the share of random reads that miss follows from memory", "[lower]") {
    // 1 GiB of 8 is cached, or half of that twice.
    const std::string workload =
        "workload: {threads: 1, files: {count: 1, size: 8 GiB},\n"
        "  operations: [{op: read, pattern: uniform}]}\n"
        "run: {operations: 100000}\n";
    const report::Result below = run(stack(stackfs, "1 GiB", "samsung-850-evo") + workload);
    for (const auto& [opcode, request] : below.requests) {
        if (opcode == "READ") {
            CHECK(static_cast<double>(request.count) / 100'000 ==
                  Approx(1 - 0.5 / 8).margin(0.004));
        }
    }
}

TEST_CASE("writers are slowed down to the speed of the device", "[lower]") {
    const report::Result result =
        run(stack(none, "1 GiB", "savvio-15k2") +
            "workload: {files: {count: 1, size: 8 GiB},\n"
            "  operations: [{op: write, size: 128 KiB, pattern: sequential}], cache: cold}\n"
            "run: {warm_up: 20 s, duration: 20 s}\n");
    CHECK(result.throughput.write_bytes_per_s == Approx(152e6).epsilon(0.1));
}

TEST_CASE("a run ends while the daemon still waits for room for dirty pages", "[lower]") {
    const report::Result result =
        run(stack(stackfs, "1 GiB", "savvio-15k2", true) +
            "workload: {files: {count: 1, size: 8 GiB},\n"
            "  operations: [{op: write, pattern: uniform}], cache: cold}\n"
            "run: {warm_up: 4 s, duration: 1 s}\n");
    CHECK(result.throughput.ops_per_s > 0);
}

TEST_CASE("calls that take no time make no run that never ends", "[lower]") {
    const std::string daemon = "filesystem: none";
    const std::string workload =
        "workload: {files: {count: 1, size: 1 MiB}, operations: [{op: read}]}\n";
    const auto simulate = [&](const std::string& run) {
        const auto document = config::Document::parse(
            stack(daemon, "1 GiB", "savvio-15k2") + workload + run, FUSESIM_CONFIGS "/test.yaml");
        auto scenario = config::read<system::Scenario>(document);
        auto host = validation::paper_host(1);
        host.costs.syscall = sim::Time();
        host.costs.lower["ext4"] = {};
        host.memory = scenario.host->memory;
        scenario.host = host;
        return system::simulate(scenario, document).result;
    };
    // Deep enough for any stack, were one call to stand on the last.
    const report::Result counted = simulate("run: {operations: 1000000}\n");
    CHECK(counted.operations.at(0).second.count == 1'000'000);
    CHECK_THROWS_WITH(simulate("run: {duration: 1 s}\n"), Catch::Contains("took no time"));
}
