#include "host/profile.h"

#include <algorithm>

namespace fusesim::host {

using sim::Distribution;
using sim::Time;

Time Costs::copy_time(std::uint64_t bytes) const {
    if (bytes == 0 || copy.empty()) {
        return Time();
    }
    const auto size = static_cast<double>(bytes);
    const auto above = std::lower_bound(
        copy.begin(), copy.end(), bytes, [](const SizeCost& point, std::uint64_t b) {
            return point.size.count < b;
        });
    if (above == copy.end()) {
        const SizeCost& last = copy.back();
        return Time::from_seconds(last.time.seconds() * size /
                                  static_cast<double>(last.size.count));
    }
    if (above == copy.begin()) {
        return above->time;
    }
    const SizeCost& low = *(above - 1);
    const double share = (size - static_cast<double>(low.size.count)) /
                         static_cast<double>(above->size.count - low.size.count);
    return low.time + Time::from_seconds((above->time - low.time).seconds() * share);
}

void bind(config::Map& map, IdleExit& row) {
    map.field("idle", row.idle, Time(), 3600_s, "how long the core had idled");
    map.field("quantiles",
              row.quantiles,
              Time(),
              1_s,
              "latency at equal steps of probability from 0 to 1");
    map.check(
        row.quantiles.size() >= 2 && std::is_sorted(row.quantiles.begin(), row.quantiles.end()),
        "quantiles",
        "needs at least two times that never fall");
}

void bind(config::Map& map, SizeCost& point) {
    map.field("size", point.size, "bytes copied");
    map.field("time", point.time, Time(), 1_s, "one copy");
}

void bind(config::Map& map, Costs& c) {
    const Time most = 1_s;
    map.field("syscall", c.syscall, Time(), most, "entry and exit of an empty system call");
    map.field("context_switch",
              c.context_switch,
              Time(),
              most,
              "from one process to another on one core");
    map.field("wake_same_core",
              c.wake_same_core,
              Time(),
              most,
              "what waking a thread on its own core costs the waker");
    map.field("wake_cross_core",
              c.wake_cross_core,
              Time(),
              most,
              "what waking a thread on another core costs the waker");
    map.section("idle_exit",
                c.idle_exit,
                "from a wake-up to the woken thread running, by idle time of its core");
    map.check(std::is_sorted(c.idle_exit.begin(),
                             c.idle_exit.end(),
                             [](const IdleExit& a, const IdleExit& b) { return a.idle < b.idle; }),
              "idle_exit",
              "must be in order of idle time");
    map.section("copy", c.copy, "kernel copies from and to user memory, by size");
    map.check(std::is_sorted(c.copy.begin(),
                             c.copy.end(),
                             [](const SizeCost& a, const SizeCost& b) { return a.size < b.size; }),
              "copy",
              "must be in order of size");
    map.field("fuse_submit",
              c.fuse_submit,
              Time(),
              most,
              "caller: from VFS entry to the request on the pending queue");
    map.field("fuse_read", c.fuse_read, Time(), most, "daemon: fixed part of read(2)");
    map.field("fuse_reply", c.fuse_reply, Time(), most, "daemon: fixed part of writev(2)");
    map.field("fuse_resume",
              c.fuse_resume,
              Time(),
              most,
              "caller: from running again to its return to user mode");
    map.field(
        "fuse_page", c.fuse_page, Time(), most, "per 4 KiB page of payload beyond the copy itself");
    map.field(
        "libfuse_request", c.libfuse_request, Time(), most, "user time of the library per request");
    map.field(
        "libfuse_mt", c.libfuse_mt, Time(), most, "what the multi-threaded loop adds per request");
    map.field("thread_create", c.thread_create, Time(), most, "pthread_create() of a new worker");
}

void bind(config::Map& map, SchedulerConfig& c) {
    map.field("base_slice", c.base_slice, 1_us, 1_s, "time a thread runs while others wait");
    map.field("halt_poll",
              c.halt_poll,
              Time(),
              1_s,
              "how long an idle core polls before it halts (haltpoll)");
    map.field("halted_is_unavailable",
              c.halted_is_unavailable,
              "a halted virtual CPU is not taken for idle when a thread is placed");
}

void bind(config::Map& map, HostProfile& profile) {
    map.field("schema_version", profile.schema_version, 1, 1, "version of this format");
    map.field("name", profile.name, "the machine in a few words");
    map.field("provenance", profile.provenance, "where the numbers come from");
    map.field("spread", profile.spread, "how far repeated measurements of a cost lie apart");
    map.field("cores", profile.cores, 1, 1024, "online CPUs");
    map.section("scheduler", profile.scheduler, "how threads share the cores");
    map.section("costs", profile.costs, "what operations of kernel and library cost");
    map.check(!profile.costs.idle_exit.empty(), "costs", "needs at least one idle_exit row");
}

}  // namespace fusesim::host
