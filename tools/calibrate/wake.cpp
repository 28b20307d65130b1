#include "wake.h"

#include "bench.h"
#include "stamps.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace fusesim::calibrate {

namespace {

/// An event counter of the kernel; the simplest thing to sleep on.
class Event {
  public:
    Event() : fd_(eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC)) {
        if (fd_ < 0) {
            throw std::system_error(errno, std::generic_category(), "eventfd");
        }
    }

    ~Event() { close(fd_); }

    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void signal() const {
        const std::uint64_t one = 1;
        static_cast<void>(!write(fd_, &one, sizeof one));
    }

    void await() const {
        std::uint64_t value = 0;
        static_cast<void>(!read(fd_, &value, sizeof value));
    }

  private:
    int fd_;
};

/// Stamps that two processes leave for each other.
struct Meeting {
    std::atomic<std::uint64_t> ran{0};     ///< the woken one ran
    std::atomic<std::uint64_t> worked{0};  ///< ... and had done its first work
    std::atomic<int> core{0};              ///< ... there
    std::atomic<std::uint64_t> sleeps{0};  ///< the woken one is about to sleep
    std::atomic<bool> over{false};
};

struct QuietCosts {
    double signal;  ///< of an event that nobody awaits
    double await;   ///< of an event that has come
};

QuietCosts quiet_costs(double seconds) {
    const Event event;
    const double both = time_of(
        [&event] {
            event.signal();
            event.await();
        },
        seconds / 2);
    const double signal = time_of([&event] { event.signal(); }, seconds / 2);
    return {signal, both - signal};
}

/// An event's signal with its wake-up. Two processes on this core wake each other in turn. They are
/// batch tasks, which never preempt when they wake, so that the waker's share shows by itself.
double waking_signal(double seconds) {
    const Policy batch(SCHED_BATCH);
    Shared memory(sizeof(Meeting));
    auto* meeting = new (memory.as<void>()) Meeting;
    const Event ping;
    const Event pong;
    Child partner([&] {
        for (;;) {
            ping.await();
            if (meeting->over.load(std::memory_order_relaxed)) {
                return;
            }
            pong.signal();
        }
    });
    std::vector<double> signals;
    const auto limit = static_cast<std::uint64_t>(seconds * 1e9 / tick_ns());
    const std::uint64_t began = stamps::ticks();
    std::uint64_t before = began;
    do {
        before = stamps::ticks();
        ping.signal();
        const std::uint64_t after = stamps::ticks();
        pong.await();
        signals.push_back(static_cast<double>(after - before) * tick_ns());
    } while (before - began < limit);
    meeting->over = true;
    ping.signal();
    partner.wait();
    return middle_mean(signals) - stamp_ns();
}

/// Switching to and fro between two that never sleep; `partner` starts the other one, which
/// counts its turns.
template <typename Start>
double yield_switch(double seconds, double empty_call, Start start) {
    Shared memory(sizeof(Meeting));
    auto* meeting = new (memory.as<void>()) Meeting;
    auto partner = start([meeting] {
        while (!meeting->over.load(std::memory_order_relaxed)) {
            sched_yield();
            meeting->ran.fetch_add(1, std::memory_order_relaxed);
        }
    });
    while (meeting->ran.load(std::memory_order_relaxed) < 2) {
        sched_yield();
    }
    std::vector<double> rounds;
    const auto limit = static_cast<std::uint64_t>(seconds * 1e9 / tick_ns());
    const std::uint64_t began = stamps::ticks();
    std::uint64_t before = began;
    do {
        const std::uint64_t turns = meeting->ran.load(std::memory_order_relaxed);
        before = stamps::ticks();
        sched_yield();
        const std::uint64_t after = stamps::ticks();
        if (meeting->ran.load(std::memory_order_relaxed) == turns + 1) {
            rounds.push_back(static_cast<double>(after - before) * tick_ns());
        }
    } while (before - began < limit);
    meeting->over = true;
    partner->wait();
    return (middle_mean(rounds) - stamp_ns()) / 2 - empty_call;
}

/// A thread with the interface of a child process.
struct Thread {
    std::thread thread;

    void wait() { thread.join(); }
};

}  // namespace

