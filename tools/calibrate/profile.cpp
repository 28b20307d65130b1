#include "profile.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>

namespace fusesim::calibrate {

namespace {

/// Three significant digits, in a unit that keeps them readable.
std::string time_text(double ns) {
    if (ns < 0) {
        ns = 0;  // a difference of two larger numbers, lost in their spread
    }
    const auto digits = [](double value) {
        return fmt::format("{:.{}f}", value, value < 10 ? 2 : value < 100 ? 1 : 0);
    };
    if (ns < 1e3) {
        return digits(ns) + " ns";
    }
    return ns < 1e6 ? digits(ns * 1e-3) + " us" : digits(ns * 1e-6) + " ms";
}

std::string list_text(const std::vector<double>& times) {
    std::string out;
    for (const double ns : times) {
        out += (out.empty() ? "" : ", ") + time_text(ns);
    }
    return "[" + out + "]";
}

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line.empty() ? "unknown" : line;
}

/// Whether sessions share a core as groups; the kernel's own default where it does not tell.
bool autogroups() {
    return first_line("/proc/sys/kernel/sched_autogroup_enabled") != "0";
}

std::string processor() {
    std::ifstream file("/proc/cpuinfo");
    std::string line;
    while (std::getline(file, line)) {
        if (line.rfind("model name", 0) == 0) {
            return line.substr(line.find(':') + 2);
        }
    }
    return "unknown";
}

bool is_guest() {
    std::ifstream file("/proc/cpuinfo");
    std::string word;
    while (file >> word) {
        if (word == "hypervisor") {
            return true;
        }
    }
    return false;
}

std::string today() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

std::string header(const Profile& profile, const std::string& command, const std::string& version) {
    utsname system{};
    uname(&system);
    const std::string kernel = system.release;
    const std::string idle = "/sys/devices/system/cpu/cpuidle/";
    std::string out = "schema_version: 1\n";
    out += fmt::format("name: \"{}-core {}, kernel {}\"\n",
                       profile.cores.size(),
                       is_guest() ? "virtual machine" : "machine",
                       kernel.substr(0, kernel.find('.', kernel.find('.') + 1)));
    out += "provenance:\n";
    out +=
        fmt::format("  date: {}\n  kernel: \"{}\"\n  cpu: \"{}\"\n", today(), kernel, processor());
    out += fmt::format("  governor: {}\n", first_line(idle + "current_governor"));
    out += fmt::format("  command: \"{}\"\n  fusesim: {}\n", command, version);
    return out;
}

/// What the numbers are, for whoever reads the file.
const char* const notes =
    "  notes: |\n"
    "    context_switch is between two processes that stay runnable; block is what going to\n"
    "    sleep and coming back adds to it.\n"
    "    idle_exit is from the call that wakes to the woken one running; wake_cross_core, what\n"
    "    that call costs its caller, passes meanwhile. It is the mean after 10 to 200 us of\n"
    "    idling; wake_cross_core_by_idle has the rest. cold_start is what the first one or two\n"
    "    microseconds of work on a core that had idled took longer than usual (median).\n"
    "    The last of each eleven quantiles stands for the mean of the last tenth without its\n"
    "    slowest 5 %, so that straight lines between the quantiles give the measured mean.\n"
    "    fuse_submit contains the least that any call has in the VFS, and fuse_resume the part\n"
    "    of a sleeping read(2) of /dev/fuse before it sleeps; the part after it counts as\n"
    "    fuse_read, measured on requests that waited already. These cannot be told apart from\n"
    "    outside the kernel. What a call has beyond them is in getattr, direct_read and\n"
    "    direct_write. fuse_page and fuse_page_write were solved from calls of 4 and 128 KiB\n"
    "    with direct_io.\n"
    "    copy is a copy of pages in four KiB pieces in user mode, through 256 KiB. What lies in\n"
    "    the page cache was measured on 256 KiB of it. memory is what reading one cached page\n"
    "    costs more where so much is read in no order; memory_run, each further page of 32 in a\n"
    "    row; memory_share, what of it a file system below has, read from 32 MiB.\n"
    "    vfs is what whole calls on nullfs have beyond their requests, daemon and caller on one\n"
    "    core and neither preempting, of new names in long series; lower, whole calls from a warm\n"
    "    page cache. *_blocked is elapsed less CPU time of one sync after one write of 4 KiB.\n"
    "    interruptions were measured on a core that computed; means contain none, and nothing was\n"
    "    measured while the machine was slower than at its best (the other half of a physical\n"
    "    core is busy, say).\n";

struct Line {
    const char* key;
    const char* comment;
};

constexpr Line scheduler_lines[] = {
    {"syscall", "entry and exit of an empty call"},
    {"context_switch", "one process to another on one core, caches warm"},
    {"context_switch_thread", "the same within one address space"},
    {"block", "extra of going to sleep and coming back"},
    {"wake_same_core", "time the waker spends waking a thread on its own core"},
    {"wake_cross_core", "... on another, idle core"},
    {"thread_create", "pthread_create() for its caller"},
};

constexpr Line fuse_lines[] = {
    {"page_cache_page", "extra per page from a page cache beyond the core's"},
    {"fuse_submit", "caller: VFS entry to request on pending"},
    {"fuse_read", "daemon: fixed part of read(2) of /dev/fuse"},
    {"fuse_reply", "daemon: fixed part of writev(2) of the reply"},
    {"fuse_reply_args", "  of one that is more than a header, beyond its copy"},
    {"fuse_resume", "caller: running again to return to user"},
    {"fuse_page", "extra per 4 KiB page of payload beyond copy, of which"},
    {"fuse_page_submit", "  caller, before it sleeps"},
    {"fuse_page_reply", "  daemon, in its reply"},
    {"fuse_page_resume", "  caller, after it woke"},
    {"fuse_page_write", "the same for a page that is written"},
    {"getattr", "caller: what fstat has beyond submit and resume"},
    {"direct_read", "caller: ... a direct read call"},
    {"direct_write", "caller: ... a direct write call"},
    {"odirect_read", "caller: ... a read call with O_DIRECT, without direct_io"},
    {"write_through", "caller: a pwrite into the page cache, written through"},
    {"write_through_page", "  per page, beyond two copies; replaces fuse_page_write"},
    {"cached_write", "caller: a pwrite into the page cache, writeback mode"},
    {"cached_write_page", "  per page in the cache, beyond copy"},
    {"cached_write_new_page", "  per page that is not"},
    {"dirty_page", "  per page that is in the cache, but clean, more"},
    {"dirty_file", "  into a file without dirty pages, more"},
    {"writeback_page", "per page sent by fsync; replaces fuse_page_write"},
    {"drop_page", "per clean page dropped by posix_fadvise"},
    {"cached_read", "caller: a pread from the page cache, fixed"},
    {"buffered_read", "  of missing pages, more"},
    {"readahead_page", "  per page, beyond copy; replaces fuse_page"},
    {"libfuse_request", "libfuse and nullfs in user mode per request (GETATTR)"},
    {"libfuse_loop", "  of that, after the reply"},
    {"libfuse_mt", "extra per request in the multi-threaded loop"},
    {"recorder_queue", "what recording adds until the daemon has a request"},
    {"recorder_processing", "... until it replies"},
    {"recorder_reply", "... until the caller runs again"},
};

std::string cost_line(const Profile& profile, const Line& line) {
    const auto found = profile.costs.find(line.key);
    if (found == profile.costs.end()) {
        return "";
    }
    const std::string text = std::string(line.key) + ": " + time_text(found->second.value);
    return fmt::format("  {:34} # {}\n", text, line.comment);
}

constexpr Line vfs_lines[] = {
    {"cached_lookup", "fstatat: nothing, the name is known"},
    {"lookup", "fstatat: LOOKUP"},
    {"lookup_missing", "  of a name that does not exist"},
    {"open", "openat: OPEN"},
    {"close", "close: FLUSH, and RELEASE queued"},
    {"create", "openat: LOOKUP, CREATE"},
    {"unlink", "unlinkat: UNLINK, and FORGET queued"},
    {"mkdir", "mkdirat: LOOKUP, MKDIR"},
    {"rmdir", "unlinkat: RMDIR, and FORGET queued"},
    {"opendir", "openat: OPENDIR"},
    {"closedir", "close: RELEASEDIR queued"},
    {"readdir", "getdents64: READDIR, fixed"},
    {"readdir_entry", "  per entry"},
    {"readdirplus_entry", "  per entry of a READDIRPLUS, known already"},
    {"fsync", "fsync of a clean file: FSYNC"},
    {"reclaim", "an unused inode and its name are given up: FORGET queued"},
    {"passthrough_read", "pread below the daemon, beyond the file's own"},
    {"passthrough_write", "pwrite likewise"},
};

constexpr Line uring_lines[] = {
    {"dispatch", "to the ring's thread; in place of fuse_read"},
    {"commit", "of a reply, fixed; in place of fuse_reply"},
    {"daemon", "uringfs in user mode; in place of libfuse_request"},
    {"page_reply", "in place of fuse_page_reply"},
    {"page_write", "in place of fuse_page_write"},
};

constexpr Line library_lines[] = {
    {"lookup", "LOOKUP"},
    {"lookup_missing", "  of a name that does not exist"},
    {"forget", "FORGET"},
    {"getattr", "GETATTR"},
    {"setattr", "SETATTR"},
    {"mkdir", "MKDIR"},
    {"unlink", "UNLINK"},
    {"rmdir", "RMDIR"},
    {"open", "OPEN"},
    {"read", "READ"},
    {"write", "WRITE"},
    {"release", "RELEASE"},
    {"fsync", "FSYNC"},
    {"flush", "FLUSH"},
    {"opendir", "OPENDIR, fixed"},
    {"opendir_entry", "  per entry: nullfs makes a list of its own"},
    {"readdir", "READDIR, fixed"},
    {"readdir_entry", "  per entry"},
    {"readdirplus_entry", "  per entry of READDIRPLUS"},
    {"releasedir", "RELEASEDIR"},
    {"create", "CREATE"},
};

constexpr Line lower_lines[] = {
    {"lookup", "openat with O_PATH of a name that exists"},
    {"lookup_missing", "  of one that does not"},
    {"stat", "fstatat with AT_EMPTY_PATH"},
    {"open", "open through /proc/self/fd"},
    {"create", "openat with O_CREAT and O_EXCL"},
    {"close", "close of an open file"},
    {"utimens", "utimensat through /proc/self/fd"},
    {"close_path", "  of an O_PATH descriptor"},
    {"close_unlinked", "  of the last one of an unlinked file"},
    {"unlink", "unlinkat while a descriptor is held"},
    {"mkdir", "mkdirat"},
    {"rmdir", "unlinkat while a descriptor is held"},
    {"opendir", "openat of a directory"},
    {"readdir", "getdents64, fixed"},
    {"readdir_entry", "  per entry"},
    {"fsync", "on a core, after a write of 4 KiB"},
    {"fdatasync", "  likewise"},
};

template <std::size_t n>
std::string table_text(const std::map<std::string, Figure>& costs,
                       const Line (&lines)[n],
                       const std::string& indent) {
    std::string out;
    for (const Line& line : lines) {
        const auto found = costs.find(line.key);
        if (found != costs.end()) {
            const std::string text = std::string(line.key) + ": " + time_text(found->second.value);
            out += fmt::format("{}{:32} # {}\n", indent, text, line.comment);
        }
    }
    return out;
}

std::string sizes_text(const char* name,
                       const std::vector<std::pair<std::size_t, Figure>>& sizes,
                       const std::string& indent) {
    std::string out = sizes.empty() ? "" : indent + name + ":\n";
    for (const auto& [size, figure] : sizes) {
        out += fmt::format("{}  - {{size: {}, time: {}}}\n", indent, size, time_text(figure.value));
    }
    return out;
}

std::string lower_text(const std::map<std::string, LowerProfile>& lower) {
    const std::string indent = "      ";
    std::string out = "  lower:                             # whole calls, as stackfs makes them\n";
    for (const auto& [name, costs] : lower) {
        out += fmt::format("    {}:\n", name) + table_text(costs.calls, lower_lines, indent);
        if (!costs.fsync_blocked.empty()) {
            out += indent + "fsync_blocked: " + list_text(costs.fsync_blocked) + "\n";
        }
        if (!costs.fdatasync_blocked.empty()) {
            out += indent + "fdatasync_blocked: " + list_text(costs.fdatasync_blocked) + "\n";
        }
        out += fmt::format("{}memory_share: {:.2f}\n", indent, costs.memory_share);
        out += sizes_text("read", costs.read, indent);
        out += sizes_text("write", costs.write, indent);
    }
    return out;
}

std::string gaps_text(const Profile& profile, std::vector<double> IdleGap::*which) {
    std::string out;
    for (const IdleGap& gap : profile.idle_exit) {
        out += fmt::format(
            "    - {{idle: {}, quantiles: {}}}\n", time_text(gap.idle), list_text(gap.*which));
    }
    return out;
}

/// Whether a second core was there to wake the first.
bool wakes_are_across(const Profile& profile) {
    return !profile.idle_exit.empty() && !profile.idle_exit.front().waker.empty();
}

std::string costs_text(const Profile& profile) {
    std::string out = "costs:\n";
    for (const Line& line : scheduler_lines) {
        out += cost_line(profile, line);
    }
    if (!profile.idle_exit.empty()) {
        out +=
            "  # from the wake-up call to the woken thread running, by how long its core had\n"
            "  # idled: p0, p10 .. p100\n  idle_exit:\n";
        out += gaps_text(profile, &IdleGap::running);
    }
    if (wakes_are_across(profile)) {
        out += "  wake_cross_core_by_idle:\n";
        out += gaps_text(profile, &IdleGap::waker);
        out +=
            "  # from the time that a timer was set to, to the thread running, by how long its "
            "core\n"
            "  # had idled\n  idle_exit_timer:\n";
        out += gaps_text(profile, &IdleGap::timed);
        out += "  cold_start:\n";
        for (const IdleGap& gap : profile.idle_exit) {
            out += fmt::format(
                "    - {{idle: {}, time: {}}}\n", time_text(gap.idle), time_text(gap.cold));
        }
    }
    out += sizes_text("copy", profile.copies, "  ");
    out += "  # extra per page of data, by how much is used in turns\n";
    out += sizes_text("memory", profile.memory, "  ");
    out += sizes_text("memory_run", profile.memory_run, "  ");
    for (const Line& line : fuse_lines) {
        out += cost_line(profile, line);
    }
    if (!profile.uring.empty()) {
        out += "  uring:                             # requests through io_uring\n";
        out += table_text(profile.uring, uring_lines, "    ");
    }
    if (!profile.vfs.empty()) {
        out += "  vfs:                               # callers, beyond submit and resume\n";
        out += table_text(profile.vfs, vfs_lines, "    ");
    }
    if (!profile.library.empty()) {
        out += "  library:                           # libfuse and nullfs, by request\n";
        out += table_text(profile.library, library_lines, "    ");
    }
    return profile.lower.empty() ? out : out + lower_text(profile.lower);
}

std::string percent(double ratio) {
    return fmt::format("{:.1f} %", ratio * 100);
}

std::string spread_text(const Profile& profile) {
    std::string out =
        "spread:                              # half the range of the middle repeats\n";
    for (const auto& [key, figure] : profile.costs) {
        out += fmt::format("  {}: {}\n", key, percent(figure.spread));
    }
    for (const auto& [key, figure] : profile.uring) {
        out += fmt::format("  uring.{}: {}\n", key, percent(figure.spread));
    }
    for (const auto& [key, figure] : profile.vfs) {
        out += fmt::format("  vfs.{}: {}\n", key, percent(figure.spread));
    }
    for (const auto& [name, costs] : profile.lower) {
        for (const auto& [key, figure] : costs.calls) {
            out += fmt::format("  lower.{}.{}: {}\n", name, key, percent(figure.spread));
        }
    }
    double idle = 0;
    for (const IdleGap& gap : profile.idle_exit) {
        idle = std::max(idle, gap.spread);
    }
    if (!profile.idle_exit.empty()) {
        out += fmt::format("  idle_exit: {}\n", percent(idle));
    }
    double copy = 0;
    for (const auto& [size, figure] : profile.copies) {
        copy = std::max(copy, figure.spread);
    }
    out += fmt::format("  copy: {}\n", percent(copy));
    if (wakes_are_across(profile)) {
        out += fmt::format(
            "# placements beside the waker though the other core had long been idle: {:.0f} %\n",
            profile.stayed * 100);
        out +=
            "# share of woken threads that went back to their idle core while the waker was "
            "busy:\n";
        for (const IdleGap& gap : profile.idle_exit) {
            out += fmt::format("#   after {}: {:.0f} %\n", time_text(gap.idle), gap.returned * 100);
        }
    }
    return out;
}

/// For what the numbers hold, and how well they explain a whole request.
std::string validity_text(const Profile& profile) {
    std::string out;
    if (!profile.idle_exit.empty()) {
        out += fmt::format("idle times of {} to {}, ",
                           time_text(profile.idle_exit.front().idle),
                           time_text(profile.idle_exit.back().idle));
    }
    return fmt::format(
        "  repeats: \"{}, at an even pace {} or more of each number\"\n"
        "  valid_for: \"{}payloads up to {} bytes\"\n  check: \"sum of parts against "
        "the whole, one core: worst error {}\"\n",
        profile.repeats,
        profile.kept,
        out,
        profile.copies.back().first,
        percent(worst_error(profile)));
}

/// Whether a core that has long been idle is not taken for idle (a halted virtual one whose
/// processor the host has taken away), seen from woken threads that stay beside their waker; and up
/// to which idle time most woken threads still go back to their idle core.
std::string placement_text(const Profile& profile) {
    // Where idle cores are always found, next to none stay.
    constexpr double stray = 0.1;
    if (profile.stayed < stray) {
        return "";
    }
    double safe = 0;
    for (const IdleGap& gap : profile.idle_exit) {
        if (gap.returned < 0.5) {
            break;
        }
        safe = gap.idle;
    }
    return fmt::format(", halted_is_unavailable: true, halt_poll: {}", time_text(safe));
}

/// Whether a caller preempts the daemon that wakes it depends on what both have run, even where it
/// seldom happens.
std::string eevdf_text(const Profile& profile) {
    constexpr double seldom = 0.02;  // less is what interruptions do
    const double slice = profile.slice > 0 ? profile.slice : profile.turn;
    return fmt::format(
        "base_slice: {}, wakeup_preemption: {}", time_text(slice), profile.preempted > seldom);
}

std::string cfs_text(const Profile& profile) {
    return fmt::format(
        "fair: cfs, cfs: {{latency: {}, min_granularity: {}, wakeup_granularity: {}, skipped: "
        "{}}}, "
        "wakeup_preemption: true",
        time_text(profile.cfs.latency),
        time_text(profile.cfs.min_granularity),
        time_text(profile.cfs.wakeup_granularity),
        time_text(profile.cfs.skipped));
}

}  // namespace

