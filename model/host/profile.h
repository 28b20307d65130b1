#pragma once

#include "config/map.h"
#include "host/cfs_config.h"
#include "sim/random.h"
#include "sim/time.h"

#include <cstdint>
#include <map>
#include <optional>
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

/// What calls on a FUSE mount cost their caller beyond fuse_submit and fuse_resume of each request
/// that they make. What a null daemon does more for them than for GETATTR is inside: the two cannot
/// be told apart from outside the kernel.
struct VfsCosts {
    sim::Time cached_lookup;      ///< fstatat() of a name that is known, no request
    sim::Time lookup;             ///< fstatat() with one LOOKUP
    sim::Time lookup_missing;     ///< ... whose answer is ENOENT
    sim::Time open;               ///< openat() of an existing file: OPEN
    sim::Time close;              ///< close(): FLUSH, and RELEASE queued
    sim::Time create;             ///< openat() of a new file: LOOKUP, CREATE
    sim::Time unlink;             ///< unlinkat(): UNLINK, and FORGET queued
    sim::Time mkdir;              ///< LOOKUP, MKDIR
    sim::Time rmdir;              ///< RMDIR, and FORGET queued
    sim::Time opendir;            ///< OPENDIR
    sim::Time closedir;           ///< RELEASEDIR queued
    sim::Time readdir;            ///< getdents64() with one READDIR, fixed
    sim::Time readdir_entry;      ///< ... per entry
    sim::Time readdirplus_entry;  ///< ... per entry of a READDIRPLUS
    sim::Time fsync;              ///< FSYNC of a clean file
    sim::Time reclaim;            ///< of an unused inode with its name: its FORGET is queued
    sim::Time passthrough_read;   ///< pread() below the daemon, beyond that of the file below
    sim::Time passthrough_write;  ///< pwrite() likewise
};

/// What the library and a null file system compute for each kind of request, in user mode.
struct LibraryCosts {
    sim::Time lookup;          ///< of a name that exists
    sim::Time lookup_missing;  ///< ... that does not
    sim::Time forget;
    sim::Time getattr;
    sim::Time setattr;
    sim::Time mkdir;
    sim::Time unlink;
    sim::Time rmdir;
    sim::Time open;
    sim::Time read;
    sim::Time write;
    sim::Time release;
    sim::Time fsync;
    sim::Time flush;
    sim::Time opendir;        ///< fixed
    sim::Time opendir_entry;  ///< ... of the null file system, per entry
    sim::Time readdir;        ///< fixed, READDIRPLUS too
    sim::Time readdir_entry;  ///< ... per entry
    sim::Time readdirplus_entry;
    sim::Time releasedir;
    sim::Time create;
};

/// What calls on the file system below a daemon cost, entry and exit included.
struct LowerCosts {
    sim::Time lookup;          ///< openat(O_PATH) of a name that exists
    sim::Time lookup_missing;  ///< ... that does not
    sim::Time stat;            ///< fstatat(AT_EMPTY_PATH)
    sim::Time open;            ///< openat() through /proc/self/fd
    sim::Time create;          ///< openat(O_CREAT | O_EXCL)
    sim::Time close;           ///< of such a descriptor
    sim::Time utimens;         ///< utimensat() through /proc/self/fd
    sim::Time close_path;      ///< of an O_PATH descriptor
    sim::Time close_unlinked;  ///< of the last descriptor of an unlinked file
    sim::Time unlink;          ///< while a descriptor is held
    sim::Time mkdir;
    sim::Time rmdir;
    sim::Time opendir;
    sim::Time readdir;            ///< getdents64(), fixed
    sim::Time readdir_entry;      ///< ... per entry
    std::vector<SizeCost> read;   ///< pread() of cached data, by size, rising; copy included
    std::vector<SizeCost> write;  ///< pwrite() over cached pages
    double memory_share = 1;      ///< of Costs::memory_run: less where pages lie together
    sim::Time fsync;              ///< on a core, after a write of 4 KiB
    sim::Time fdatasync;
    std::vector<sim::Time> fsync_blocked;  ///< asleep: quantiles at equal steps; empty: never
    std::vector<sim::Time> fdatasync_blocked;
};