namespace {

/// A little work after waking, a microsecond or two of it: enough system calls to show how cold
/// the core has become.
void first_work(const Event& event) {
    for (int i = 0; i < 4; ++i) {
        event.signal();
        event.await();
    }
}

double thread_creation() {
    std::vector<double> times;
    for (int i = 0; i < 20; ++i) {
        const std::uint64_t before = stamps::ticks();
        std::thread thread([] {});
        const std::uint64_t after = stamps::ticks();
        thread.join();
        times.push_back(static_cast<double>(after - before) * tick_ns() - stamp_ns());
    }
    return median(times);
}

}  // namespace

double measure_syscall(double seconds) {
    return time_of([] { syscall(SYS_getppid); }, seconds);
}

SameCore measure_same_core(int core, double seconds) {
    pin(core);
    SameCore out{};
    out.syscall = measure_syscall(seconds / 6);
    const QuietCosts quiet = quiet_costs(seconds / 6);
    out.switch_process = yield_switch(
        seconds / 6, out.syscall, [](const auto& work) { return std::make_unique<Child>(work); });
    out.switch_thread = yield_switch(seconds / 6, out.syscall, [](const auto& work) {
        return std::make_unique<Thread>(Thread{std::thread(work)});
    });
    out.wake = waking_signal(seconds / 3) - quiet.signal;
    out.thread_create = thread_creation();
    return out;
}

