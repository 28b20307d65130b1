#include "fuse_costs.h"

#include "bench.h"
#include "stamps.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <system_error>

namespace fusesim::calibrate {

namespace {

constexpr std::size_t most_calls = 100'000;
constexpr int crowd = 4;

/// The application's side: an open file and a page-aligned buffer.
class Caller {
  public:
    Caller(const std::string& path, const Call& call)
        : call_(call), fd_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {
        if (fd_ < 0) {
            throw std::system_error(errno, std::generic_category(), path);
        }
        if (call.size > 0) {
            const std::size_t rounded = (call.size + 4095) / 4096 * 4096;
            buffer_.reset(static_cast<char*>(std::aligned_alloc(4096, rounded)));
            std::fill_n(buffer_.get(), rounded, 'x');
        }
    }

    ~Caller() { close(fd_); }

    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;

    void operator()() {
        switch (call_.kind) {
            case Call::Kind::getattr: {
                struct stat out {};

                fstat(fd_, &out);
                break;
            }
            case Call::Kind::fsync:
                fsync(fd_);
                break;
            case Call::Kind::read:
                static_cast<void>(!pread(fd_, buffer_.get(), call_.size, 0));
                break;
            case Call::Kind::write:
                static_cast<void>(!pwrite(fd_, buffer_.get(), call_.size, 0));
                break;
        }
    }

  private:
    struct Free {
        void operator()(char* memory) const { std::free(memory); }
    };

    Call call_;
    int fd_;
    std::unique_ptr<char, Free> buffer_;
};

struct Interval {
    std::uint64_t before;
    std::uint64_t after;
};

std::uint64_t in_ticks(double seconds) {
    return static_cast<std::uint64_t>(seconds * 1e9 / tick_ns());
}

void make_calls(Caller& caller, double seconds, std::vector<Interval>& calls) {
    const std::uint64_t end = stamps::ticks() + in_ticks(seconds);
    Interval now{};
    do {
        now.before = stamps::ticks();
        caller();
        now.after = stamps::ticks();
        calls.push_back(now);
    } while (now.after < end && calls.size() < most_calls);
}

std::vector<stamps::Served> served_as(const NullMount& mount, unsigned opcode) {
    std::vector<stamps::Served> served = mount.served();
    std::erase_if(served, [opcode](const auto& one) { return one.opcode != opcode; });
    return served;
}

/// When the thread that served request `i` read again; 0 if that is not in the log.
std::uint64_t next_read(const std::vector<stamps::Served>& served, std::size_t i) {
    for (std::size_t j = i + 1; j < served.size(); ++j) {
        if (served[j].thread == served[i].thread) {
            return served[j].read_entered;
        }
    }
    return 0;
}

/// Reads of the daemon during which no application ran: the request was there already.
double ready_reads(NullMount& mount, int core, const Call& call, double seconds) {
    // Every application stamps its calls in shared memory; the last place is their count.
    constexpr std::size_t room = most_calls * 2;
    Shared memory(sizeof(std::uint64_t) * (room + 1) * crowd);
    auto* all = memory.as<std::uint64_t>();
    mount.clear();
    {
        std::vector<std::unique_ptr<Child>> children;
        for (int i = 0; i < crowd; ++i) {
            std::uint64_t* mine = all + static_cast<std::size_t>(i) * (room + 1);
            children.push_back(std::make_unique<Child>([&mount, &call, mine, core, seconds] {
                pin(core);
                Caller caller(mount.file(), call);
                std::vector<Interval> calls;
                calls.reserve(most_calls);
                make_calls(caller, seconds, calls);
                for (const Interval& one : calls) {
                    mine[mine[room]++] = one.before;
                    mine[mine[room]++] = one.after;
                }
            }));
        }
        for (auto& child : children) {
            child->wait();
        }
    }
    std::vector<std::uint64_t> ran;
    for (int i = 0; i < crowd; ++i) {
        const std::uint64_t* mine = all + static_cast<std::size_t>(i) * (room + 1);
        ran.insert(ran.end(), mine, mine + mine[room]);
    }
    std::sort(ran.begin(), ran.end());
    std::vector<double> reads;
    for (const stamps::Served& one : served_as(mount, call.opcode())) {
        const auto next = std::lower_bound(ran.begin(), ran.end(), one.read_entered);
        if (next != ran.end() && *next > one.read_returned) {
            reads.push_back(static_cast<double>(one.read_returned - one.read_entered) * tick_ns());
        }
    }
    return middle_mean(reads);
}

}  // namespace

unsigned Call::opcode() const {
    switch (kind) {
        case Kind::getattr:
            return FUSE_GETATTR;
        case Kind::fsync:
            return FUSE_FSYNC;
        case Kind::read:
            return FUSE_READ;
        case Kind::write:
            return FUSE_WRITE;
    }
    return 0;
}

Pieces measure_pieces(NullMount& mount, int core, const Call& call, double seconds) {
    pin(core);
    Pieces out;
    std::vector<Interval> calls;
    calls.reserve(most_calls);
    {
        Caller caller(mount.file(), call);
        std::vector<Interval> warm_up;
        make_calls(caller, seconds / 20, warm_up);
        mount.clear();
        make_calls(caller, seconds / 2, calls);
    }
    std::vector<stamps::Served> served = served_as(mount, call.opcode());
    // A preempted daemon logs the last request of the warm-up late.
    std::erase_if(served, [&](const auto& one) { return one.read_returned < calls[0].before; });
    const std::size_t count = std::min(calls.size(), served.size());
    std::vector<double> whole, go, library, reply, loop, back;
    std::size_t seen = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const stamps::Served& one = served[i];
        const std::uint64_t again = next_read(served, i);
        if (again == 0) {
            continue;
        }
        ++seen;
        if (calls[i].after < again) {
            continue;  // the application preempted the daemon
        }
        const auto add = [](std::vector<double>& to, std::uint64_t from, std::uint64_t till) {
            to.push_back(static_cast<double>(till - from) * tick_ns());
        };
        add(whole, calls[i].before, calls[i].after);
        add(go, calls[i].before, one.read_returned);
        add(library, one.read_returned, one.reply_entered);
        add(reply, one.reply_entered, one.reply_returned);
        add(loop, one.reply_returned, again);
        add(back, again, calls[i].after);
    }
    out.whole = middle_mean(whole);
    out.go = middle_mean(go);
    out.library = middle_mean(library);
    out.reply = middle_mean(reply);
    out.loop = middle_mean(loop);
    out.back = middle_mean(back);
    out.ordered = seen > 0 ? static_cast<double>(whole.size()) / static_cast<double>(seen) : 0;
    out.ready_read = ready_reads(mount, core, call, seconds / 2);
    return out;
}

namespace {

/// How often this thread has gone to sleep so far.
double own_sleeps() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    return static_cast<double>(usage.ru_nvcsw);
}

}  // namespace

RoundTrip measure_round_trip(NullMount& mount, int core, const Call& call, double seconds) {
    pin(core);
    Caller caller(mount.file(), call);
    double calls = 0;
    RoundTrip out;
    const double before = mount.sleeps() + own_sleeps();
    const double daemon_before = mount.cpu_ns();
    out.time = mean_time_of(
        [&] {
            caller();
            ++calls;
        },
        seconds);
    out.daemon_cpu = (mount.cpu_ns() - daemon_before) / calls;
    out.sleeps = (mount.sleeps() + own_sleeps() - before) / calls;
    return out;
}

}  // namespace fusesim::calibrate