std::string profile_yaml(const Profile& profile,
                         const std::string& command,
                         const std::string& version) {
    std::string out = header(profile, command, version) + validity_text(profile) + notes;
    out += fmt::format("cores: {}\n", profile.cores.size());
    out += fmt::format("scheduler: {{{}, turn: {}, sched_autogroup_enabled: {}{}{}}}\n",
                       profile.cfs.latency > 0 ? cfs_text(profile) : eevdf_text(profile),
                       time_text(profile.turn),
                       autogroups(),
                       profile.preemption == "voluntary" ? ", preemption: voluntary" : "",
                       placement_text(profile));
    out += "# what takes time away from a busy core: how often, and how long\ninterruptions:";
    out += profile.interruptions.empty() ? " []\n" : "\n";
    for (const Interruption& one : profile.interruptions) {
        out += fmt::format(
            "  - {{interval: {}, time: {}}}\n", time_text(one.interval), time_text(one.time));
    }
    return out + costs_text(profile) + spread_text(profile);
}

std::string check_table(const Profile& profile) {
    std::string out = fmt::format(
        "{:14} {:>10} {:>8} {:>10} {:>7}\n", "call", "measured", "spread", "sum of parts", "error");
    for (const Check& row : profile.checks) {
        out += fmt::format("{:14} {:>10} {:>8} {:>12} {:>+6.1f} %\n",
                           row.call,
                           time_text(row.measured.value),
                           percent(row.measured.spread),
                           time_text(row.predicted),
                           row.error * 100);
    }
    return out;
}

double worst_error(const Profile& profile) {
    double worst = 0;
    for (const Check& row : profile.checks) {
        worst = std::max(worst, std::abs(row.error));
    }
    return worst;
}

}  // namespace fusesim::calibrate
