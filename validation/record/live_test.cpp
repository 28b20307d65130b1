// Records a real mount while a load runs, and holds the trace against the daemon's own debug log.
//   record_live FUSESIM counts|unmount|calls|text|overhead DAEMON ARGUMENT...
// "%s" and "%m" in the arguments stand for the directories of source and mount. Needs root and
// /dev/fuse; exits with 77 and a reason where they are missing.

#include "trace/call.h"
#include "trace/names.h"
#include "trace/reader.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace fs = std::filesystem;
using namespace fusesim;
using namespace std::chrono_literals;

namespace {

constexpr int skipped = 77;
constexpr std::size_t file_size = 4 << 20;

[[noreturn]] void skip(const std::string& reason) {
    std::printf("skipped: %s\n", reason.c_str());
    std::exit(skipped);
}

void check(bool fine, const std::string& what) {
    if (!fine) {
        throw std::runtime_error(what);
    }
}

pid_t spawn(const std::vector<std::string>& command, const fs::path& log) {
    const pid_t child = fork();
    check(child >= 0, "fork failed");
    if (child == 0) {
        const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        std::vector<char*> argv;
        for (const std::string& word : command) {
            argv.push_back(const_cast<char*>(word.c_str()));
        }
        argv.push_back(nullptr);
        execvp(argv[0], argv.data());
        std::_Exit(127);
    }
    return child;
}

int wait_for(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

template <typename Condition>
void wait_until(Condition condition, const std::string& what) {
    for (int i = 0; i < 1000; ++i) {
        if (condition()) {
            return;
        }
        std::this_thread::sleep_for(10ms);
    }
    throw std::runtime_error("timed out waiting for " + what);
}

std::string contents(const fs::path& file) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

bool is_mounted(const fs::path& mount) {
    return contents("/proc/self/mountinfo").find(" " + mount.string() + " ") != std::string::npos;
}

/// The number of messages by opcode in libfuse's debug log: "unique: 4, opcode: LOOKUP (1), ...".
std::map<std::uint32_t, std::uint64_t> count_log(const std::string& log) {
    std::map<std::uint32_t, std::uint64_t> counts;
    std::istringstream lines(log);
    std::string line;
    while (std::getline(lines, line)) {
        const std::size_t opcode = line.find(", opcode: ");
        if (opcode == std::string::npos || line.find("unique: ") == std::string::npos) {
            continue;
        }
        const std::size_t open = line.find('(', opcode);
        ++counts[static_cast<std::uint32_t>(std::strtoul(&line[open + 1], nullptr, 10))];
    }
    return counts;
}

/// Every kind of call, some of them from several threads.
void load(const fs::path& mount) {
    const std::string long_name(200, 'n');
    for (int i = 0; i < 30; ++i) {
        const fs::path directory = mount / ("d" + std::to_string(i));
        fs::create_directory(directory);
        std::ofstream(directory / "small") << "some bytes";
        std::ofstream(directory / long_name) << "x";
        check(contents(directory / "small") == "some bytes", "what was written is read");
        fs::rename(directory / "small", directory / "renamed");
        std::error_code expected;
        check(!fs::exists(directory / "missing", expected), "nothing is missing");
        fs::create_symlink("renamed", directory / "link", expected);
        for (const auto& entry : fs::directory_iterator(directory)) {
            (void)entry.is_symlink();
        }
        fs::remove_all(directory);
    }
    {
        std::ofstream big(mount / "big");
        const std::string block(64 << 10, 'b');
        for (std::size_t written = 0; written < file_size; written += block.size()) {
            big << block;
        }
    }
    std::vector<std::thread> readers;
    for (unsigned seed = 1; seed <= 3; ++seed) {
        readers.emplace_back([&mount, seed] {
            const int fd = open((mount / "big").c_str(), O_RDONLY);
            std::vector<char> buffer(4096);
            unsigned state = seed;
            for (int i = 0; i < 1000; ++i) {
                state = state * 1103515245 + 12345;
                const off_t page = (state >> 8) % (file_size / 4096);
                posix_fadvise(fd, page * 4096, 4096, POSIX_FADV_DONTNEED);
                (void)!pread(fd, buffer.data(), buffer.size(), page * 4096);
            }
            close(fd);
        });
    }
    for (std::thread& reader : readers) {
        reader.join();
    }
    fs::remove(mount / "big");
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

double seconds_of_load(const fs::path& mount) {
    const auto began = std::chrono::steady_clock::now();
    load(mount);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

/// Directories, daemon and recorder of one test, gone with it.
class Bench {
  public:
    Bench(std::string fusesim, const std::vector<std::string>& daemon)
        : fusesim_(std::move(fusesim)) {
        // In memory if possible, so that the file system below costs little.
        const fs::path memory = "/dev/shm";
        const fs::path below = fs::is_directory(memory) ? memory : fs::temp_directory_path();
        std::string pattern = below / "fusesim-record-XXXXXX";
        root_ = mkdtemp(pattern.data());
        fs::create_directory(root_ / "source");
        fs::create_directory(mount());
        std::vector<std::string> command = daemon;
        for (std::string& word : command) {
            replace(word, "%s", (root_ / "source").string());
            replace(word, "%m", mount().string());
        }
        daemon_ = spawn(command, daemon_log());
        wait_until([this] { return is_mounted(mount()); }, "the mount");
    }

    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    ~Bench() {
        for (const pid_t child : {recorder_, daemon_}) {
            if (child > 0) {
                kill(child, SIGTERM);
                wait_for(child);
            }
        }
        if (is_mounted(mount())) {
            wait_for(spawn({"umount", "-l", mount()}, "/dev/null"));
        }
        std::error_code ignored;
        fs::remove_all(root_, ignored);
    }

    pid_t daemon() const { return daemon_; }

    pid_t recorder() const { return recorder_; }

    fs::path mount() const { return root_ / "mount"; }

    fs::path trace() const { return root_ / "trace.fst"; }

    fs::path daemon_log() const { return root_ / "daemon.log"; }

    std::string recorder_says() const { return contents(root_ / "recorder.log"); }

    void start_recording(const std::vector<std::string>& more = {}) {
        std::vector<std::string> command{fusesim_, "record", "--mount", mount(), "--out", trace()};
        command.insert(command.end(), more.begin(), more.end());
        recorder_ = spawn(command, root_ / "recorder.log");
        wait_until(
            [this] {
                int status = 0;
                if (waitpid(recorder_, &status, WNOHANG) == recorder_) {
                    recorder_ = -1;
                    if (WIFEXITED(status) && WEXITSTATUS(status) == 4) {
                        skip(recorder_says());
                    }
                    throw std::runtime_error("the recorder failed: " + recorder_says());
                }
                return recorder_says().find("recording") != std::string::npos;
            },
            "the recorder");
    }

    int stop_recording(int signal) {
        const pid_t recorder = recorder_;
        recorder_ = -1;
        if (signal != 0) {
            kill(recorder, signal);
        }
        return wait_for(recorder);
    }

    void unmount() {
        check(wait_for(spawn({"umount", mount()}, "/dev/null")) == 0, "unmounted");
        wait_for(daemon_);
        daemon_ = -1;
    }

  private:
    static void replace(std::string& word, const std::string& mark, const std::string& with) {
        if (const std::size_t at = word.find(mark); at != std::string::npos) {
            word.replace(at, mark.size(), with);
        }
    }

    std::string fusesim_;
    fs::path root_;
    pid_t daemon_ = -1;
    pid_t recorder_ = -1;
};

struct Read {
    trace::Header header;
    std::map<std::uint32_t, std::uint64_t> counts;
    std::uint64_t records = 0;
    std::uint64_t written_bytes = 0;
    std::uint64_t with_phases = 0;
    std::set<std::string> names;
};

bool has_no_reply(std::uint32_t opcode) {
    return opcode == 2 || opcode == 36 || opcode == 42;
}

/// Reads the trace whole; the reader itself refuses what is not in order.
Read read_trace(const fs::path& file) {
    trace::Reader reader(file);
    Read all;
    trace::Record record;
    while (reader.next(record)) {
        ++all.records;
        ++all.counts[record.opcode];
        all.names.insert(record.name);
        const std::string opcode = trace::opcode_text(trace::Layer::fuse, record.opcode);
        check(record.taken != trace::unknown_time, opcode + " was taken");
        check(record.worker != 0, opcode + " has a worker");
        if (has_no_reply(record.opcode)) {
            continue;
        }
        check(record.queued != trace::unknown_time, opcode + " was queued");
        check(record.replied != trace::unknown_time, opcode + " was replied to");
        check(record.ended != trace::unknown_time, opcode + " has ended");
        if (record.service_cpu != trace::unknown_time) {
            ++all.with_phases;
            check(record.service_cpu + record.service_blocked <= record.replied - record.taken,
                  opcode + " is served within its time");
        }
        if (record.opcode == 15) {
            check(record.offset + record.size <= file_size, "READs lie within the file");
            check(record.size > 0, "READs want something");
        }
        if (record.opcode == 16) {
            all.written_bytes += record.size;
            check(record.bytes_in == record.size + 80, "WRITEs carry their data");
        }
    }
    all.header = reader.header();
    return all;
}

void compare_counts(const Bench& bench, const std::string& log) {
    const Read read = read_trace(bench.trace());
    const auto expected = count_log(log);
    check(!expected.empty(), "the daemon logs what it gets");
    bool equal = true;
    std::set<std::uint32_t> opcodes;
    for (const auto& [opcode, count] : expected) {
        opcodes.insert(opcode);
    }
    for (const auto& [opcode, count] : read.counts) {
        opcodes.insert(opcode);
    }
    for (const std::uint32_t opcode : opcodes) {
        const auto in_log = expected.find(opcode);
        const auto in_trace = read.counts.find(opcode);
        const std::uint64_t logged = in_log == expected.end() ? 0 : in_log->second;
        const std::uint64_t recorded = in_trace == read.counts.end() ? 0 : in_trace->second;
        std::printf("%-16s daemon's log %6llu  trace %6llu%s\n",
                    trace::opcode_text(trace::Layer::fuse, opcode).c_str(),
                    static_cast<unsigned long long>(logged),
                    static_cast<unsigned long long>(recorded),
                    logged == recorded ? "" : "  !");
        equal = equal && logged == recorded;
    }
    check(equal, "as many requests by opcode as the daemon logs");
    check(read.header.lost == 0, "no events lost");
    check(read.written_bytes >= file_size, "as many bytes as were written");
    check(read.names.count(std::string(200, 'n')) == 1, "a long name comes through");
    check(read.with_phases > 0, "service times are there");
}

/// Counts by opcode equal the daemon's own; every request has its reply.
void test_counts(Bench& bench) {
    load(bench.mount());  // the directories' attributes are cached from here on
    std::this_thread::sleep_for(300ms);
    bench.start_recording();
    const std::size_t before = contents(bench.daemon_log()).size();
    load(bench.mount());
    std::this_thread::sleep_for(500ms);  // for the last RELEASE and FORGET
    const int status = bench.stop_recording(SIGINT);
    const std::string log = contents(bench.daemon_log()).substr(before);
    std::printf("%s", bench.recorder_says().c_str());
    check(status == 0, "the recorder ends well on SIGINT");
    compare_counts(bench, log);

    // For the record only: a busy machine must not fail the test.
    std::vector<double> without;
    std::vector<double> with;
    for (int i = 0; i < 7; ++i) {
        without.push_back(seconds_of_load(bench.mount()));
        bench.start_recording();
        std::this_thread::sleep_for(200ms);
        with.push_back(seconds_of_load(bench.mount()));
        bench.stop_recording(SIGTERM);
    }
    std::printf(
        "load, median of 7 runs in turn: %.3f s, while recording %.3f s: slowdown %.1f %%\n",
        median(without),
        median(with),
        100 * (median(with) / median(without) - 1));
}

/// The end of the mount ends the recording, with all of it in the trace.
void test_unmount(Bench& bench) {
    bench.start_recording();
    load(bench.mount());
    bench.unmount();
    check(bench.stop_recording(0) == 0, "the recorder ends with the mount");
    const Read read = read_trace(bench.trace());
    check(read.records > 3000, "the trace holds the load");
}

/// One call of each kind is one record of this thread, with its path within the mount.
void test_calls(Bench& bench) {
    using trace::Call;
    bench.start_recording({"--layer", "syscall"});
    const std::string mount = bench.mount();
    std::vector<char> buffer(100, 'x');
    mkdir((mount + "/dir").c_str(), 0700);
    const int directory = open((mount + "/dir").c_str(), O_RDONLY | O_DIRECTORY);
    const int file = openat(directory, "file", O_RDWR | O_CREAT, 0600);
    check(directory >= 0 && file >= 0, "files are open");
    const bool moved =
        write(file, buffer.data(), 100) == 100 && pwrite(file, buffer.data(), 50, 4096) == 50 &&
        pread(file, buffer.data(), 60, 1000) == 60 && read(file, buffer.data(), 70) == 70;
    check(moved, "data moves");
    check(ftruncate(file, 10) == 0 && fsync(file) == 0, "the file is cut");
    check(close(file) == 0, "the file is closed");
    check(chdir((mount + "/dir").c_str()) == 0, "the directory is entered");
    check(rename("file", "../renamed") == 0, "a relative rename");
    check(access((mount + "/../mount/renamed").c_str(), F_OK) == 0, "a winding path");
    check(chdir((mount + "/..").c_str()) == 0, "the mount is left");
    check(access("mount/missing", F_OK) != 0, "a missing file");
    check(access("source/renamed", F_OK) == 0, "not on the mount");
    check(unlink((mount + "/renamed").c_str()) == 0, "the file is gone");
    check(close(directory) == 0 && rmdir((mount + "/dir").c_str()) == 0, "all is gone");
    check(bench.stop_recording(SIGINT) == 0, "the recorder ends well");

    struct Expected {
        Call call;
        std::string name;
        std::uint64_t offset;
        std::uint64_t size;
        std::int32_t error;
    };

    const std::vector<Expected> expected{
        {Call::mkdir, "/dir", 0, 0, 0},
        {Call::open, "/dir", 0, 0, 0},
        {Call::create, "/dir//file", 0, 0, 0},
        {Call::write, "", 0, 100, 0},
        {Call::write, "", 4096, 50, 0},
        {Call::read, "", 1000, 60, 0},
        {Call::read, "", 100, 70, 0},
        {Call::ftruncate, "", 0, 10, 0},
        {Call::fsync, "", 0, 0, 0},
        {Call::close, "", 0, 0, 0},
        {Call::rename, "/dir//file", 0, 0, 0},
        {Call::access, "/renamed", 0, 0, 0},
        {Call::access, "/missing", 0, 0, -2},
        {Call::unlink, "/renamed", 0, 0, 0},
        {Call::close, "", 0, 0, 0},
        {Call::rmdir, "/dir", 0, 0, 0},
    };
    trace::Reader reader(bench.trace());
    trace::Record record;
    std::size_t at = 0;
    while (reader.next(record)) {
        if (record.caller != static_cast<std::uint32_t>(getpid())) {
            continue;
        }
        const std::string what = "call " + std::to_string(at) + ", " +
                                 trace::opcode_text(trace::Layer::syscall, record.opcode) + " '" +
                                 record.name + "'";
        check(at < expected.size(), what + ", is expected");
        const Expected& want = expected[at++];
        check(record.opcode == static_cast<std::uint32_t>(want.call), what + ", is of its kind");
        check(record.name == want.name, what + ", has the name '" + want.name + "'");
        check(record.offset == want.offset, what + ", has its offset");
        check(record.size == want.size, what + ", has its size");
        check(record.error == want.error, what + ", has its result");
        check(record.ended >= record.queued, what + ", takes time");
        if (want.call == Call::rename) {
            check(record.name2 == "/renamed", what + ", has its second name");
        }
    }
    check(at == expected.size(), "all " + std::to_string(expected.size()) + " calls are there");
}

/// Without BPF, the counts of what the kernel's text trace knows are the daemon's own.
void test_text(Bench& bench) {
    load(bench.mount());
    std::this_thread::sleep_for(300ms);
    bench.start_recording({"--no-bpf"});
    std::this_thread::sleep_for(200ms);
    const std::size_t before = contents(bench.daemon_log()).size();
    load(bench.mount());
    std::this_thread::sleep_for(500ms);
    check(bench.stop_recording(SIGINT) == 0, "the recorder ends well");
    auto logged = count_log(contents(bench.daemon_log()).substr(before));
    std::map<std::uint32_t, std::uint64_t> recorded;
    trace::Reader reader(bench.trace());
    trace::Record record;
    while (reader.next(record)) {
        ++recorded[record.opcode];
        check(record.ended != trace::unknown_time, "every request has its reply");
    }
    for (const std::uint32_t untraced : {2, 36, 42}) {
        logged.erase(untraced);
    }
    check(!logged.empty() && logged == recorded, "as many requests by opcode as the daemon logs");
}

void pin(pid_t thread, int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    check(sched_setaffinity(thread, sizeof set, &set) == 0, "pinned");
}

double ns_per_read(const std::string& file) {
    constexpr int reads = 15'000;
    const int fd = open(file.c_str(), O_RDONLY | O_DIRECT);
    check(fd >= 0, "the file opens");
    const std::unique_ptr<void, decltype(&std::free)> buffer(std::aligned_alloc(4096, 4096),
                                                             &std::free);
    unsigned state = 1;
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < reads; ++i) {
        state = state * 1103515245 + 12345;
        const off_t page = (state >> 8) % (file_size / 4096);
        check(pread(fd, buffer.get(), 4096, page * 4096) == 4096, "a page is read");
    }
    const std::chrono::duration<double, std::nano> elapsed =
        std::chrono::steady_clock::now() - began;
    close(fd);
    return elapsed.count() / reads;
}

/// Prints what the recorder adds to the cheapest request there is: a direct read from a daemon on
/// the caller's own core. No limit: a busy machine must not fail the test.
void test_overhead(Bench& bench) {
    const std::string file = bench.mount() / "file";
    std::ofstream(file) << std::string(file_size, 'f');
    pin(bench.daemon(), 0);
    pin(0, 0);
    ns_per_read(file);
    std::vector<double> without;
    std::vector<double> with;
    for (int i = 0; i < 9; ++i) {
        without.push_back(ns_per_read(file));
        bench.start_recording();
        pin(bench.recorder(), std::thread::hardware_concurrency() > 1 ? 1 : 0);
        with.push_back(ns_per_read(file));
        check(bench.stop_recording(SIGINT) == 0, "the recorder ends well");
    }
    std::printf(
        "4 KiB direct read, daemon on the same core, median of 9 runs in turn: %.0f ns, while "
        "recording %.0f ns (%+.1f %%)\n",
        median(without),
        median(with),
        100 * (median(with) / median(without) - 1));
}

}  // namespace

/// The SystemC library, which comes with the model, wants one; this program has no use for it.
extern "C" int sc_main(int, char**) {
    return 0;
}

int main(int argc, char** argv) {
    check(argc > 3,
          "usage: record_live FUSESIM counts|unmount|calls|text|overhead DAEMON ARGUMENT...");
    if (geteuid() != 0) {
        skip("needs root");
    }
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        skip("needs /dev/fuse");
    }
    if (access(argv[3], X_OK) != 0) {
        skip(std::string("needs ") + argv[3]);
    }
    try {
        Bench bench(argv[1], {argv + 3, argv + argc});
        const std::map<std::string, void (*)(Bench&)> tests{{"counts", test_counts},
                                                            {"unmount", test_unmount},
                                                            {"calls", test_calls},
                                                            {"text", test_text},
                                                            {"overhead", test_overhead}};
        const auto test = tests.find(argv[2]);
        check(test != tests.end(), std::string("no test is called ") + argv[2]);
        test->second(bench);
    } catch (const std::exception& error) {
        std::printf("failed: %s\n", error.what());
        return 1;
    }
    return 0;
}
