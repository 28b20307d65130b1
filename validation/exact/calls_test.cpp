#include "config/document.h"
#include "config/error.h"
#include "support/paper_host.h"
#include "system/scenario.h"
#include "system/simulation.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

// Replay of application calls: which requests come of them. What is said to be measured was counted
// on a real mount: kernel 6.18, stackfs over tmpfs, calls and requests recorded in the same run.

using namespace fusesim;
using Catch::Contains;

namespace {

using Counts = std::map<std::string, std::uint64_t>;

/// A trace of calls in a file of its own.
class Trace {
  public:
    Trace(const std::string& columns, const std::string& calls)
        : path_(std::filesystem::temp_directory_path() / fmt::format("calls.{}.txt", getpid())) {
        std::ofstream file(path_);
        file << "fusesim trace 1\nlayer: syscall\ncolumns: queued ended " << columns << '\n';
        std::istringstream lines(calls);
        std::string line;
        for (int ms = 1; std::getline(lines, line); ++ms) {
            file << ms << "000000 " << ms << "009000 " << line << '\n';
        }
    }

    ~Trace() { std::filesystem::remove(path_); }

    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

system::Outcome replayed(const Trace& trace,
                         const std::string& mount,
                         const std::string& more = "") {
    const std::string text = fmt::format(
        "schema_version: 1\nkernel: {{version: '6.18'}}\nmount: {{{}}}\n"
        "daemon: {{filesystem: stackfs, threads: single}}\n{}",
        mount,
        more);
    const auto document = config::Document::parse(text, "test");
    auto scenario = config::read<system::Scenario>(document);
    scenario.host = validation::paper_host(1);
    scenario.host->costs.lower.try_emplace("tmpfs");
    scenario.workload.trace = {trace.path().string(), trace.path().string()};
    return system::simulate(scenario, document);
}

Counts requests(const system::Outcome& outcome) {
    Counts counts;
    for (const auto& [opcode, request] : outcome.result.requests) {
        if (opcode != "FORGET" && opcode != "BATCH_FORGET") {
            counts[opcode] = request.count;
        }
    }
    return counts;
}

const std::string kept_long = "entry_timeout: 1000 s, attr_timeout: 1000 s";

const char* const bit_of_everything = R"(mkdir - - - - 0x1ff - - - /d -
create 1566 3 - - 0x800c2 - - - /d/f -
write 1566 3 - 5000 - - 5000 - - -
write 1566 3 5000 5000 - - 5000 - - -
fstat 1566 3 - - 0x1000 - - - /d/f//. -
close 1566 3 - - - - - - - -
stat - - - - - - - - /d/f -
open 1566 3 - - 0x80000 - - - /d/f -
read 1566 3 - 65536 - - - 10000 - -
read 1566 3 10000 65536 - - - - - -
close 1566 3 - - - - - - - -
stat - - - - - - - - /d/f -
rename - - - - - - - - /d/f /d/g
link - - - - - - - - /d/g /d/h
symlink - - - - - - - - /d/s -
readlink - - - 4096 - - - - /d/s -
chmod - - - - 0x180 - - - /d/g -
truncate - - - 6000 - - - - /d/g -
utimens - - - - - - - - /d/h -
chown - - - - - - - - /d/h -
stat - - - - - -2 - - /d/missing -
stat - - - - - -2 - - /d/missing -
open 1566 3 - - 0x80401 - - - /d/g -
write 1566 3 - 100 - - 100 - - -
fsync 1566 3 - - - - - - - -
close 1566 3 - - - - - - - -
create 1566 3 - - 0x80241 - - - /d/h -
write 1566 3 - 100 - - 100 - - -
ftruncate 1566 3 - 10 - - - - - -
close 1566 3 - - - - - - - -
open 1565 3 - - 0x90800 - - - /d -
fstat 1565 3 - - 0x1000 - - - /d//. -
readdir 1565 3 - 32768 - - - 120 - -
readdir 1565 3 - 32768 - - - - - -
close 1565 3 - - - - - - - -
open 1565 3 - - 0x90800 - - - /d -
fstat 1565 3 - - 0x1000 - - - /d//. -
readdir 1565 3 - 32768 - - - 120 - -
readdir 1565 3 - 32768 - - - - - -
close 1565 3 - - - - - - - -
stat - - - - 0x100 - - - /d/g -
stat - - - - 0x100 - - - /d/h -
stat - - - - 0x100 - - - /d/s -
statfs - - - - - - - - /d -
access - - - - 0x4 - - - /d/g -
access - - - - 0x4 - - - /d/g -
mkdir - - - - 0x1ff -17 - - /d -
rmdir - - - - - -39 - - /d -
unlink - - - - - - - - /d/g -
unlink - - - - - - - - /d/h -
unlink - - - - - - - - /d/s -
rmdir - - - - - - - - /d -
)";

const char* const all_columns =
    "opcode nodeid fh offset size flags error bytes_in bytes_out name name2";

/// Measured with the time-outs of `kept_long`.
const Counts measured{{"ACCESS", 1},     {"CREATE", 1},      {"FLUSH", 4},    {"FSYNC", 1},
                      {"GETATTR", 5},    {"GETXATTR", 1},    {"LINK", 1},     {"LOOKUP", 8},
                      {"MKDIR", 1},      {"OPEN", 3},        {"OPENDIR", 2},  {"READ", 1},
                      {"READDIR", 2},    {"READDIRPLUS", 2}, {"READLINK", 1}, {"RELEASE", 4},
                      {"RELEASEDIR", 2}, {"RENAME", 1},      {"RMDIR", 2},    {"SETATTR", 5},
                      {"STATFS", 1},     {"SYMLINK", 1},     {"UNLINK", 3},   {"WRITE", 5}};

/// The same, but for these.
Counts but(const Counts& different) {
    Counts counts = different;
    counts.insert(measured.begin(), measured.end());
    return counts;
}

}  // namespace

