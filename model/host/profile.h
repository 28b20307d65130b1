#pragma once

#include "config/map.h"
#include "sim/random.h"
#include "sim/time.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::host {

using namespace sim::literals;

/// Time from a wake-up to the woken thread running, on a core that had idled for `idle`.
struct IdleExit {
    sim::Time idle;
    std::vector<sim::Time> quantiles;  ///< at equal steps of probability, from 0 to 1
};

/// One measured point of a cost that depends on idle time.
struct IdleCost {
    sim::Time idle;
    sim::Time time;
};

/// One measured point of a cost that depends on size.
struct SizeCost {
    config::Bytes size;
    sim::Time time;
};

/// What operations of kernel and library cost on one machine. Measured by `fusesim calibrate`, or
/// taken from a published figure with its source; no number of one machine stands in code.
struct Costs {
    sim::Time syscall;                ///< entry and exit of an empty call
    sim::Time context_switch;         ///< from one process to another on one core
    sim::Time context_switch_thread;  ///< ... within one address space
    sim::Time block;                  ///< extra of going to sleep and coming back
    sim::Time wake_same_core;         ///< what waking costs the waker, wakee on its own core
    sim::Time wake_cross_core;        ///< ... on another core
    sim::Time thread_create;          ///< pthread_create() of a new worker, for its caller
    std::vector<IdleExit> idle_exit;  ///< by idle time, rising
    std::vector<IdleExit> wake_cross_core_by_idle;  ///< the waker's cost by idle time; may be empty
    std::vector<IdleCost> cold_start;  ///< extra of the first work on a core that had idled
    std::vector<SizeCost> copy;        ///< kernel copy from or to user memory, by size, rising
    sim::Time page_cache_page;         ///< per page read from the page cache, beyond the copy
    sim::Time fuse_submit;             ///< caller: from VFS entry to the request on pending
    sim::Time fuse_read;               ///< daemon: fixed part of read(2) on /dev/fuse
    sim::Time fuse_reply;              ///< daemon: fixed part of writev(2) on /dev/fuse
    sim::Time fuse_resume;             ///< caller: from running again to its return to user mode
    sim::Time fuse_page;               ///< per 4 KiB page that is read, beyond the copy; of which
    sim::Time fuse_page_submit;        ///< ... the caller, before it sleeps
    sim::Time fuse_page_reply;         ///< ... the daemon, in its reply
    sim::Time fuse_page_resume;        ///< ... the caller, after it woke
    sim::Time fuse_page_write;         ///< the same for a page that is written
    sim::Time getattr;                 ///< caller: what fstat(2) has beyond submit and resume
    sim::Time direct_read;             ///< caller: ... pread(2) with direct_io
    sim::Time direct_write;            ///< caller: ... pwrite(2) with direct_io
    sim::Time libfuse_request;         ///< user time per request in the library
    sim::Time libfuse_mt;              ///< what the multi-threaded loop adds per request
    sim::Time recorder_queue;          ///< what recording adds to a request until the daemon has it
    sim::Time recorder_reply;          ///< ... from the reply until its caller runs again
    sim::Time recorder_cold;           ///< ... when a thread starts on a core that had idled

    /// Linear between measured sizes, proportional beyond the last, nothing for nothing.
    sim::Time copy_time(std::uint64_t bytes) const;
};

struct SchedulerConfig {
    sim::Time base_slice = 2800_us;  // kernel/sched/fair.c, 8 CPUs and more
    sim::Time turn;                  ///< measured: how long equals run before they change places
    bool wakeup_preemption = false;  ///< a woken thread preempts the one that runs on its core
    /// How long an idle core polls before it halts (haltpoll; zero: halts at once).
    sim::Time halt_poll;
    /// A halted virtual CPU looks preempted to the guest's scheduler, which then does not take it
    /// for idle (available_idle_cpu() with paravirtual steal time).
    bool halted_is_unavailable = false;
};

/// A machine: cores, scheduler, costs.
struct HostProfile {
    unsigned schema_version = 1;
    std::string name;
    std::map<std::string, std::string> provenance;
    std::map<std::string, std::string> spread;
    unsigned cores = 1;
    SchedulerConfig scheduler;
    Costs costs;
};

void bind(config::Map& map, IdleExit& row);
void bind(config::Map& map, IdleCost& row);
void bind(config::Map& map, SizeCost& point);
void bind(config::Map& map, Costs& costs);
void bind(config::Map& map, SchedulerConfig& scheduler);
void bind(config::Map& map, HostProfile& profile);

}  // namespace fusesim::host
