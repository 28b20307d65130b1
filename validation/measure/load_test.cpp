#include "load.h"

#include "config/map.h"
#include "files.h"

#include <catch2/catch.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>

namespace fs = std::filesystem;
using namespace fusesim;
using namespace std::chrono_literals;

// A load needs no FUSE: it works on any directory.

namespace {

system::Scenario scenario_of(const std::string& text) {
    return config::read<system::Scenario>(config::Document::parse(text, "test.yaml"));
}

struct Ground {
    explicit Ground(const system::Scenario& scenario) : folder(fs::temp_directory_path()) {
        measure::lay_out(scenario, folder.path(), true, [] { return false; });
    }

    measure::TemporaryFolder folder;
};

measure::Done run(measure::Load& load) {
    load.begin();
    load.warm_up();
    load.go_on();
    load.finish();
    return load.results();
}

std::map<std::string, std::uint64_t> counts(const measure::Done& done) {
    std::map<std::string, std::uint64_t> out;
    for (std::size_t kind = 0; kind < measure::call_kinds; ++kind) {
        if (done.kept.calls[kind].count() > 0) {
            out[measure::call_name(kind)] = done.kept.calls[kind].count();
        }
    }
    return out;
}

std::size_t entries(const fs::path& folder) {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("every thread does as many steps of each kind as it was told", "[measure]") {
    const auto scenario = scenario_of(
        "workload:\n"
        "  threads: 2\n"
        "  files: {count: 3, size: 16 KiB}\n"
        "  operations: [{op: stat}, {op: stat_missing}, {op: open}, {op: create}, {op: create},\n"
        "    {op: unlink}, {op: readdir}, {op: read}, {op: write, size: 8 KiB}, {op: fsync}]\n"
        "run: {operations: 20}\n");
    const Ground ground(scenario);
    measure::Load load(scenario, ground.folder.path(), 20, 1, nullptr);
    const measure::Done done = run(load);
    CHECK(done.kept.steps == 40);
    CHECK(done.kept.read_bytes == 4 * 4096);
    CHECK(done.kept.write_bytes == 4 * 8192);
    CHECK(done.window_s > 0);
    CHECK(counts(done) == std::map<std::string, std::uint64_t>{{"stat", 4},
                                                               {"stat_missing", 4},
                                                               {"open", 4},
                                                               {"create", 8},
                                                               {"close", 12},
                                                               {"unlink", 4},
                                                               {"readdir", 4},
                                                               {"read", 4},
                                                               {"write", 4},
                                                               {"fsync", 4}});
    for (const char* thread : {"thread0", "thread1"}) {
        const fs::path folder = ground.folder.path() / thread;
        CHECK(entries(folder) == 3 + 4 - 2);
        CHECK_FALSE(fs::exists(folder / "new0"));
        CHECK(fs::exists(folder / "new3"));
    }
}

TEST_CASE("a warm-up before a number of operations is not counted", "[measure]") {
    const auto scenario = scenario_of(
        "workload: {operations: [{op: create}]}\nrun: {operations: 10, warm_up: 20 ms}");
    const Ground ground(scenario);
    measure::Load load(scenario, ground.folder.path(), 10, 1, nullptr);
    const measure::Done done = run(load);
    CHECK(done.kept.steps == 10);
    CHECK(counts(done)["create"] == 10);
    CHECK(entries(ground.folder.path() / "thread0") >= 16 + 10);
}

TEST_CASE("a duration is the window, and what ends outside of it is not counted", "[measure]") {
    const auto scenario = scenario_of(
        "workload: {operations: [{op: create}]}\nrun: {duration: 300 ms, warm_up: 30 ms}");
    const Ground ground(scenario);
    measure::Load load(scenario, ground.folder.path(), std::nullopt, 1, nullptr);
    const measure::Done done = run(load);
    CHECK(done.window_s == Approx(0.3));
    CHECK(done.kept.steps > 0);
    // The window begins and ends within steps: none of them counts by half.
    CHECK(done.kept.steps == counts(done)["create"]);
    CHECK(done.kept.steps == counts(done)["close"]);
    CHECK(entries(ground.folder.path() / "thread0") >= 16 + done.kept.steps);
}

TEST_CASE("latency of an open loop begins at the arrival", "[measure]") {
    // A thread that gets a step each microsecond cannot keep up, so that most steps wait for many
    // others. Times of single calls would add up to the window at most.
    const auto scenario = scenario_of(
        "workload: {operations: [{op: readdir}], rate: 1000 kiops, arrival: even}\n"
        "run: {operations: 500}");
    const Ground ground(scenario);
    measure::Load load(scenario, ground.folder.path(), 500, 1, nullptr);
    const measure::Done done = run(load);
    const measure::Latencies& latencies =
        done.kept.calls[static_cast<std::size_t>(workload::Op::readdir)];
    CHECK(latencies.mean_s() * 500 > 2 * done.window_s);
}

TEST_CASE("what goes wrong in a thread ends the load with a sentence", "[measure]") {
    const auto scenario =
        scenario_of("workload: {threads: 2, operations: [{op: stat}]}\nrun: {operations: 100}");
    const Ground ground(scenario);
    fs::remove(ground.folder.path() / "thread1" / "file3");
    measure::Load load(scenario, ground.folder.path(), 100, 1, nullptr);
    CHECK_THROWS_WITH(run(load), "stat of file3: No such file or directory");
}

TEST_CASE("a load that is told to stop stops", "[measure]") {
    const auto scenario =
        scenario_of("workload: {operations: [{op: stat}], think: 10 s}\nrun: {duration: 1000 s}");
    const Ground ground(scenario);
    std::atomic<bool> stop{false};
    measure::Load load(scenario, ground.folder.path(), std::nullopt, 1, &stop);
    load.begin();
    load.warm_up();
    load.go_on();
    CHECK_FALSE(load.wait(1ms));
    stop = true;
    load.finish();
    CHECK(load.results().kept.steps == 0);
}

TEST_CASE("a load that nobody finishes ends with its object", "[measure]") {
    const auto scenario = scenario_of(
        "workload: {threads: 3, operations: [{op: stat}]}\nrun: {operations: 1000000000}");
    const Ground ground(scenario);
    measure::Load load(scenario, ground.folder.path(), 1'000'000'000, 1, nullptr);
    load.begin();
    load.warm_up();
}

TEST_CASE("a temporary folder goes with its process, even if that is killed", "[measure]") {
    int ends[2] = {-1, -1};
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
        measure::TemporaryFolder folder(fs::temp_directory_path());
        std::ofstream(folder.path() / "file") << "text";
        const std::string path = folder.path().string();
        static_cast<void>(!write(ends[1], path.c_str(), path.size() + 1));
        pause();
        _exit(0);
    }
    char path[256] = {};
    REQUIRE(read(ends[0], path, sizeof path - 1) > 0);
    close(ends[0]);
    close(ends[1]);
    CHECK(fs::exists(fs::path(path) / "file"));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (int i = 0; i < 5000 && fs::exists(path); ++i) {
        std::this_thread::sleep_for(1ms);
    }
    CHECK_FALSE(fs::exists(path));
}
