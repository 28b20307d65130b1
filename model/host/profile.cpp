#include "host/profile.h"

#include <algorithm>

namespace fusesim::host {

using sim::Distribution;
using sim::Time;

Time Costs::time_by_size(const std::vector<SizeCost>& rows, std::uint64_t bytes) {
    if (bytes == 0 || rows.empty()) {
        return Time();
    }
    const auto size = static_cast<double>(bytes);
    const auto above = std::lower_bound(
        rows.begin(), rows.end(), bytes, [](const SizeCost& point, std::uint64_t b) {
            return point.size.count < b;
        });
    if (above == rows.end()) {
        const SizeCost& last = rows.back();
        return Time::from_seconds(last.time.seconds() * size /
                                  static_cast<double>(last.size.count));
    }
    if (above == rows.begin()) {
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

template <class T>
struct Cost {
    const char* name;
    Time T::*member;
    const char* help;
};

template <class T, std::size_t n>
void bind_times(config::Map& map, T& costs, const Cost<T> (&table)[n]) {
    for (const Cost<T>& cost : table) {
        map.field(cost.name, costs.*cost.member, Time(), 1_s, cost.help);
    }
}

void bind_sizes(config::Map& map, const char* name, std::vector<SizeCost>& rows, const char* help) {
    map.section(name, rows, help);
    map.check(std::is_sorted(rows.begin(),
                             rows.end(),
                             [](const SizeCost& a, const SizeCost& b) { return a.size < b.size; }),
              name,
              "must be in order of size");
}

constexpr Cost<VfsCosts> vfs_costs[] = {
    {"cached_lookup", &VfsCosts::cached_lookup, "fstatat(2) of a name that is known, no request"},
    {"lookup", &VfsCosts::lookup, "fstatat(2) with one LOOKUP"},
    {"lookup_missing", &VfsCosts::lookup_missing, "... whose answer is ENOENT"},
    {"open", &VfsCosts::open, "openat(2) of an existing file: OPEN"},
    {"close", &VfsCosts::close, "close(2): FLUSH, and RELEASE queued"},
    {"create", &VfsCosts::create, "openat(2) of a new file: LOOKUP, CREATE"},
    {"unlink", &VfsCosts::unlink, "unlinkat(2): UNLINK, and FORGET queued"},
    {"mkdir", &VfsCosts::mkdir, "mkdirat(2): LOOKUP, MKDIR"},
    {"rmdir", &VfsCosts::rmdir, "unlinkat(2) of a directory: RMDIR, and FORGET queued"},
    {"opendir", &VfsCosts::opendir, "openat(2) of a directory: OPENDIR"},
    {"closedir", &VfsCosts::closedir, "close(2) of a directory: RELEASEDIR queued"},
    {"readdir", &VfsCosts::readdir, "getdents64(2) with one READDIR, without its entries"},
    {"readdir_entry", &VfsCosts::readdir_entry, "... per entry"},
    {"readdirplus_entry", &VfsCosts::readdirplus_entry, "... per entry of a READDIRPLUS"},
    {"fsync", &VfsCosts::fsync, "fsync(2) of a clean file: FSYNC"},
    {"reclaim",
     &VfsCosts::reclaim,
     "an unused inode and its name are given up, a FORGET is queued"},
    {"passthrough_read",
     &VfsCosts::passthrough_read,
     "pread(2) below the daemon, beyond that of the file below"},
    {"passthrough_write", &VfsCosts::passthrough_write, "pwrite(2) likewise"},
};

constexpr Cost<LibraryCosts> library_costs[] = {
    {"lookup", &LibraryCosts::lookup, "LOOKUP of a name that exists"},
    {"lookup_missing", &LibraryCosts::lookup_missing, "... that does not"},
    {"forget", &LibraryCosts::forget, "FORGET"},
    {"getattr", &LibraryCosts::getattr, "GETATTR"},
    {"setattr", &LibraryCosts::setattr, "SETATTR"},
    {"mkdir", &LibraryCosts::mkdir, "MKDIR"},
    {"unlink", &LibraryCosts::unlink, "UNLINK"},
    {"rmdir", &LibraryCosts::rmdir, "RMDIR"},
    {"open", &LibraryCosts::open, "OPEN"},
    {"read", &LibraryCosts::read, "READ"},
    {"write", &LibraryCosts::write, "WRITE"},
    {"release", &LibraryCosts::release, "RELEASE"},
    {"fsync", &LibraryCosts::fsync, "FSYNC"},
    {"flush", &LibraryCosts::flush, "FLUSH"},
    {"opendir", &LibraryCosts::opendir, "OPENDIR, fixed"},
    {"opendir_entry", &LibraryCosts::opendir_entry, "... of the null file system, per entry"},
    {"readdir", &LibraryCosts::readdir, "READDIR and READDIRPLUS, fixed"},
    {"readdir_entry", &LibraryCosts::readdir_entry, "READDIR, per entry"},
    {"readdirplus_entry", &LibraryCosts::readdirplus_entry, "READDIRPLUS, per entry"},
    {"releasedir", &LibraryCosts::releasedir, "RELEASEDIR"},
    {"create", &LibraryCosts::create, "CREATE"},
};

constexpr Cost<LowerCosts> lower_costs[] = {
    {"lookup", &LowerCosts::lookup, "openat(2) with O_PATH of a name that exists"},
    {"lookup_missing", &LowerCosts::lookup_missing, "... of a name that does not"},
    {"stat", &LowerCosts::stat, "fstatat(2) with AT_EMPTY_PATH"},
    {"open", &LowerCosts::open, "openat(2) through /proc/self/fd"},
    {"create", &LowerCosts::create, "openat(2) with O_CREAT and O_EXCL"},
    {"close", &LowerCosts::close, "close(2) of an open file"},
    {"utimens", &LowerCosts::utimens, "utimensat(2) through /proc/self/fd"},
    {"close_path", &LowerCosts::close_path, "close(2) of an O_PATH descriptor"},
    {"close_unlinked", &LowerCosts::close_unlinked, "close(2) that frees an unlinked file"},
    {"unlink", &LowerCosts::unlink, "unlinkat(2) while a descriptor is held"},
    {"mkdir", &LowerCosts::mkdir, "mkdirat(2)"},
    {"rmdir", &LowerCosts::rmdir, "unlinkat(2) of a directory"},
    {"opendir", &LowerCosts::opendir, "openat(2) of a directory"},
    {"readdir", &LowerCosts::readdir, "getdents64(2), without its entries"},
    {"readdir_entry", &LowerCosts::readdir_entry, "... per entry"},
    {"fsync", &LowerCosts::fsync, "fsync(2) after a write of 4 KiB, on a core"},
    {"fdatasync", &LowerCosts::fdatasync, "fdatasync(2) likewise"},
};

constexpr Cost<UringCosts> uring_costs[] = {
    {"dispatch", &UringCosts::dispatch, "from the caller to the ring's thread, for fuse_read"},
    {"commit", &UringCosts::commit, "fixed part of committing a reply, for fuse_reply"},
    {"daemon", &UringCosts::daemon, "user time per request, for libfuse_request"},
    {"page_reply", &UringCosts::page_reply, "per page that is read, for fuse_page_reply"},
    {"page_write", &UringCosts::page_write, "per page that is written, for fuse_page_write"},
};

constexpr Cost<Costs> plain_costs[] = {
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
    {"fuse_reply_args",
     &Costs::fuse_reply_args,
     "... more, if the reply is more than a header (data that are read count as pages)"},
    {"fuse_resume", &Costs::fuse_resume, "caller: from running again to its return"},
    {"fuse_page", &Costs::fuse_page, "per 4 KiB page that is read, beyond copy"},
    {"fuse_page_submit", &Costs::fuse_page_submit, "of fuse_page: the caller before it sleeps"},
    {"fuse_page_reply", &Costs::fuse_page_reply, "of fuse_page: the daemon in its reply"},
    {"fuse_page_resume", &Costs::fuse_page_resume, "of fuse_page: the caller after it woke"},
    {"fuse_page_write", &Costs::fuse_page_write, "per 4 KiB page that is written, beyond copy"},
    {"getattr", &Costs::getattr, "caller: what fstat(2) has beyond submit and resume"},
    {"direct_read", &Costs::direct_read, "caller: what a direct pread(2) has beyond them"},
    {"direct_write", &Costs::direct_write, "caller: what a direct pwrite(2) has beyond them"},
    {"cached_write", &Costs::cached_write, "caller: buffered pwrite(2), without its request"},
    {"cached_write_page", &Costs::cached_write_page, "... per page in the cache, beyond copy"},
    {"cached_write_new_page", &Costs::cached_write_new_page, "... per page not yet in the cache"},
    {"write_through", &Costs::write_through, "caller: write-through pwrite(2), for cached_write"},
    {"write_through_page",
     &Costs::write_through_page,
     "per page, for cached_write_page and fuse_page_write"},
    {"odirect_read", &Costs::odirect_read, "caller: pread(2) with O_DIRECT alone, for direct_read"},
    {"dirty_page", &Costs::dirty_page, "caller: ... per page in the cache, but clean, more"},
    {"dirty_file", &Costs::dirty_file, "caller: ... into a file without dirty pages, more"},
    {"writeback_page", &Costs::writeback_page, "per page written back, for fuse_page_write"},
    {"drop_page", &Costs::drop_page, "per clean page dropped from the cache"},
    {"cached_read", &Costs::cached_read, "caller: pread(2) from the page cache, fixed"},
    {"buffered_read", &Costs::buffered_read, "caller: ... of pages not in the cache, more"},
    {"readahead_page", &Costs::readahead_page, "per page read into the cache, for fuse_page"},
    {"block_request", &Costs::block_request, "block layer and driver, of one request to a device"},
    {"libfuse_request", &Costs::libfuse_request, "user time of the library per request"},
    {"libfuse_loop", &Costs::libfuse_loop, "... of that, after the reply"},
    {"libfuse_mt", &Costs::libfuse_mt, "what the multi-threaded loop adds per request"},
    {"recorder_queue",
     &Costs::recorder_queue,
     "what `fusesim record` adds until the daemon has it"},
    {"recorder_processing", &Costs::recorder_processing, "... until the daemon replies"},
    {"recorder_reply", &Costs::recorder_reply, "... from the reply until the caller runs again"},
    {"cold_path",
     &Costs::cold_path,
     "kernel and daemon on a core that had idled, beyond cold_start"},
};

}  // namespace

void bind(config::Map& map, VfsCosts& costs) {
    bind_times(map, costs, vfs_costs);
}

void bind(config::Map& map, LibraryCosts& costs) {
    bind_times(map, costs, library_costs);
}

void bind(config::Map& map, LowerCosts& costs) {
    bind_times(map, costs, lower_costs);
    bind_sizes(map, "read", costs.read, "pread(2) of cached data, by size");
    bind_sizes(map, "write", costs.write, "pwrite(2) over cached pages, by size");
    map.field("memory_share",
              costs.memory_share,
              0.0,
              10.0,
              "of memory_run: less where the pages of a file lie together");
    map.field("fsync_blocked",
              costs.fsync_blocked,
              Time(),
              3600_s,
              "time asleep in fsync(2) at equal steps of probability from 0 to 1");
    map.field("fdatasync_blocked", costs.fdatasync_blocked, Time(), 3600_s, "in fdatasync(2)");
}

void bind(config::Map& map, UringCosts& costs) {
    bind_times(map, costs, uring_costs);
}

void bind(config::Map& map, Costs& c) {
    bind_times(map, c, plain_costs);
    map.section("uring", c.uring, "requests through io_uring; absent where not measured");
    map.section("vfs", c.vfs, "calls on a mount, for their caller, beyond their requests");
    map.section("library", c.library, "library and null file system, by request");
    map.section("lower", c.lower, "calls on the file system below a daemon, by its name");
    map.section("idle_exit",
                c.idle_exit,
                "from a wake-up to the woken thread running, by idle time of its core");
    rising(map, "idle_exit", c.idle_exit);
    map.section(
        "idle_exit_timer",
        c.idle_exit_timer,
        "from the time that a timer was set to, to the thread running; idle_exit if absent");
    rising(map, "idle_exit_timer", c.idle_exit_timer);
    map.section("wake_cross_core_by_idle",
                c.wake_cross_core_by_idle,
                "wake_cross_core by idle time of the woken core");
    rising(map, "wake_cross_core_by_idle", c.wake_cross_core_by_idle);
    map.section(
        "cold_start", c.cold_start, "extra of the first work on a core, by how long it had idled");
    rising(map, "cold_start", c.cold_start);
    bind_sizes(map, "copy", c.copy, "kernel copies from and to user memory, by size");
    bind_sizes(map, "memory", c.memory, "extra per page of data, by how much is used in turns");
    bind_sizes(map, "memory_run", c.memory_run, "... per further page of a run");
}

void bind(config::Map& map, CfsConfig& c) {
    map.field("latency", c.latency, 1_us, 1_s, "time in which all who want a core have it once");
    map.field("min_granularity", c.min_granularity, 1_us, 1_s, "least time that each has it");
    map.field("wakeup_granularity",
              c.wakeup_granularity,
              Time(),
              1_s,
              "how much more than the woken one the running one must have run to be preempted");
    map.field(
        "skipped",
        c.skipped,
        Time(),
        1_ms,
        "what is left of a wake-up when the woken one's time begins to count, if it preempts");
}

void bind(config::Map& map, SchedulerConfig& c) {
    using Fair = SchedulerConfig::Fair;
    map.field("fair",
              c.fair,
              {{"eevdf", Fair::eevdf}, {"cfs", Fair::cfs}},
              "how the fair scheduler picks: eevdf from Linux 6.6 on, cfs before");
    // What a run used holds the settings of its scheduler only, so that it can be read again.
    const bool all = map.mode() != config::Map::Mode::echo;
    if (all || c.fair == Fair::eevdf) {
        map.field(
            "base_slice", c.base_slice, 1_us, 1_s, "eevdf: time a thread runs while others wait");
    }
    map.check(
        !map.given("base_slice") || c.fair == Fair::eevdf, "base_slice", "is for fair: eevdf");
    if (all || c.fair == Fair::cfs) {
        map.section("cfs", c.cfs, "tunables of cfs");
    }
    map.check(!map.given("cfs") || c.fair == Fair::cfs, "cfs", "is for fair: cfs");
    map.field("turn", c.turn, Time(), 1_s, "how long equals run before they change places");
    using Preemption = SchedulerConfig::Preemption;
    map.field("preemption",
              c.preemption,
              {{"none", Preemption::none}, {"voluntary", Preemption::voluntary}},
              "where a thread in the kernel is preempted: at its return to user mode, or also when "
              "it is about to wait");
    map.field("wakeup_preemption",
              c.wakeup_preemption,
              "a woken thread preempts the one that runs on its core");
    map.field("sched_autogroup_enabled",
              c.sched_autogroup_enabled,
              "application, daemon and kernel share a core as groups, not thread by thread");
    map.field("halt_poll",
              c.halt_poll,
              Time(),
              1_s,
              "how long an idle core polls before it halts (haltpoll)");
    map.field("halted_is_unavailable",
              c.halted_is_unavailable,
              "a halted virtual CPU is not taken for idle when a thread is placed");
}

void bind(config::Map& map, Interruption& row) {
    map.field("interval", row.interval, 1_us, 3600_s, "from one to the next, mean");
    map.field("time", row.time, Time(), 1_s, "that one takes");
}

void bind(config::Map& map, HostProfile& profile) {
    map.field("schema_version", profile.schema_version, 1, 1, "version of this format");
    map.field("name", profile.name, "the machine in a few words");
    map.field("provenance", profile.provenance, "where the numbers come from");
    map.field("spread", profile.spread, "how far repeated measurements of a cost lie apart");
    map.field("cores", profile.cores, 1, 1024, "online CPUs");
    map.field("memory", profile.memory, "what caches files; as much as they need if absent");
    map.section("scheduler", profile.scheduler, "how threads share the cores");
    map.section("interruptions",
                profile.interruptions,
                "what takes time away from a busy core every now and then");
    map.section("costs", profile.costs, "what operations of kernel and library cost");
    map.check(!profile.costs.idle_exit.empty(), "costs", "needs at least one idle_exit row");
}

}  // namespace fusesim::host
