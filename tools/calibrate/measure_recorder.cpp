// What recording adds to a request: `measure_recorder FUSESIM NULLFS [REPEATS]` (root, an idle
// machine, about 2 s a repeat) prints the medians of recorder_queue and recorder_reply. The null
// file system and its caller share one core; between the calls memory is touched, so that caches
// are as cold as beside real work. Round trips are stamped by both, with and without `fusesim
// record`.
#include "bench.h"
#include "mounts.h"
#include "null_mount.h"
#include "stamps.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace fusesim::calibrate {
namespace {

using namespace std::chrono_literals;

constexpr int caller_core = 0;
constexpr int recorder_core = 1;
constexpr int calls_each = 10'000;
constexpr std::size_t touched = 3 << 20;  // bytes between two calls, beyond the second-level cache

/// Means of one series of calls, in nanoseconds.
struct Parts {
    double go = 0;    // from the call until the daemon has the request
    double back = 0;  // from the daemon's reply until the call returns
};

void touch(std::vector<char>& memory) {
    for (std::size_t i = 0; i < memory.size(); i += 64) {
        const_cast<volatile char&>(memory[i]) = static_cast<char>(memory[i] + 1);
    }
}

Parts measure(NullMount& mount, std::vector<char>& memory) {
    struct Call {
        std::uint64_t before;
        std::uint64_t after;
    };

    struct stat out {};

    const int fd = open(mount.file().c_str(), O_RDONLY | O_CLOEXEC);
    std::this_thread::sleep_for(3ms);  // until the daemon has logged the open
    mount.clear();
    std::vector<Call> calls;
    for (int i = 0; i < calls_each; ++i) {
        Call call{};
        call.before = stamps::ticks();
        fstat(fd, &out);
        call.after = stamps::ticks();
        calls.push_back(call);
        touch(memory);
    }
    close(fd);
    std::this_thread::sleep_for(3ms);
    const std::vector<stamps::Served> served = mount.served();
    std::vector<double> go;
    std::vector<double> back;
    auto one = served.begin();
    for (const Call& call : calls) {
        while (one != served.end() &&
               (one->opcode != FUSE_GETATTR || one->read_returned < call.before)) {
            ++one;
        }
        if (one != served.end() && one->reply_entered < call.after) {
            go.push_back(static_cast<double>(one->read_returned - call.before) * tick_ns());
            back.push_back(static_cast<double>(call.after - one->reply_entered) * tick_ns());
        }
    }
    return {middle_mean(go), middle_mean(back)};
}

/// `fusesim record` of the mount, from when it says that it records until this object's end.
class Recorder {
  public:
    Recorder(const std::filesystem::path& fusesim, const std::filesystem::path& mount)
        : trace_(mount.parent_path() / "recorder.fst"), child_([&] {
              const Policy other(SCHED_OTHER);
              pin(recorder_core);
              execl(fusesim.c_str(),
                    "fusesim",
                    "record",
                    "--mount",
                    mount.c_str(),
                    "--out",
                    trace_.c_str(),
                    nullptr);
              _exit(127);
          }) {
        std::this_thread::sleep_for(1s);
        if (child_.ended()) {
            throw std::runtime_error("fusesim record does not run");
        }
    }

    ~Recorder() {
        child_.stop(SIGINT);
        std::error_code none;
        std::filesystem::remove(trace_, none);
    }

    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

  private:
    std::filesystem::path trace_;
    Child child_;
};

void run(const std::filesystem::path& fusesim, const std::filesystem::path& nullfs, int repeats) {
    const real::PrivateMounts own_mounts;
    NullMount::Setup setup;
    setup.directory = own_mounts.directory();
    setup.daemon = nullfs;
    setup.stamped = true;
    setup.policy = SCHED_BATCH;  // never preempted by the caller that it wakes
    setup.core = caller_core;
    const Policy batch(SCHED_BATCH);
    NullMount mount(setup);
    pin(caller_core);
    std::vector<char> memory(touched);
    std::vector<double> queue;
    std::vector<double> reply;
    for (int i = 0; i < repeats; ++i) {
        const Parts without = measure(mount, memory);
        const Recorder recorder(fusesim, std::filesystem::path(mount.file()).parent_path());
        const Parts with = measure(mount, memory);
        queue.push_back(with.go - without.go);
        reply.push_back(with.back - without.back);
        fmt::print(
            "until the daemon has it: {:.0f} ns, with recorder {:.0f}; back: {:.0f}, {:.0f}\n",
            without.go,
            with.go,
            without.back,
            with.back);
    }
    fmt::print("recorder_queue: {:.2f} us\nrecorder_reply: {:.2f} us\n",
               median(queue) / 1e3,
               median(reply) / 1e3);
}

}  // namespace
}  // namespace fusesim::calibrate

int main(int argc, char** argv) {
    if (argc < 3) {
        fmt::print(stderr, "usage: measure_recorder FUSESIM NULLFS [REPEATS]\n");
        return 2;
    }
    try {
        fusesim::calibrate::run(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 10);
    } catch (const std::exception& error) {
        fmt::print(stderr, "measure_recorder: {}\n", error.what());
        return 4;
    }
    return 0;
}
