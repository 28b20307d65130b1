#pragma once

#include "stretches.h"
#include "system/scenario.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::measure {

/// Whether each thread has all its files open, all the time.
bool opens_files(const workload::NativeConfig& workload);

/// The name of a kind in results.
std::string call_name(std::size_t kind);

/// What the threads of one run did within its window, together.
struct Done {
    Tally kept;
    double window_s =
        0;  ///< without the time in which caches were dropped or the pace was not full
    double kept_share = 0;  ///< of the time in which caches were not dropped
    double user_s = 0;      ///< on cores, of all threads, in the whole window
    double system_s = 0;
    std::uint64_t context_switches = 0;
    std::uint64_t failed = 0;   ///< threads that ended since the daemon had gone
    double first_failed_s = 0;  ///< when the first of them did, in the window
};

/// What a thread computes for one step beside its calls, in nanoseconds: which step, names, clock
/// readings, keeping the times.
double own_cost_ns(const system::Scenario& scenario);

/// The real threads of a scenario: each does the steps of its operation stream on files below
/// `root`. begin() to results() in this order.
class Load {
  public:
    /// `operations`: that many steps of each thread instead of a duration. `seed` may differ from
    /// the scenario's, for repeats. `full_pace_ns`: counts what is done at that pace (Stretches).
    Load(const system::Scenario& scenario,
         std::filesystem::path root,
         std::optional<std::uint64_t> operations,
         std::uint64_t seed,
         const std::atomic<bool>* stop,
         std::optional<double> full_pace_ns = {});
    ~Load();
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    /// Starts the threads; returns when each has opened its files and filled its caches.
    void begin();

    /// Lets them go and waits until the warm-up is over. With a number of operations they then
    /// wait until go_on(), so that all of these come after it.
    void warm_up();
    void go_on();

    /// Waits until all threads have done their work, but no longer than this; true if they have.
    bool wait(std::chrono::milliseconds most);

    /// Waits for the end of the window. Files stay open.
    void finish();

    /// On CLOCK_MONOTONIC; after warm_up().
    std::int64_t window_begin_ns() const { return control_.window_begin; }

    /// Share of the window that has passed, from 0 to 1.
    double progress() const;

    /// Closes everything and ends the threads. Throws std::runtime_error if a call of any failed.
    Done results();

  private:
    friend double own_cost_ns(const system::Scenario& scenario);

    class Thread;

    /// What the threads share.
    struct Control {
        std::filesystem::path root;
        std::optional<std::uint64_t> operations;
        std::atomic<std::int64_t> warm_until{0};
        std::atomic<std::int64_t> until{0};
        std::atomic<std::int64_t> window_begin{0};
        std::atomic<bool> failed{false};
        bool daemon_may_go = false;  ///< a thread ends at its first call without a daemon
        const std::atomic<bool>* stop = nullptr;
        pthread_barrier_t barrier{};
        std::mutex mutex;
        std::condition_variable all_done;
        unsigned working = 0;

        bool stopped() const { return failed || (stop != nullptr && *stop); }

        void meet() { pthread_barrier_wait(&barrier); }

        void done() {
            const std::lock_guard lock(mutex);
            if (--working == 0) {
                all_done.notify_all();
            }
        }
    };

    void end_threads();

    const system::Scenario& scenario_;
    Control control_;
    std::vector<std::unique_ptr<Thread>> threads_;
    unsigned met_ = 0;
};

}  // namespace fusesim::measure
