#pragma once

#include "sim/time.h"

namespace fusesim::host {

/// Tunables of the fair scheduler before Linux 6.6 (/sys/kernel/debug/sched); their defaults grow
/// with the number of CPUs.
struct CfsConfig {
    sim::Time latency = sim::Time::from_ns(6'000'000);             // kernel/sched/fair.c, one CPU
    sim::Time min_granularity = sim::Time::from_ns(750'000);       // likewise
    sim::Time wakeup_granularity = sim::Time::from_ns(1'000'000);  // likewise
    /// How long before a preemption the kernel last looked at the clock: when the one that preempts
    /// was woken. It counts as that one's time.
    sim::Time skipped;
};

}  // namespace fusesim::host
