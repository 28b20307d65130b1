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

void bind(config::Map& map, IdleCost& row) {
    map.field("idle", row.idle, Time(), 3600_s, "how long the core had idled");
    map.field("time", row.time, Time(), 1_s, "the cost");
}

void bind(config::Map& map, SizeCost& point) {
    map.field("size", point.size, "bytes copied");
    map.field("time", point.time, Time(), 1_s, "one copy");
}

namespace {

template <class Rows>
void rising(config::Map& map, const char* name, const Rows& rows) {
    map.check(
        std::is_sorted(
            rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.idle < b.idle; }),
        name,
        "must be in order of idle time");
}

struct Cost {
    const char* name;
    Time Costs::*member;
    const char* help;
};

constexpr Cost plain_costs[] = {
    {"syscall", &Costs::syscall, "entry and exit of an empty system call"},
    {"context_switch", &Costs::context_switch, "from one process to another on one core"},
    {"context_switch_thread", &Costs::context_switch_thread, "the same within one address space"},
    {"block", &Costs::block, "extra of going to sleep and coming back"},
    {"wake_same_core", &Costs::wake_same_core, "waking a thread on one's own core, for the waker"},
    {"wake_cross_core", &Costs::wake_cross_core, "waking a thread on another core, for the waker"},
    {"thread_create", &Costs::thread_create, "pthread_create() of a new worker, for its caller"},
    {"page_cache_page", &Costs::page_cache_page, "per page read from the page cache, beyond copy"},
    {"fuse_submit", &Costs::fuse_submit, "caller: VFS entry to request on the pending queue"},
    {"fuse_read", &Costs::fuse_read, "daemon: fixed part of read(2) of /dev/fuse"},
    {"fuse_reply", &Costs::fuse_reply, "daemon: fixed part of writev(2) of the reply"},
    {"fuse_resume", &Costs::fuse_resume, "caller: from running again to its return"},
    {"fuse_page", &Costs::fuse_page, "per 4 KiB page that is read, beyond copy"},
    {"fuse_page_submit", &Costs::fuse_page_submit, "of fuse_page: the caller before it sleeps"},
    {"fuse_page_reply", &Costs::fuse_page_reply, "of fuse_page: the daemon in its reply"},
    {"fuse_page_resume", &Costs::fuse_page_resume, "of fuse_page: the caller after it woke"},
    {"fuse_page_write", &Costs::fuse_page_write, "per 4 KiB page that is written, beyond copy"},
    {"getattr", &Costs::getattr, "caller: what fstat(2) has beyond submit and resume"},
    {"direct_read", &Costs::direct_read, "caller: what a direct pread(2) has beyond them"},
    {"direct_write", &Costs::direct_write, "caller: what a direct pwrite(2) has beyond them"},
    {"libfuse_request", &Costs::libfuse_request, "user time of the library per request"},
    {"libfuse_mt", &Costs::libfuse_mt, "what the multi-threaded loop adds per request"},
    {"recorder_queue",
     &Costs::recorder_queue,
     "what `fusesim record` adds until the daemon has it"},
    {"recorder_reply", &Costs::recorder_reply, "... from the reply until the caller runs again"},
    {"recorder_cold", &Costs::recorder_cold, "... when a thread starts on a core that had idled"},
};

}  // namespace

void bind(config::Map& map, Costs& c) {
    for (const Cost& cost : plain_costs) {
        map.field(cost.name, c.*cost.member, Time(), 1_s, cost.help);
    }
    map.section("idle_exit",
                c.idle_exit,
                "from a wake-up to the woken thread running, by idle time of its core");
    rising(map, "idle_exit", c.idle_exit);
    map.section("wake_cross_core_by_idle",
                c.wake_cross_core_by_idle,
                "wake_cross_core by idle time of the woken core");
    rising(map, "wake_cross_core_by_idle", c.wake_cross_core_by_idle);
    map.section(
        "cold_start", c.cold_start, "extra of the first work on a core, by how long it had idled");
    rising(map, "cold_start", c.cold_start);
    map.section("copy", c.copy, "kernel copies from and to user memory, by size");
    map.check(std::is_sorted(c.copy.begin(),
                             c.copy.end(),
                             [](const SizeCost& a, const SizeCost& b) { return a.size < b.size; }),
              "copy",
              "must be in order of size");
}

void bind(config::Map& map, SchedulerConfig& c) {
    map.field("base_slice", c.base_slice, 1_us, 1_s, "time a thread runs while others wait");
    map.field("turn", c.turn, Time(), 1_s, "how long equals run before they change places");
    map.field("wakeup_preemption",
              c.wakeup_preemption,
              "a woken thread preempts the one that runs on its core");
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