/// What a request costs through io_uring, in place of fuse_read, fuse_reply, libfuse_request,
/// fuse_page_reply and fuse_page_write.
struct UringCosts {
    sim::Time dispatch;    ///< to the ring's entry, for its thread; what submitting costs included
    sim::Time commit;      ///< an answer's end within io_uring_enter(2), fixed
    sim::Time daemon;      ///< user time per request of the ring's thread
    sim::Time page_reply;  ///< per page that is read, beyond the copy
    sim::Time page_write;  ///< per page that is written, caller included, beyond the copy
};

/// What operations of kernel and library cost on one machine. Measured by `fusesim calibrate`, or
/// taken from a published figure with its source; no number of one machine stands in code.
struct Costs {
    sim::Time syscall;                      ///< entry and exit of an empty call
    sim::Time context_switch;               ///< from one process to another on one core
    sim::Time context_switch_thread;        ///< ... within one address space
    sim::Time block;                        ///< extra of going to sleep and coming back
    sim::Time wake_same_core;               ///< what waking costs the waker, wakee on its own core
    sim::Time wake_cross_core;              ///< ... on another core
    sim::Time thread_create;                ///< pthread_create() of a new worker, for its caller
    std::vector<IdleExit> idle_exit;        ///< by idle time, rising
    std::vector<IdleExit> idle_exit_timer;  ///< of what a timer wakes; empty: the same
    std::vector<IdleExit> wake_cross_core_by_idle;  ///< the waker's cost by idle time; may be empty
    std::vector<IdleCost> cold_start;  ///< extra of the first work on a core that had idled
    std::vector<SizeCost> copy;        ///< kernel copy from or to user memory, by size, rising
    /// What memory adds to work on a page of data that comes round after that much other data; the
    /// costs of pages themselves hold for data in the cores' caches.
    std::vector<SizeCost> memory;
    std::vector<SizeCost> memory_run;  ///< the same for each further page of a run
    sim::Time page_cache_page;         ///< per page read from the page cache, beyond the copy
    sim::Time fuse_submit;             ///< caller: from VFS entry to the request on pending
    sim::Time fuse_read;               ///< daemon: fixed part of read(2) on /dev/fuse
    sim::Time fuse_reply;              ///< daemon: fixed part of writev(2) on /dev/fuse
    sim::Time fuse_reply_args;         ///< ... more, if the reply is more than a header
    sim::Time fuse_resume;             ///< caller: from running again to its return to user mode
    sim::Time fuse_page;               ///< per 4 KiB page that is read, beyond the copy; of which
    sim::Time fuse_page_submit;        ///< ... the caller, before it sleeps
    sim::Time fuse_page_reply;         ///< ... the daemon, in its reply
    sim::Time fuse_page_resume;        ///< ... the caller, after it woke
    sim::Time fuse_page_write;         ///< the same for a page that is written
    sim::Time getattr;                 ///< caller: what fstat(2) has beyond submit and resume
    sim::Time direct_read;             ///< caller: ... pread(2) with direct_io
    sim::Time direct_write;            ///< caller: ... pwrite(2) with direct_io
    sim::Time cached_write;            ///< caller: buffered pwrite(2), fixed, without its request
    sim::Time cached_write_page;       ///< ... per page that is in the cache, beyond the copy
    sim::Time cached_write_new_page;   ///< ... per page that is not
    sim::Time write_through;           ///< caller: write-through pwrite(2); replaces cached_write
    sim::Time write_through_page;      ///< per page; replaces cached_write_page and fuse_page_write
    sim::Time odirect_read;    ///< caller: pread(2) with O_DIRECT alone; replaces direct_read
    sim::Time dirty_page;      ///< ... per page that is in the cache, but clean, more
    sim::Time dirty_file;      ///< ... into a file without dirty pages, more
    sim::Time writeback_page;  ///< per page written back; replaces fuse_page_write
    sim::Time drop_page;       ///< per clean page dropped from the cache
    sim::Time cached_read;     ///< caller: pread(2) from the page cache, fixed
    sim::Time buffered_read;   ///< caller: pread(2) of pages that are missing, fixed
    sim::Time readahead_page;  ///< per page read into the cache; replaces fuse_page
    std::optional<UringCosts> uring;  ///< absent: not measured
    VfsCosts vfs;
    std::map<std::string, LowerCosts> lower;  ///< by file system
    sim::Time block_request;                  ///< block layer and driver, of one request
    sim::Time libfuse_request;                ///< user time per request in the library
    sim::Time libfuse_loop;                   ///< ... of that, after the reply
    std::optional<LibraryCosts> library;      ///< by request, instead of libfuse_request
    sim::Time libfuse_mt;                     ///< what the multi-threaded loop adds per request
    sim::Time recorder_queue;       ///< what recording adds to a request until the daemon has it
    sim::Time recorder_processing;  ///< ... until the daemon replies
    sim::Time recorder_reply;       ///< ... from the reply until its caller runs again
    sim::Time cold_path;  ///< kernel and daemon, on a core that had idled, beyond cold_start

