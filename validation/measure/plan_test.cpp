#include "plan.h"

#include "config/map.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace fusesim;

namespace {

const std::string operations = "workload: {operations: [{op: stat}]}\n";

struct Case {
    explicit Case(const std::string& text)
        : document(config::Document::parse(operations + text, "test.yaml")),
          scenario(config::read<system::Scenario>(document)) {}

    config::Document document;
    system::Scenario scenario;

    std::string complaint() const {
        const measure::Machine machine{"6.18.4-cloud", "3.14.0", {0, 1}};
        try {
            measure::check_measurable(scenario, document, machine);
        } catch (const config::Error& error) {
            return error.what();
        }
        return "";
    }

    /// The options, without -f and -o, "-s" before the list.
    std::string options() const {
        std::string text;
        for (const std::string& word : measure::daemon_options(scenario, "/lower")) {
            if (word != "-f" && word != "-o") {
                text += (text.empty() ? "" : " ") + word;
            }
        }
        return text;
    }
};

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("a plain scenario is measured with nullfs and libfuse's defaults", "[measure]") {
    const Case plain("");
    CHECK(plain.complaint().empty());
    CHECK(measure::daemon_name(plain.scenario) == "nullfs");
    CHECK(plain.options() == "max_write=1048576,files=0");
}

TEST_CASE("every setting of mount and daemon reaches the daemon", "[measure]") {
    const Case all(
        "mount: {max_background: 64, congestion_threshold: 48, max_write: 128 KiB,\n"
        "  splice_read: true, splice_write: true, splice_move: true, clone_fd: true,\n"
        "  entry_timeout: 1500 ms, attr_timeout: 0 s, negative_timeout: 10 s,\n"
        "  max_readahead: 64 KiB, writeback_cache: true, default_permissions: true,\n"
        "  direct_io: true, keep_cache: true}\n"
        "daemon: {filesystem: stackfs, api: high_level, threads: 4, max_idle_threads: 2}\n");
    CHECK(all.complaint().empty());
    CHECK(measure::daemon_name(all.scenario) == "stackfs");
    CHECK(all.options() ==
          "max_threads=4,max_idle_threads=2,clone_fd,entry_timeout=1.5,attr_timeout=0,"
          "negative_timeout=10,direct_io,keep_cache,writeback_cache,default_permissions,"
          "splice_read,splice_write,splice_move,max_write=131072,max_readahead=65536,"
          "max_background=64,congestion_threshold=48,source=/lower,high_level");
}

TEST_CASE("a single-threaded daemon is one, and passthrough is asked for", "[measure]") {
    const Case single("daemon: {filesystem: stackfs, threads: single}\nmount: {passthrough: true}");
    CHECK(single.complaint().empty());
    CHECK(single.options() == "-s max_write=1048576,source=/lower,passthrough");
}

TEST_CASE("service times go to delayfs in microseconds", "[measure]") {
    const Case slept(
        "daemon: {filesystem: service_time, service: {other: {blocked: 100 us}}}\nrun: {seed: 3}");
    CHECK(slept.complaint().empty());
    CHECK(measure::daemon_name(slept.scenario) == "delayfs");
    CHECK(slept.options() == "max_write=1048576,files=0,service_us=100,seed=3");
    const Case spun(
        "daemon: {filesystem: service_time, service: {other: {cpu: exponential(20 us)}}}");
    CHECK(spun.complaint().empty());
    CHECK_THAT(spun.options(), Contains("service_us=20,spin,exponential,seed=1"));
}

TEST_CASE("io_uring is uringfs with its queue depth", "[measure]") {
    const Case ring("mount: {transport: io_uring, io_uring_q_depth: 16}");
    CHECK(ring.complaint().empty());
    CHECK(measure::daemon_name(ring.scenario) == "uringfs");
    CHECK_THAT(ring.options(), Contains("queue_depth=16"));
    CHECK_THAT(Case("mount: {transport: io_uring, clone_fd: true}").complaint(),
               Contains("test.yaml:2:40: error: mount.clone_fd shapes a loop"));
    CHECK_THAT(Case("mount: {transport: io_uring}\ndaemon: {threads: single}").complaint(),
               Contains("daemon.threads shapes a loop"));
    CHECK_THAT(Case("mount: {transport: io_uring}\ndaemon: {filesystem: stackfs}").complaint(),
               Contains("io_uring is measured with filesystem: null only"));
}

TEST_CASE("what only a simulation can do is refused with its place", "[measure]") {
    CHECK_THAT(Case("daemon: {filesystem: recorded}").complaint(),
               Contains("test.yaml:2:22: error: daemon.filesystem: recorded cannot be measured"));
    for (const char* service : {"{READ: {cpu: 3 us}}",
                                "{other: {cpu: 3 us}, READ: {cpu: 3 us}}",
                                "{other: {cpu: 3 us, blocked: 4 us}}",
                                "{other: {cpu: \"uniform(1 us, 2 us)\"}}"}) {
        const std::string daemon =
            std::string("daemon: {filesystem: service_time, service: ") + service + "}";
        CHECK_THAT(Case(daemon).complaint(), Contains("daemon.service cannot be measured"));
    }
    CHECK_THAT(Case("daemon: {api: high_level}").complaint(), Contains("stackfs only"));
    CHECK_THAT(Case("mount: {passthrough: true}").complaint(),
               Contains("test.yaml:2:22: error: mount.passthrough needs files below"));
    CHECK_THAT(Case("mount: {max_write: 2 MiB}").complaint(), Contains("mount.max_write"));
}

TEST_CASE("software of another version is refused, of the same is not", "[measure]") {
    CHECK(Case("kernel: {version: \"6.18\"}\ndaemon: {libfuse: \"3.14\"}").complaint().empty());
    const std::string old =
        Case("kernel: {version: \"6.1\"}\ndaemon: {libfuse: \"3.10\"}").complaint();
    CHECK_THAT(old, Contains("kernel.version is 6.1, but this machine runs 6.18.4-cloud"));
    CHECK_THAT(old, Contains("daemon.libfuse is 3.10, but this machine has 3.14.0"));
}

TEST_CASE("a workload must be one of operations", "[measure]") {
    const auto document = config::Document::parse("run: {repeat: 2}", "empty.yaml");
    const auto scenario = config::read<system::Scenario>(document);
    CHECK_THROWS_WITH(measure::check_measurable(scenario, document, {}),
                      Contains("workload.operations is missing"));
}
