// Measures real mounts of the reference daemons: measure_live counts|repeats|interrupted|killed
// DAEMONS, a folder. Needs root and /dev/fuse; exits with 77 and a reason where they are missing.

#include "config/map.h"
#include "measure.h"
#include "report/report.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

using namespace fusesim;
using namespace std::chrono_literals;

namespace {

constexpr int skipped = 77;

std::filesystem::path daemons;

void check(bool fine, const std::string& what) {
    if (!fine) {
        throw std::runtime_error(what);
    }
}

std::string contents(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

measure::Measured run(const std::string& text, measure::Options options = {}) {
    const auto document = config::Document::parse(text, "live.yaml");
    options.daemons = daemons;
    return measure::run(config::read<system::Scenario>(document), document, options);
}

using Counts = std::map<std::string, std::uint64_t>;

/// Requests by opcode. How many FORGETs share a message is up to the daemon's pace.
Counts counts_of(const measure::Measured& measured) {
    Counts counts;
    for (const auto& [name, request] : measured.result.requests) {
        if (name != "FORGET" && name != "BATCH_FORGET") {
            counts[name] = request.count;
        }
    }
    return counts;
}

std::string text_of(const Counts& counts) {
    std::string text;
    for (const auto& [name, count] : counts) {
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
    }
    return text;
}

void check_counts(const std::string& name,
                  const std::string& operations,
                  const std::string& more,
                  const Counts& expected) {
    const std::string text = fmt::format(
        "mount: {{entry_timeout: 1000 s{}}}\n"
        "daemon: {{threads: single}}\n"
        "workload: {{files: {{count: 8, size: 64 KiB}}, operations: [{}]}}\n"
        "run: {{operations: 200}}\n",
        more,
        operations);
    const measure::Measured measured = run(text);
    Counts counts = counts_of(measured);
    if (expected.empty() && counts["READ"] <= 10) {
        counts.erase("READ");  // the kernel may take back cached pages at any time
    }
    std::printf("%-24s %s\n", name.c_str(), text_of(counts).c_str());
    check(counts == expected, name + " makes " + text_of(expected));
    check(measured.recorded_steps == 200, name + " records all operations");
    check(measured.lost_events == 0, name + " loses nothing");
    std::uint64_t steps = 0;
    for (const auto& [kind, operation] : measured.result.operations) {
        steps += kind == "close" ? 0 : operation.count;
    }
    check(steps == 200, name + " counts its operations");
    const auto again =
        report::from_json(config::Json::parse(report::json_text(measured.result)), "the result");
    check(report::json_text(again) == report::json_text(measured.result), name + " can be read");
    check(again.source == report::Source::measured, name + " is measured");
}

/// What the kernel's rules say each operation asks of the daemon.
void test_counts() {
    const std::string valid = ", attr_timeout: 1000 s";
    const std::string stale = ", attr_timeout: 0 s";
    check_counts("stat", "{op: stat}", valid, {{"LOOKUP", 8}});
    check_counts("stat, stale", "{op: stat}", stale, {{"GETATTR", 200}, {"LOOKUP", 8}});
    check_counts("stat_missing", "{op: stat_missing}", valid, {{"LOOKUP", 200}});
    check_counts("open",
                 "{op: open}",
                 valid,
                 {{"LOOKUP", 8}, {"OPEN", 200}, {"FLUSH", 200}, {"RELEASE", 200}});
    check_counts("create",
                 "{op: create}",
                 valid,
                 {{"LOOKUP", 200}, {"CREATE", 200}, {"FLUSH", 200}, {"RELEASE", 200}});
    check_counts(
        "create and unlink",
        "{op: create}, {op: unlink}",
        valid,
        {{"LOOKUP", 100}, {"CREATE", 100}, {"FLUSH", 100}, {"RELEASE", 100}, {"UNLINK", 100}});
    check_counts("readdir",
                 "{op: readdir}",
                 valid,
                 {{"OPENDIR", 200}, {"READDIRPLUS", 200}, {"READDIR", 200}, {"RELEASEDIR", 200}});
    check_counts("read, warm", "{op: read}", valid, {});
    check_counts("read, direct_io", "{op: read}", valid + ", direct_io: true", {{"READ", 200}});
    check_counts("write", "{op: write}", valid, {{"WRITE", 200}});
    check_counts("fsync", "{op: fsync}", valid, {{"FSYNC", 200}});
}

/// Repeats come one by one and together, and nothing stays behind.
void test_repeats() {
    const std::string mounts = contents("/proc/self/mountinfo");
    const auto folder = std::filesystem::current_path();
    const measure::Measured measured =
        run("daemon: {filesystem: service_time, service: {other: {blocked: 1 ms}}}\n"
            "mount: {direct_io: true}\n"
            "workload: {threads: 2, files: {count: 2, size: 64 KiB}, operations: [{op: read}]}\n"
            "run: {duration: 100 ms, repeat: 3}\n");
    check(measured.repeats.size() == 3, "there are three repeats");
    double sum = 0;
    for (const measure::Repeat& repeat : measured.repeats) {
        check(repeat.steps > 0, "each repeat did something");
        check(repeat.operations.front().second.latency->p50 > 1e-3, "a read takes its time");
        sum += repeat.ops_per_s;
    }
    const report::Throughput& throughput = measured.result.throughput;
    check(std::abs(throughput.ops_per_s - sum / 3) < 1e-6 * sum, "the result is their mean");
    check(std::abs(throughput.read_bytes_per_s - 4096 * throughput.ops_per_s) < 1,
          "bytes are those of the operations");
    check(throughput.ci95.size() == 4, "there are confidence intervals");
    for (const auto& [name, interval] : throughput.ci95) {
        check(interval.low <= interval.high, name + " has an interval");
    }
    check(contents("/proc/self/mountinfo") == mounts, "no mount is left");
    check(std::filesystem::current_path() == folder, "the working directory is as it was");
    check(waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD, "no process is left");
}

/// What was measured until then is reported, and all is cleaned up.
void test_interrupted() {
    std::atomic<bool> stop{false};
    measure::Options options;
    options.stop = &stop;
    options.progress = [&stop](double share) { stop = share > 0; };
    const std::string text =
        "workload: {operations: [{op: stat}]}\nrun: {duration: 1000 s, repeat: 2}\n";
    const measure::Measured measured = run(text, options);
    check(measured.partial, "the result says that it is partial");
    check(measured.repeats.size() == 1, "the first repeat is all there is");
    check(measured.result.duration_s < 1000, "the window is what it was");
    check(measured.result.throughput.ops_per_s > 0, "something was measured");
    check(waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD, "no process is left");

    stop = true;
    try {
        run(text, options);
    } catch (const measure::Unavailable& error) {
        check(std::string(error.what()).find("interrupted") != std::string::npos, error.what());
        return;
    }
    check(false, "a run that measured nothing has no result");
}

/// The first child of a process; 0 if it has none.
pid_t child_of(pid_t process) {
    const std::string children = contents(fmt::format("/proc/{0}/task/{0}/children", process));
    return children.empty() ? 0 : static_cast<pid_t>(std::atoi(children.c_str()));
}

bool has_ended(pid_t process) {
    const std::string stat = contents(fmt::format("/proc/{}/stat", process));
    return stat.empty() || stat.find(") Z ") != std::string::npos;
}

template <class Condition>
void wait_until(Condition condition, const std::string& what) {
    for (int i = 0; i < 10'000; ++i) {
        if (condition()) {
            return;
        }
        std::this_thread::sleep_for(1ms);
    }
    check(false, what);
}

/// Whether a mount table has the mount of a measurement.
bool has_mount(const std::string& table) {
    std::istringstream lines(contents(table));
    for (std::string line; std::getline(lines, line);) {
        if (line.find("/mount ") != std::string::npos &&
            line.find(" - fuse") != std::string::npos) {
            return true;
        }
    }
    return false;
}

/// A process that is killed takes mount and daemon with it.
void test_killed() {
    const pid_t child = fork();
    if (child == 0) {
        try {
            run("workload: {operations: [{op: stat}]}\nrun: {duration: 1000 s}\n");
        } catch (const std::exception& error) {
            std::printf("%s\n", error.what());
        }
        _exit(1);
    }
    const std::string mounts = fmt::format("/proc/{}/mountinfo", child);
    wait_until([&] { return has_mount(mounts); }, "the file system is mounted");
    const pid_t daemon = child_of(child);
    check(daemon > 0, "there is a daemon");
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    wait_until([&] { return has_ended(daemon); }, "the daemon ends");
    check(!has_mount("/proc/self/mountinfo"), "no mount is left");
}

}  // namespace

/// The SystemC library, which comes with the model, wants one; this program has no use for it.
extern "C" int sc_main(int, char**) {
    return 0;
}

int main(int argc, char** argv) {
    try {
        check(argc == 3, "usage: measure_live counts|repeats|interrupted|killed DAEMONS");
        daemons = argv[2];
        const std::map<std::string, void (*)()> tests{{"counts", test_counts},
                                                      {"repeats", test_repeats},
                                                      {"interrupted", test_interrupted},
                                                      {"killed", test_killed}};
        const auto test = tests.find(argv[1]);
        check(test != tests.end(), std::string("no test is called ") + argv[1]);
        const auto document =
            config::Document::parse("workload: {operations: [{op: stat}]}", "live.yaml");
        measure::Options options;
        options.daemons = daemons;
        try {
            measure::check(config::read<system::Scenario>(document), document, options);
        } catch (const measure::Unavailable& lacking) {
            std::printf("skipped: %s\n", lacking.what());
            return skipped;
        }
        test->second();
    } catch (const std::exception& error) {
        std::printf("failed: %s\n", error.what());
        return 1;
    }
    return 0;
}