    sim::Time copy_time(std::uint64_t bytes) const { return time_by_size(copy, bytes); }

    /// Linear between measured sizes, proportional beyond the last, nothing for nothing.
    static sim::Time time_by_size(const std::vector<SizeCost>& rows, std::uint64_t bytes);
};

struct SchedulerConfig {
    enum class Fair { eevdf, cfs };
    enum class Preemption { none, voluntary };
    Fair fair = Fair::eevdf;         ///< how the fair class picks: since Linux 6.6, or before
    sim::Time base_slice = 2800_us;  // kernel/sched/fair.c, 8 CPUs and more
    CfsConfig cfs;                   ///< instead of base_slice
    sim::Time turn;                  ///< measured: how long equals run before they change places
    /// Where a thread in the kernel makes way for one that preempts it: at its return to user mode
    /// only, or also when it is about to wait.
    Preemption preemption = Preemption::none;
    bool wakeup_preemption = false;  ///< a woken thread preempts the one that runs on its core
    /// Threads of the application, of the daemon and of the kernel share a core as three groups, as
    /// programs of different sessions do; else as equals.
    bool sched_autogroup_enabled = true;
    /// How long an idle core polls before it halts (haltpoll; zero: halts at once).
    sim::Time halt_poll;
    /// A halted virtual CPU looks preempted to the guest's scheduler, which then does not take it
    /// for idle (available_idle_cpu() with paravirtual steal time).
    bool halted_is_unavailable = false;
};

/// One kind of thing that takes time away from a busy core every now and then, at random: ticks of
/// a clock, other guests of the host.
struct Interruption {
    sim::Time interval;  ///< from one to the next, mean
    sim::Time time;      ///< that one takes
};

/// A machine: cores, scheduler, costs.
struct HostProfile {
    unsigned schema_version = 1;
    std::string name;
    std::map<std::string, std::string> provenance;
    std::map<std::string, std::string> spread;
    unsigned cores = 1;
    std::optional<config::Bytes> memory;  ///< that caches files; without: as much as they need
    SchedulerConfig scheduler;
    std::vector<Interruption> interruptions;  ///< independent of each other and of other cores'
    Costs costs;

    std::optional<std::uint64_t> page_cache_pages() const {
        return memory ? std::optional(memory->count / 4096) : std::nullopt;
    }
};

void bind(config::Map& map, IdleExit& row);
void bind(config::Map& map, IdleCost& row);
void bind(config::Map& map, SizeCost& point);
void bind(config::Map& map, VfsCosts& costs);
void bind(config::Map& map, LibraryCosts& costs);
void bind(config::Map& map, LowerCosts& costs);
void bind(config::Map& map, UringCosts& costs);
void bind(config::Map& map, Costs& costs);
void bind(config::Map& map, CfsConfig& scheduler);
void bind(config::Map& map, SchedulerConfig& scheduler);
void bind(config::Map& map, Interruption& row);
void bind(config::Map& map, HostProfile& profile);

}  // namespace fusesim::host
