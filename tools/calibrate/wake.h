#pragma once

#include <vector>

namespace fusesim::calibrate {

/// One repeat of the small costs of one core, in nanoseconds.
struct SameCore {
    double syscall;         ///< an empty call
    double switch_process;  ///< to another address space, both staying runnable
    double switch_thread;   ///< within one
    double wake;            ///< what the waker spends
    double thread_create;   ///< pthread_create() for its caller
};

/// An empty call alone, in nanoseconds.
double measure_syscall(double seconds);

SameCore measure_same_core(int core, double seconds);

/// One idle gap: what waking cost the waker and how long it took, one value a wake-up.
struct CrossCore {
    double gap;                   ///< nanoseconds that the waker waited
    std::vector<double> idle;     ///< how long the core had really been idle
    std::vector<double> waker;    ///< what the waker spent
    std::vector<double> running;  ///< from the wake-up call to the woken one running
    std::vector<double> cold;     ///< what the woken one's first work took longer than usual
};

CrossCore measure_cross_core(int from, int to, double gap_ns, int samples);

/// The same for a core that a timer wakes, from the time it was set to; nobody spends anything on
/// that, so only `idle` and `running` are filled.
CrossCore measure_timer(int core, double gap_ns, int samples);

/// Share of wake-ups after which a thread that may run on both cores ran on `other`, where it
/// had run before and which had idled for `gap_ns`, while `home` was busy waking it.
double measure_return(int home, int other, double gap_ns, int samples);

/// Share of wake-ups after which a thread that may run on both cores stayed on `home` with its
/// sleeping waker, though `other` was idle all the time.
double measure_stay(int home, int other, double seconds);

/// How long two hogs on one core run in turn, in nanoseconds.
double measure_turn(int core, double seconds);

/// The scheduler's slice of a fair task in nanoseconds, as the kernel tells it; 0 if it does not.
double told_slice();

}  // namespace fusesim::calibrate