TEST_CASE("a program's calls make as many requests as were measured, under each setting") {
    const Trace trace(all_columns, bit_of_everything);
    const auto count = [&](const std::string& mount) {
        const system::Outcome outcome = replayed(trace, mount);
        CHECK(outcome.warnings.empty());
        return requests(outcome);
    };
    CHECK(count(kept_long) == measured);
    CHECK(count("entry_timeout: 0 s, attr_timeout: 0 s") == but({{"GETATTR", 11}, {"LOOKUP", 59}}));
    CHECK(count("entry_timeout: 1000 s, attr_timeout: 0 s") == but({{"GETATTR", 11}}));
    CHECK(count(kept_long + ", negative_timeout: 1000 s") == but({{"LOOKUP", 7}}));
    CHECK(count(kept_long + ", writeback_cache: true") ==
          but({{"READ", 2}, {"SETATTR", 12}, {"WRITE", 3}}));
    CHECK(count(kept_long + ", direct_io: true") == but({{"READ", 2}, {"WRITE", 4}}));
    CHECK(count(kept_long + ", keep_cache: true") == measured);
}

TEST_CASE("what was there before is inferred from the calls that find it") {
    // "read" shows how large the file is; the listing, that there are names that no call uses: 120
    // bytes are "." and "..", "old" (24 each) and 48 more.
    const Trace trace("opcode fh size flags bytes_out error name caller",
                      "open 3 - 0x10000 - - /dir 7\n"
                      "readdir 3 32768 - 120 - - 7\n"
                      "readdir 3 32768 - - - - 7\n"
                      "close 3 - - - - - 7\n"
                      "open 3 - - - - /dir/old 7\n"
                      "read 3 65536 - 10000 - - 7\n"
                      "read 3 65536 - - - - 7\n"
                      "close 3 - - - - - 7\n"
                      "stat - - - - -2 /dir/new 7\n");
    const system::Outcome outcome = replayed(trace, kept_long);
    CHECK(outcome.warnings.empty());
    const report::Request* read = report::find(outcome.result.requests, "READ");
    REQUIRE(read != nullptr);
    CHECK(read->count == 1);
    CHECK(read->bytes_out == 10'016);
    // READDIRPLUS has told of /dir/old: only the directory and the missing name are asked for.
    CHECK(requests(outcome)["LOOKUP"] == 2);
    const report::Request* list = report::find(outcome.result.requests, "READDIRPLUS");
    REQUIRE(list != nullptr);
    CHECK(list->bytes_out == 16 + 2 * 160 + 160 + 160);
}

TEST_CASE("a walk begins where the caller stood, marked by //") {
    const auto lookups = [](const std::string& path) {
        const Trace trace("opcode name caller", "stat " + path + " 7\n");
        return requests(replayed(trace, kept_long))["LOOKUP"];
    };
    CHECK(lookups("/a/b/c/file") == 4);
    CHECK(lookups("/a/b//c/file") == 2);
    CHECK(lookups("/a/b/c//file") == 1);
    CHECK(lookups("/a/b/c//.") == 0);
}

TEST_CASE("a descriptor may be a duplicate, or older than the recording") {
    const std::string columns = "opcode nodeid fh size bytes_in bytes_out name pid caller";
    // dup2(3, 1); close(3); write(1, ...), and the process ends.
    const Trace duplicate(columns,
                          "open 50 3 - - - /file 7 7\n"
                          "close 50 3 - - - - 7 7\n"
                          "write 50 1 100 100 - - 7 7\n");
    Counts counts = requests(replayed(duplicate, kept_long));
    CHECK(counts["OPEN"] == 1);
    CHECK(counts["WRITE"] == 1);
    CHECK(counts["FLUSH"] == 2);
    CHECK(counts["RELEASE"] == 1);

    const Trace older(columns, "read 50 3 4096 - 4096 - 7 7\nread 50 3 4096 - 4096 - 7 7\n");
    counts = requests(replayed(older, kept_long));
    CHECK(counts["OPEN"] == 0);
    CHECK(counts["READ"] == 1);
    CHECK(counts["RELEASE"] == 0);
}

TEST_CASE("what cannot be replayed is told, by kind") {
    const Trace trace("opcode fh size error name caller",
                      "open 3 - - /file 7\n"
                      "mmap 3 4096 - - 7\n"
                      "splice 3 4096 - - 7\n"
                      "execve - - - /file 7\n"
                      "mkdir - - -2 /other/new 7\n"
                      "stat - - - /other/old 7\n");
    const system::Outcome outcome = replayed(trace, kept_long);
    REQUIRE(outcome.warnings.size() == 3);
    CHECK_THAT(outcome.warnings[0], Contains("1 splice") && Contains("1 execve"));
    CHECK_THAT(outcome.warnings[1], Contains("1 mkdir"));
    CHECK_THAT(outcome.warnings[2], Contains("1 files were mapped"));
}

TEST_CASE("a shell waits for its child, and a slower mount makes both later") {
    const Trace trace("opcode name caller",
                      "stat /first 7\n"
                      "stat /child 8\n"
                      "stat /child 8\n"
                      "stat /last 7\n");
    const auto duration = [&](const std::string& service) {
        const std::string text = fmt::format(
            "schema_version: 1\nmount: {{entry_timeout: 0 s, attr_timeout: 0 s}}\n"
            "daemon: {{filesystem: service_time, threads: single, "
            "service: {{other: {{blocked: {}}}}}}}\n",
            service);
        const auto document = config::Document::parse(text, "test");
        auto scenario = config::read<system::Scenario>(document);
        scenario.host = validation::paper_host(1);
        scenario.workload.trace = {trace.path().string(), trace.path().string()};
        return system::simulate(scenario, document).result.duration_s;
    };
    // Each stat is LOOKUP and GETATTR, and nothing else of the replay depends on the daemon.
    CHECK(duration("20 ms") - duration("10 ms") == Approx(8 * 0.010).epsilon(0.001));
}

TEST_CASE("recorded calls have no daemon of their own") {
    const Trace trace("opcode name caller", "stat /file 7\n");
    const auto simulate = [&](const std::string& daemon) {
        const auto document =
            config::Document::parse("schema_version: 1\ndaemon: {" + daemon + "}\n", "test");
        auto scenario = config::read<system::Scenario>(document);
        scenario.workload.trace = {trace.path().string(), trace.path().string()};
        return system::simulate(scenario, document);
    };
    CHECK_THAT(simulate("threads: single").warnings.at(0), Contains("fusesim fit"));
    CHECK(simulate("filesystem: 'null'").warnings.empty());
    CHECK_THROWS_AS(simulate("filesystem: recorded"), config::Error);
    CHECK_THROWS_AS(simulate("filesystem: none"), config::Error);
}
