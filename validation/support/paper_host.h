#pragma once

#include "host/profile.h"

namespace fusesim::validation {

using namespace sim::literals;

/// A machine with round numbers, so that schedules can be made on paper: a system call 1 us, a
/// context switch 2 us, idle exit 3 us, read(2) of /dev/fuse 10 us, writev(2) 20 us, all else free.
inline host::HostProfile paper_host(unsigned cores) {
    host::HostProfile host;
    host.name = "paper";
    host.cores = cores;
    host.costs.syscall = 1_us;
    host.costs.context_switch = 2_us;
    host.costs.idle_exit = {{sim::Time(), {3_us, 3_us}}};
    host.costs.fuse_read = 10_us;
    host.costs.fuse_reply = 20_us;
    return host;
}

/// The same with the scheduler before Linux 6.6: one that polls gives way at once to who has run
/// less.
inline host::HostProfile cfs_host(unsigned cores) {
    host::HostProfile host = paper_host(cores);
    host.scheduler.fair = host::SchedulerConfig::Fair::cfs;
    return host;
}

}  // namespace fusesim::validation