CrossCore measure_cross_core(int from, int to, double gap_ns, int samples) {
    Shared memory(sizeof(Meeting));
    auto* meeting = new (memory.as<void>()) Meeting;
    const Event event;
    const Event own;  // of the woken one
    pin(from);
    const QuietCosts quiet = quiet_costs(0.002);
    Child partner([&] {
        pin(to);
        // Whatever else wants that core must not come before it.
        const sched_param first{.sched_priority = 1};
        sched_setscheduler(0, SCHED_FIFO, &first);
        while (!meeting->over) {
            meeting->sleeps.store(stamps::ticks(), std::memory_order_release);
            event.await();
            const std::uint64_t ran = stamps::ticks();
            first_work(own);
            meeting->worked.store(stamps::ticks(), std::memory_order_relaxed);
            meeting->ran.store(ran, std::memory_order_release);
        }
    });
    const double usual_work = time_of([&own] { first_work(own); }, 0.002, 16) + stamp_ns();
    CrossCore out;
    out.gap = gap_ns;
    const auto gap = static_cast<std::uint64_t>(gap_ns / tick_ns());
    std::uint64_t last = 0;
    for (int i = 0; i < samples; ++i) {
        std::uint64_t sleeps = 0;
        while ((sleeps = meeting->sleeps.load(std::memory_order_acquire)) <= last) {
        }
        // Going to sleep takes a moment that is not idle time.
        const std::uint64_t wake_at = sleeps + gap + static_cast<std::uint64_t>(1'000 / tick_ns());
        std::uint64_t before = 0;
        while ((before = stamps::ticks()) < wake_at) {
        }
        if (i + 1 == samples) {
            meeting->over = true;
        }
        event.signal();
        const std::uint64_t after = stamps::ticks();
        std::uint64_t ran = 0;
        while ((ran = meeting->ran.load(std::memory_order_acquire)) < before) {
        }
        last = ran;
        const std::uint64_t worked = meeting->worked.load(std::memory_order_relaxed);
        out.cold.push_back(static_cast<double>(worked - ran) * tick_ns() - usual_work);
        out.idle.push_back(static_cast<double>(before - sleeps) * tick_ns());
        out.waker.push_back(static_cast<double>(after - before) * tick_ns() - stamp_ns() -
                            quiet.signal);
        // Half of a quiet call lies before the wake-up, and half of one after it.
        out.running.push_back(static_cast<double>(ran - before) * tick_ns() - stamp_ns() -
                              (quiet.signal + quiet.await) / 2);
    }
    partner.wait();
    return out;
}

CrossCore measure_timer(int core, double gap_ns, int samples) {
    pin(core);
    constexpr std::int64_t second = 1'000'000'000;
    const auto now = [] {
        timespec time{};
        clock_gettime(CLOCK_MONOTONIC, &time);
        return time.tv_sec * second + time.tv_nsec;
    };
    prctl(PR_SET_TIMERSLACK, 1);
    CrossCore out;
    out.gap = gap_ns;
    for (int i = 0; i < samples; ++i) {
        const std::int64_t due = now() + static_cast<std::int64_t>(gap_ns);
        const timespec until{due / second, due % second};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
        out.running.push_back(static_cast<double>(now() - due));
        out.idle.push_back(gap_ns);
    }
    prctl(PR_SET_TIMERSLACK, 0);
    return out;
}

double measure_return(int home, int other, double gap_ns, int samples) {
    Shared memory(sizeof(Meeting));
    auto* meeting = new (memory.as<void>()) Meeting;
    const Event event;
    pin(home);
    Child partner([&] {
        while (!meeting->over) {
            pin(other);
            run_on({home, other});
            meeting->sleeps.store(stamps::ticks(), std::memory_order_release);
            event.await();
            meeting->core.store(sched_getcpu(), std::memory_order_relaxed);
            meeting->ran.store(stamps::ticks(), std::memory_order_release);
        }
    });
    const auto in_ticks = [](double ns) { return static_cast<std::uint64_t>(ns / tick_ns()); };
    std::uint64_t last = 0;
    int returned = 0;
    for (int i = 0; i < samples; ++i) {
        std::uint64_t sleeps = 0;
        while ((sleeps = meeting->sleeps.load(std::memory_order_acquire)) <= last) {
        }
        while (stamps::ticks() < sleeps + in_ticks(gap_ns + 1'000)) {
        }
        if (i + 1 == samples) {
            meeting->over = true;
        }
        const std::uint64_t before = stamps::ticks();
        event.signal();
        while ((last = meeting->ran.load(std::memory_order_acquire)) < before) {
            if (stamps::ticks() > before + in_ticks(150e3)) {
                sched_yield();  // it waits behind this process
            }
        }
        returned += meeting->core.load(std::memory_order_relaxed) == other ? 1 : 0;
    }
    partner.wait();
    return static_cast<double>(returned) / samples;
}

double measure_stay(int home, int other, double seconds) {
    Shared memory(sizeof(Meeting));
    auto* meeting = new (memory.as<void>()) Meeting;
    const Event ping;
    const Event pong;
    pin(home);
    Child partner([&] {
        ping.await();
        run_on({home, other});
        while (!meeting->over) {
            pong.signal();
            ping.await();
            meeting->core.store(sched_getcpu(), std::memory_order_relaxed);
        }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the other core falls idle
    const std::uint64_t end =
        stamps::ticks() + static_cast<std::uint64_t>(seconds * 1e9 / tick_ns());
    int stayed = 0;
    int rounds = 0;
    meeting->core = home;
    ping.signal();
    pong.await();
    do {
        ping.signal();
        pong.await();
        stayed += meeting->core.load(std::memory_order_relaxed) == home ? 1 : 0;
        ++rounds;
    } while (stamps::ticks() < end);
    meeting->over = true;
    ping.signal();
    partner.wait();
    return static_cast<double>(stayed) / rounds;
}

double measure_turn(int core, double seconds) {
    pin(core);
    const auto hog = [seconds](std::vector<double>* turns) {
        const std::uint64_t began = stamps::ticks();
        const auto limit = static_cast<std::uint64_t>(seconds * 1e9 / tick_ns());
        const auto pause = static_cast<std::uint64_t>(300e3 / tick_ns());
        std::uint64_t turn = began;
        std::uint64_t last = began;
        while (last - began < limit) {
            const std::uint64_t now = stamps::ticks();
            if (now - last > pause) {
                if (turns != nullptr) {
                    turns->push_back(static_cast<double>(last - turn) * tick_ns());
                }
                turn = now;
            }
            last = now;
        }
    };
    Child other([&] { hog(nullptr); });
    std::vector<double> turns;
    hog(&turns);
    other.wait();
    return median(turns);
}

double told_slice() {
    struct {
        std::uint32_t size;
        std::uint32_t policy;
        std::uint64_t flags;
        std::int32_t nice;
        std::uint32_t priority;
        std::uint64_t runtime;
        std::uint64_t deadline;
        std::uint64_t period;
        std::uint32_t util_min;
        std::uint32_t util_max;
    } attributes{};

    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) {
        return 0;
    }
    return static_cast<double>(attributes.runtime);
}

}  // namespace fusesim::calibrate
