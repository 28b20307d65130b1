#include "ladder.h"

#include "bench.h"
#include "copy.h"
#include "fuse_costs.h"
#include "library.h"
#include "lower.h"
#include "null_mount.h"
#include "passthrough.h"
#include "ring.h"
#include "vfs.h"
#include "wake.h"

#include <fmt/format.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <numeric>

namespace fusesim::calibrate {

namespace {

using Kind = Call::Kind;

constexpr std::size_t copy_sizes[] = {64, 512, 4096, 16384, 65536, 131072, 1048576};
constexpr double idle_gaps_ns[] = {2e3, 5e3, 10e3, 20e3, 50e3, 100e3, 200e3, 500e3, 1e6, 2e6, 5e6};
constexpr std::size_t small_size = page;
constexpr std::size_t large_size = 32 * page;

/// Names and values of one repeat.
using Values = std::map<std::string, double>;

/// Mounts of one repeat, new each time: which physical pages their buffers get makes a difference
/// of some percent. Batch daemons are never preempted by the caller they
/// wake, so that each piece of a request shows by itself.
struct Mounts {
    Mounts(const Plan& plan, const std::filesystem::path& directory, int core) {
        NullMount::Setup setup;
        setup.daemon = plan.daemon;
        setup.directory = directory;
        setup.core = core;
        plain = std::make_unique<NullMount>(setup);
        setup.stamped = true;
        stamped = std::make_unique<NullMount>(setup);
        setup.policy = SCHED_BATCH;
        batch = std::make_unique<NullMount>(setup);
        setup.stamped = false;
        unstamped = std::make_unique<NullMount>(setup);
        setup.policy = SCHED_IDLE;
        idle = std::make_unique<NullMount>(setup);
        setup.policy = SCHED_BATCH;
        setup.stamped = true;
        setup.multi_threaded = true;
        batch_threads = std::make_unique<NullMount>(setup);
        vfs = std::make_unique<VfsMounts>(plan.daemon, directory, core);
        if (!plan.ring.empty()) {
            ring = std::make_unique<RingMount>(plan.ring, directory, core);
        }
        if (!plan.stack.empty()) {
            passthrough = std::make_unique<PassthroughMount>(plan.stack, directory, core);
        }
    }

    std::unique_ptr<NullMount> plain;
    std::unique_ptr<NullMount> stamped;
    std::unique_ptr<NullMount> batch;
    std::unique_ptr<NullMount> batch_threads;
    std::unique_ptr<NullMount> unstamped;  ///< a batch daemon
    std::unique_ptr<NullMount> idle;       ///< is preempted by every caller it wakes
    std::unique_ptr<VfsMounts> vfs;
    std::unique_ptr<RingMount> ring;                ///< null: not measured
    std::unique_ptr<PassthroughMount> passthrough;  ///< null: not measured
};

double copy_of(const Values& values, std::size_t size) {
    return size == 0 ? 0 : values.at("copy " + std::to_string(size));
}

/// The pieces of one repeat, all of batch tasks.
struct AllPieces {
    Pieces getattr;
    Pieces fsync;
    Pieces small_read;
    Pieces large_read;
    Pieces small_write;
    Pieces large_write;
    Pieces threads;  ///< getattr with a multi-threaded daemon
};

struct PieceField {
    const char* name;
    double Pieces::*member;
};

constexpr PieceField piece_fields[] = {{"whole", &Pieces::whole},
                                       {"go", &Pieces::go},
                                       {"library", &Pieces::library},
                                       {"reply", &Pieces::reply},
                                       {"loop", &Pieces::loop},
                                       {"back", &Pieces::back},
                                       {"ready_read", &Pieces::ready_read}};

struct NamedPieces {
    const char* name;
    Pieces AllPieces::*member;
};

constexpr NamedPieces all_pieces[] = {{"getattr", &AllPieces::getattr},
                                      {"fsync", &AllPieces::fsync},
                                      {"small_read", &AllPieces::small_read},
                                      {"large_read", &AllPieces::large_read},
                                      {"small_write", &AllPieces::small_write},
                                      {"large_write", &AllPieces::large_write},
                                      {"threads", &AllPieces::threads}};

std::string piece_key(const NamedPieces& pieces, const PieceField& field) {
    return std::string("piece ") + pieces.name + " " + field.name;
}

void put(Values& v, const NamedPieces& name, const Pieces& pieces) {
    for (const PieceField& field : piece_fields) {
        v[piece_key(name, field)] = pieces.*field.member;
    }
}

AllPieces pieces_in(const Values& v) {
    AllPieces all;
    for (const NamedPieces& pieces : all_pieces) {
        for (const PieceField& field : piece_fields) {
            (all.*pieces.member).*field.member = v.at(piece_key(pieces, field));
        }
    }
    return all;
}

const std::string time_key = "time ";

void put(Values& v, const Times& times) {
    for (const auto& [name, time] : times) {
        v[time_key + name] = time;
    }
}

Times times_in(const Values& v) {
    Times times;
    for (const auto& [name, value] : v) {
        if (name.compare(0, time_key.size(), time_key) == 0) {
            times[name.substr(time_key.size())] = value;
        }
    }
    return times;
}

/// Nanoseconds that each further page adds to a piece.
double per_page(double Pieces::*piece, const Pieces& large, const Pieces& small) {
    return (large.*piece - small.*piece) / (static_cast<double>(large_size - small_size) / page);
}

/// Nanoseconds that the copy of each further page takes.
double copy_per_page(const Values& v) {
    return (copy_of(v, large_size) - copy_of(v, small_size)) /
           (static_cast<double>(large_size - small_size) / page);
}

/// What a page costs beyond its copy, of reads and writes.
void solve_pages(Values& v, const AllPieces& of) {
    const double copy = copy_per_page(v);
    v["fuse_page_submit"] = per_page(&Pieces::go, of.large_read, of.small_read);
    v["fuse_page_reply"] = per_page(&Pieces::reply, of.large_read, of.small_read) - copy;
    v["fuse_page_resume"] = per_page(&Pieces::back, of.large_read, of.small_read);
    v["fuse_page"] = v["fuse_page_submit"] + v["fuse_page_reply"] + v["fuse_page_resume"];
    v["fuse_page_write"] = per_page(&Pieces::whole, of.large_write, of.small_write) - copy;
}

/// Splits the pieces of single calls into the costs of the profile.
void solve(Values& v, const AllPieces& of) {
    solve_pages(v, of);
    const double stamp = stamp_ns();
    const double call = v.at("syscall");
    const double wake = v.at("wake_same_core");
    const Pieces& getattr = of.getattr;
    // A daemon that its caller preempts is spared one sleep and one wake-up.
    v["block"] = v.at("asleep") - v.at("awake") - wake;
    const double away = v.at("context_switch") + v.at("block");
    v["fuse_read"] = getattr.ready_read - call - stamp;
    // A reply is a header, and mostly something behind it.
    v["fuse_reply"] = of.fsync.reply - call - wake - stamp;
    v["fuse_reply_args"] = getattr.reply - of.fsync.reply;
    v["libfuse_request"] = v.at("library getattr");
    v["libfuse_loop"] = v.at("library loop");
    v["libfuse_mt"] = of.threads.library + of.threads.loop - getattr.library - getattr.loop;

    // The cheapest way in and the cheapest way out of the file system are FUSE's own; what a
    // call has beyond them is its own.
    const double go = std::min({getattr.go, of.fsync.go, of.small_read.go - v["fuse_page_submit"]});
    const double back =
        std::min({getattr.back, of.fsync.back, of.small_read.back - v["fuse_page_resume"]});
    v["fuse_submit"] = go - call - wake - away - v["fuse_read"] - stamp;
    v["fuse_resume"] = back - call - away - stamp;
}

const std::string library_key = "library ";

/// A request by what the library has to do for it, and whether its reply is more than a header
/// (data that are read count as pages).
struct Asked {
    const char* library;
    bool args;
};

constexpr Asked asked_getattr{"getattr", true};
constexpr Asked asked_read{"read", false};
constexpr Asked asked_write{"write", true};
constexpr Asked asked_fsync{"fsync", false};

/// What the daemon spends on a request from having read it until it reads again.
double served(const Values& v, const Asked& asked) {
    return v.at(library_key + asked.library) + v.at("syscall") + v.at("fuse_reply") +
           (asked.args ? v.at("fuse_reply_args") : 0);
}

/// A call of one request on the daemon's core, without what the call itself is. Caller and daemon
/// both go to sleep once, unless one of them preempted the other.
double round_trip(const Values& v, const Asked& asked, double sleeps = 2) {
    return 2 * v.at("syscall") + sleeps * (v.at("wake_same_core") + v.at("block")) +
           2 * v.at("context_switch") + v.at("fuse_submit") + v.at("fuse_read") + served(v, asked) +
           v.at("fuse_resume");
}

/// What the recorder makes of a request's phases, beyond what they are without it: GETATTR, the
/// daemon asleep before it and its caller until the daemon is asleep again.
void solve_recorder(Values& v) {
    const double away = v.at("context_switch") + v.at("block");
    const double wake = v.at("wake_same_core");
    const double library = v.at(library_key + "getattr") - v.at("libfuse_loop");
    const double queue = wake + away + v.at("fuse_read") + copy_of(v, 64);
    const double reply = wake + away + v.at("fuse_reply") + v.at("fuse_reply_args") +
                         copy_of(v, 64) + v.at("libfuse_loop") + 2 * v.at("syscall");
    v["recorder_queue"] = v.at("recorded queue") - queue;
    v["recorder_processing"] = v.at("recorded processing") - library;
    v["recorder_reply"] = v.at("recorded reply") - reply;
}

/// What calls on names have beyond their requests, all of batch tasks. A request that nobody
/// waits for wakes the daemon, which serves it before the next one and so within the next call.
void solve_vfs(Values& v, const Times& whole) {
    const double call = v.at("syscall");
    const double wake = v.at("wake_same_core");
    const auto request = [&](const char* library, bool args) {
        return round_trip(v, {library, args});
    };
    const auto unawaited = [&](const char* library) {
        return call - wake + v.at("fuse_read") + served(v, {library, false});
    };
    const double forget = call - wake + v.at("fuse_read") + v.at(library_key + "forget");
    const double missing = request("lookup_missing", false);
    v["vfs cached_lookup"] = whole.at("cached_lookup") - call;
    v["vfs reclaim"] = whole.at("reclaim");
    v["vfs lookup"] = whole.at("lookup") - request("lookup", true);
    v["vfs lookup_missing"] = whole.at("lookup_missing") - missing;
    v["vfs open"] = whole.at("open") - request("open", true) - unawaited("release");
    v["vfs close"] = whole.at("close") - request("flush", false) - wake;
    v["vfs create"] = whole.at("create") - missing - request("create", true) + call - forget;
    v["vfs unlink"] = whole.at("unlink") - request("unlink", false) - unawaited("release") - wake;
    v["vfs mkdir"] = whole.at("mkdir") - missing - request("mkdir", true) + call - forget;
    v["vfs rmdir"] = whole.at("rmdir") - request("rmdir", false) - wake;
    const double opened = v.at(library_key + "opendir_entry") * VfsMounts::listed_entries;
    v["vfs opendir"] =
        whole.at("opendir") - request("opendir", true) - opened - unawaited("releasedir");
    v["vfs closedir"] = whole.at("closedir") - call - wake;
    v["vfs readdir"] = whole.at("readdir") - request("readdir", false);
    const auto entries = [&](const char* list, const char* library) {
        const double one = v.at(library_key + library);
        const double beyond = whole.at(list) - whole.at("readdir") - v.at("fuse_reply_args");
        return beyond / whole.at(std::string(list) + " entries") - one;
    };
    v["vfs readdir_entry"] = entries("list", "readdir_entry");
    v["vfs readdirplus_entry"] = entries("list_plus", "readdirplus_entry");
}

/// What pages cost on their way through the page cache.
void solve_cache(Values& v, const Times& whole) {
    const std::string small = " " + std::to_string(VfsMounts::small_pages);
    const std::string large = " " + std::to_string(VfsMounts::large_pages);
    const auto pages = static_cast<double>(VfsMounts::large_pages - VfsMounts::small_pages);
    const double copy =
        (copy_of(v, VfsMounts::large_pages * page) - copy_of(v, VfsMounts::small_pages * page)) /
        pages;
    const auto slope = [&](const std::string& what) {
        return (whole.at(what + large) - whole.at(what + small)) / pages;
    };
    v["cached_write_page"] = slope("rewrite") - copy;
    v["cached_write"] =
        whole.at("rewrite" + small) - v.at("syscall") - v["cached_write_page"] - copy_of(v, page);
    v["cached_write_new_page"] = slope("write") - copy;
    v["dirty_page"] = slope("write_clean") - slope("rewrite");
    v["dirty_file"] =
        whole.at("write_clean" + small) - whole.at("rewrite" + small) - v["dirty_page"];
    v["writeback_page"] = slope("write_back") - copy;
    v["drop_page"] = whole.at("drop");
    const double request = round_trip(v, asked_read);
    const double two_copies = 2 * copy_of(v, page);
    v["page_cache_page"] = slope("hit") - copy;
    v["cached_read"] =
        whole.at("hit" + small) - v.at("syscall") - v["page_cache_page"] - copy_of(v, page);
    v["readahead_page"] = slope("read") - v["page_cache_page"] - 2 * copy;
    v["buffered_read"] = whole.at("read" + small) - request - v["cached_read"] -
                         v["readahead_page"] - v["page_cache_page"] - two_copies;
    v["write_through_page"] = slope("write_through") - 2 * copy;
    v["write_through"] = whole.at("write_through" + small) - round_trip(v, asked_write) -
                         v["write_through_page"] - two_copies;
    v["odirect_read"] = whole.at("odirect") - request - v.at("fuse_page") - copy_of(v, page);
}

const Asked& asked(Kind kind) {
    switch (kind) {
        case Kind::getattr:
            return asked_getattr;
        case Kind::read:
            return asked_read;
        case Kind::write:
            return asked_write;
        default:
            return asked_fsync;
    }
}

/// The parts of a call that are not its own, on the daemon's core.
double shared_parts(const Values& v, const Call& call, double sleeps) {
    const double sum = round_trip(v, asked(call.kind), sleeps) + copy_of(v, call.size);
    const double pages = static_cast<double>(call.size) / page;
    return sum + pages * (call.kind == Kind::write ? v.at("fuse_page_write") : v.at("fuse_page"));
}

const char* own_part(Kind kind) {
    switch (kind) {
        case Kind::getattr:
            return "getattr";
        case Kind::read:
            return "direct_read";
        case Kind::write:
            return "direct_write";
        default:
            return "vfs fsync";
    }
}

struct NamedCall {
    const char* name;
    Call call;
};

/// The first of each kind says what it has of its own; the others are predicted.
const NamedCall checked_calls[] = {{"getattr", {Kind::getattr, 0}},
                                   {"fsync", {Kind::fsync, 0}},
                                   {"read 4 KiB", {Kind::read, page}},
                                   {"read 16 KiB", {Kind::read, 4 * page}},
                                   {"read 64 KiB", {Kind::read, 16 * page}},
                                   {"read 128 KiB", {Kind::read, 32 * page}},
                                   {"write 4 KiB", {Kind::write, page}},
                                   {"write 16 KiB", {Kind::write, 4 * page}},
                                   {"write 64 KiB", {Kind::write, 16 * page}},
                                   {"write 128 KiB", {Kind::write, 32 * page}}};

/// What the ring costs in place of reads and writes of /dev/fuse.
void solve_uring(Values& v, const AllPieces& of) {
    if (v.find("ring getattr go") == v.end()) {
        return;
    }
    const ThroughDevFuse dev{of.getattr.go,
                             of.getattr.back,
                             v.at("fuse_read"),
                             v.at("wake_same_core"),
                             v.at("fuse_page_resume"),
                             copy_per_page(v),
                             append_cost()};
    for (const auto& [key, value] : solve_ring(v, dev)) {
        v["uring " + key] = value;
    }
}

/// Everything that follows from what was measured.
void explain(Values& v) {
    solve(v, pieces_in(v));
    solve_uring(v, pieces_in(v));
    const Times times = times_in(v);
    solve_vfs(v, times);
    solve_cache(v, times);
    if (v.count("recorded queue") != 0) {
        solve_recorder(v);
    }
    for (const char* const own : {"getattr", "direct_read", "direct_write", "vfs fsync"}) {
        v.erase(own);
    }
    for (const NamedCall& one : checked_calls) {
        const std::string name = one.name;
        const double shared = shared_parts(v, one.call, v.at("sleeps " + name));
        // A profile has no negative costs.
        const double own = std::max(0.0, v.at("measured " + name) - shared);
        v["predicted " + name] = shared + v.emplace(own_part(one.call.kind), own).first->second;
    }
}

const std::string pace_key = "pace of ";
const std::string memory_key = "memory ";
const std::string memory_run_key = "memory_run ";

/// Measures something and notes for all that it adds how fast the machine was meanwhile: an empty
/// call, before or after, whichever was slower.
template <typename Measure>
void at_pace(Values& v, Measure measure) {
    constexpr double seconds = 5e-4;
    Values fresh;
    const double before = measure_syscall(seconds);
    measure(fresh);
    const double pace = std::max(before, measure_syscall(seconds));
    for (const auto& [key, value] : fresh) {
        v[key] = value;
        v[pace_key + key] = pace;
    }
}

void measure_machine(Values& v, const Plan& plan, int core) {
    at_pace(v, [&](Values& out) {
        const SameCore same = measure_same_core(core, 4 * plan.seconds);
        out["syscall"] = same.syscall;
        out["context_switch"] = same.switch_process;
        out["context_switch_thread"] = same.switch_thread;
        out["wake_same_core"] = same.wake;
        out["thread_create"] = same.thread_create;
    });
    for (const std::size_t size : copy_sizes) {
        at_pace(v, [&](Values& out) {
            out["copy " + std::to_string(size)] = measure_user_copy(size, plan.seconds / 4);
        });
    }
}

/// Of batch tasks.
void measure_requests(Values& v,
                      const Plan& plan,
                      const Mounts& mounts,
                      const std::filesystem::path& directory,
                      int core) {
    const Policy batch(SCHED_BATCH);
    const Call calls[] = {{Kind::getattr, 0},
                          {Kind::fsync, 0},
                          {Kind::read, small_size},
                          {Kind::read, large_size},
                          {Kind::write, small_size},
                          {Kind::write, large_size},
                          {Kind::getattr, 0}};
    for (std::size_t i = 0; i < std::size(all_pieces); ++i) {
        const bool threads = all_pieces[i].member == &AllPieces::threads;
        at_pace(v, [&](Values& out) {
            put(out,
                all_pieces[i],
                measure_pieces(threads ? *mounts.batch_threads : *mounts.batch,
                               core,
                               calls[i],
                               2 * plan.seconds));
        });
    }
    if (mounts.ring != nullptr) {
        at_pace(v, [&](Values& out) { out = mounts.ring->measure(plan.seconds); });
    }
    at_pace(v, [&](Values& out) {
        const RoundTrip asleep =
            measure_round_trip(*mounts.unstamped, core, {Kind::fsync, 0}, plan.seconds);
        out["asleep"] = asleep.time;
        out["asleep cpu"] = asleep.daemon_cpu;
    });
    if (plan.record) {
        at_pace(v, [&](Values& out) {
            NullMount& mount = *mounts.unstamped;
            const RecordedPhases phases = plan.record(mount.device(), mount.daemon(), [&] {
                measure_round_trip(mount, core, {Kind::getattr, 0}, plan.seconds);
            });
            out["recorded queue"] = phases.queue;
            out["recorded processing"] = phases.processing;
            out["recorded reply"] = phases.reply;
        });
    }
    at_pace(v, [&](Values& out) {
        for (const auto& [name, time] :
             measure_library(plan.daemon, directory, core, plan.seconds / 4)) {
            out[library_key + name] = time;
        }
    });
    at_pace(v, [&](Values& out) { put(out, mounts.vfs->time_names(plan.seconds / 2)); });
    at_pace(v, [&](Values& out) { put(out, mounts.vfs->time_cache(plan.seconds / 2)); });
    if (mounts.passthrough != nullptr) {
        at_pace(v, [&](Values& out) {
            for (const auto& [name, time] : mounts.passthrough->measure(plan.seconds)) {
                out["vfs " + name] = time;
            }
        });
    }
    at_pace(v, [&](Values& out) {
        const auto rows = mounts.vfs->time_memory(plan.seconds / 2);
        for (const VfsMounts::Reads& row : rows) {
            const std::string bytes = std::to_string(row.pages * page);
            const double one = row.one - rows.front().one;
            out[memory_key + bytes] = one;
            out[memory_run_key + bytes] =
                (row.run - rows.front().run - one) / (VfsMounts::large_pages - 1);
        }
    });
}

Values measure_once(const Plan& plan,
                    const Mounts& mounts,
                    const std::filesystem::path& directory,
                    int core) {
    Values v;
    measure_machine(v, plan, core);
    measure_requests(v, plan, mounts, directory, core);
    at_pace(v, [&](Values& out) {
        const RoundTrip awake =
            measure_round_trip(*mounts.idle, core, {Kind::fsync, 0}, plan.seconds);
        out["awake"] = awake.time;
        out["awake cpu"] = awake.daemon_cpu;
    });
    at_pace(v, [&](Values& out) {
        out["preempted"] =
            1 - measure_pieces(*mounts.stamped, core, {Kind::getattr, 0}, plan.seconds).ordered;
    });
    for (const NamedCall& one : checked_calls) {
        at_pace(v, [&](Values& out) {
            const RoundTrip whole = measure_round_trip(*mounts.plain, core, one.call, plan.seconds);
            out[std::string("measured ") + one.name] = whole.time;
            out[std::string("sleeps ") + one.name] = whole.sleeps;
        });
    }
    return v;
}

std::vector<double> tenths(const std::vector<double>& values) {
    std::vector<double> out;
    for (int i = 0; i <= 10; ++i) {
        out.push_back(quantile(values, i / 10.0));
    }
    // Straight lines between the tenths shall give the right mean; the very last one would
    // draw it up, so the end is put where the mean of the last tenth wants it. The slowest
    // half percent are the host's doing (another guest ran) and count as the next one.
    const double most = quantile(values, 0.995);
    double sum = 0;
    std::size_t count = 0;
    for (const double value : values) {
        if (value >= out[9]) {
            sum += std::min(value, most);
            ++count;
        }
    }
    out[10] = std::max(out[9], 2 * sum / static_cast<double>(count) - out[9]);
    return out;
}

double average(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double trapezoid(const std::vector<double>& tenths_of) {
    double sum = 0;
    for (std::size_t i = 1; i < tenths_of.size(); ++i) {
        sum += (tenths_of[i - 1] + tenths_of[i]) / 2;
    }
    return sum / static_cast<double>(tenths_of.size() - 1);
}

/// Collects wake-ups of idle cores, repeat by repeat: across two cores in both directions in turn,
/// or of the only one.
class IdleCores {
  public:
    IdleCores() : gaps_(std::size(idle_gaps_ns)) {}

    /// On a machine with one core.
    void repeat_alone(const Plan& plan, int core) {
        for (std::size_t i = 0; i < gaps_.size(); ++i) {
            const CrossCore got = measure_timer(core, idle_gaps_ns[i], plan.wake_ups);
            append(gaps_[i].idle, got.idle);
            append(gaps_[i].running, got.running);
            gaps_[i].medians.push_back(median(got.running));
        }
    }

    void repeat(const Plan& plan, int from, int to) {
        for (std::size_t i = 0; i < gaps_.size(); ++i) {
            // Long gaps take time, short ones vary more between states of the idle core.
            const int samples = idle_gaps_ns[i] < 100e3 ? 4 * plan.wake_ups : plan.wake_ups;
            const CrossCore got = measure_cross_core(from, to, idle_gaps_ns[i], samples);
            append(gaps_[i].idle, got.idle);
            append(gaps_[i].running, got.running);
            append(gaps_[i].waker, got.waker);
            append(gaps_[i].cold, got.cold);
            gaps_[i].medians.push_back(median(got.running));
            append(gaps_[i].timed, measure_timer(from, idle_gaps_ns[i], plan.wake_ups).running);
            gaps_[i].returned.push_back(
                measure_return(from, to, idle_gaps_ns[i], plan.wake_ups / 4));
        }
    }

    void conclude(Profile& profile) const {
        std::vector<double> usual;
        for (std::size_t i = 0; i < gaps_.size(); ++i) {
            IdleGap out;
            out.idle = median(gaps_[i].idle);
            out.running = tenths(gaps_[i].running);
            out.mean = trapezoid(out.running);
            out.spread = agree(gaps_[i].medians).spread;
            if (gaps_[i].waker.empty()) {
                profile.idle_exit.push_back(out);
                continue;
            }
            out.waker = tenths(gaps_[i].waker);
            out.timed = tenths(gaps_[i].timed);
            out.cold = median(gaps_[i].cold);
            out.returned = average(gaps_[i].returned);
            if (idle_gaps_ns[i] >= 10e3 && idle_gaps_ns[i] <= 200e3) {
                usual.push_back(trapezoid(out.waker));
            }
            profile.idle_exit.push_back(out);
        }
        if (!usual.empty()) {
            profile.costs["wake_cross_core"] = agree(usual);
        }
    }

  private:
    struct Gap {
        std::vector<double> idle;
        std::vector<double> running;
        std::vector<double> waker;
        std::vector<double> timed;
        std::vector<double> cold;
        std::vector<double> medians;
        std::vector<double> returned;
    };

    static void append(std::vector<double>& to, const std::vector<double>& from) {
        to.insert(to.end(), from.begin(), from.end());
    }

    std::vector<Gap> gaps_;
};

/// Keys of Values for what belongs to one file system.
std::string lower_key(const std::string& filesystem, const std::string& what) {
    return "lower " + filesystem + " " + what;
}

std::string lower_key(const std::string& filesystem, const char* what, std::size_t size) {
    return lower_key(filesystem, what) + " " + std::to_string(size);
}

class EvenPace;

/// The file systems below, and how long their calls sleep.
class Below {
  public:
    /// Two places may be of one file system; it is measured once.
    void add(const std::filesystem::path& parent) {
        auto bench = std::make_unique<LowerBench>(parent);
        for (const One& one : all_) {
            if (one.bench->filesystem() == bench->filesystem()) {
                return;
            }
        }
        all_.push_back({std::move(bench), {}});
    }

    void repeat(Values& v, double seconds) {
        for (One& one : all_) {
            const std::string& name = one.bench->filesystem();
            LowerTimes got;
            at_pace(v, [&](Values& out) {
                got = one.bench->measure(seconds);
                for (const auto& [call, time] : got.calls) {
                    out[lower_key(name, call)] = time;
                }
                for (const auto& [size, time] : got.read) {
                    out[lower_key(name, "read", size)] = time;
                }
                out[lower_key(name, "far")] = got.far;
                for (const auto& [size, time] : got.write) {
                    out[lower_key(name, "write", size)] = time;
                }
            });
            append(one.seen.fsync_blocked, got.fsync_blocked);
            append(one.seen.fdatasync_blocked, got.fdatasync_blocked);
            one.seen.calls = got.calls;
            one.seen.read = got.read;
            one.seen.write = got.write;
        }
    }

    void conclude(const EvenPace& pace, Profile& profile) const;

  private:
    struct One {
        std::unique_ptr<LowerBench> bench;
        LowerTimes seen;  ///< the names and sizes, and all sleeps
    };

    static void append(std::vector<double>& to, const std::vector<double>& from) {
        to.insert(to.end(), from.begin(), from.end());
    }

    static std::vector<double> quantiles(const std::vector<double>& sleeps) {
        constexpr double awake = 2e3;  // the clocks' own cost, and preemption
        return median(sleeps) < awake ? std::vector<double>() : tenths(sleeps);
    }

    std::vector<One> all_;
};

/// What was measured, repeat by repeat, without what was measured while the machine was slower than
/// in its best quarter: a virtual core whose physical neighbour is busy does everything a third
/// slower for seconds, and differences of numbers taken at different paces mean nothing.
class EvenPace {
  public:
    explicit EvenPace(const std::vector<Values>& repeats) : repeats_(repeats) {
        std::vector<double> paces;
        for (const Values& one : repeats) {
            for (const auto& [key, value] : one) {
                if (is_pace(key)) {
                    paces.push_back(value);
                }
            }
        }
        usual_ = quantile(std::move(paces), 0.25);
    }

    /// What an empty call takes at the pace that counts, in nanoseconds.
    double usual() const { return usual_; }

    /// Whether it was measured, and not solved.
    bool has(const std::string& key) const {
        return repeats_.front().find(pace_key + key) != repeats_.front().end();
    }

    /// All repeats if none was fast enough.
    std::vector<double> column(const std::string& key) const {
        std::vector<double> kept;
        std::vector<double> all;
        for (const Values& one : repeats_) {
            all.push_back(one.at(key));
            if (counts(one.at(pace_key + key))) {
                kept.push_back(one.at(key));
            }
        }
        return kept.empty() ? all : kept;
    }

    std::vector<std::string> keys() const {
        std::vector<std::string> out;
        for (const auto& [key, unused] : repeats_.front()) {
            if (!is_pace(key)) {
                out.push_back(key);
            }
        }
        return out;
    }

    Values medians() const {
        Values out;
        for (const std::string& key : keys()) {
            out[key] = median(column(key));
        }
        return out;
    }

    /// The fewest repeats that any number is from.
    std::size_t fewest() const {
        std::size_t least = repeats_.size();
        for (const std::string& key : keys()) {
            least = std::min(least, column(key).size());
        }
        return least;
    }

    /// What follows from each repeat, all its parts at an even pace or replaced by their medians.
    std::vector<Values> explained() const {
        const Values typical = medians();
        std::vector<Values> out;
        for (Values one : repeats_) {
            for (const auto& [key, value] : typical) {
                double& mine = one.at(key);
                mine = counts(one.at(pace_key + key)) ? mine : value;
            }
            explain(one);
            out.push_back(std::move(one));
        }
        return out;
    }

  private:
    static bool is_pace(const std::string& key) {
        return key.compare(0, pace_key.size(), pace_key) == 0;
    }

    bool counts(double pace) const {
        constexpr double same = 1.08;
        return pace <= same * usual_;
    }

    const std::vector<Values>& repeats_;
    double usual_ = 0;
};

void Below::conclude(const EvenPace& pace, Profile& profile) const {
    for (const One& one : all_) {
        const std::string& name = one.bench->filesystem();
        LowerProfile& out = profile.lower[name];
        for (const auto& [call, unused] : one.seen.calls) {
            out.calls[call] = agree(pace.column(lower_key(name, call)));
        }
        for (const auto& [size, unused] : one.seen.read) {
            out.read.emplace_back(size, agree(pace.column(lower_key(name, "read", size))));
        }
        for (const auto& [size, unused] : one.seen.write) {
            out.write.emplace_back(size, agree(pace.column(lower_key(name, "write", size))));
        }
        out.far = agree(pace.column(lower_key(name, "far")));
        out.fsync_blocked = quantiles(one.seen.fsync_blocked);
        out.fdatasync_blocked = quantiles(one.seen.fdatasync_blocked);
    }
}

/// The kernel tells in debugfs, where that is mounted. Elsewhere they are its defaults, which grow
/// with the number of CPUs (kernel/sched/fair.c).
Cfs told_cfs() {
    utsname system{};
    unsigned major = 0;
    unsigned minor = 0;
    uname(&system);
    if (std::sscanf(system.release, "%u.%u", &major, &minor) != 2 || major > 6 ||
        (major == 6 && minor >= 6)) {
        return {};
    }
    const double scale = 1 + std::floor(std::log2(std::min(8.0, 1.0 * get_nprocs())));
    const auto told = [](const char* name, double usual) {
        std::ifstream file(std::string("/sys/kernel/debug/sched/") + name);
        double value = 0;
        return file >> value ? value : usual;
    };
    return {told("latency_ns", 6e6 * scale),
            told("min_granularity_ns", 0.75e6 * scale),
            told("wakeup_granularity_ns", 1e6 * scale)};
}

/// The word in parentheses among those that the kernel could be set to; it tells in debugfs.
std::string told_preemption() {
    std::ifstream file("/sys/kernel/debug/sched/preempt");
    for (std::string word; file >> word;) {
        if (word.front() == '(' && word.back() == ')') {
            return word.substr(1, word.size() - 2);
        }
    }
    return "";
}

/// All numbers of one kind, in order of the bytes in their keys.
std::vector<std::pair<std::size_t, Figure>> by_bytes(const Values& typical,
                                                     const EvenPace& pace,
                                                     const std::string& kind) {
    std::vector<std::pair<std::size_t, Figure>> rows;
    for (const auto& [key, unused] : typical) {
        if (key.compare(0, kind.size(), kind) == 0) {
            Figure figure = agree(pace.column(key));
            figure.value = std::max(0.0, figure.value);
            rows.emplace_back(std::stoul(key.substr(kind.size())), figure);
        }
    }
    std::sort(
        rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return rows;
}

double at_size(const std::vector<std::pair<std::size_t, Figure>>& rows, std::size_t bytes) {
    const auto found = std::find_if(
        rows.begin(), rows.end(), [bytes](const auto& row) { return row.first == bytes; });
    return found == rows.end() ? 0 : found->second.value;
}

double spread_of(const std::vector<Values>& repeats, const std::string& key) {
    std::vector<double> values;
    for (const Values& one : repeats) {
        values.push_back(one.at(key));
    }
    return agree(values).spread;
}

void conclude(const std::vector<Values>& repeats, const Below& below, Profile& profile) {
    const EvenPace pace(repeats);
    below.conclude(pace, profile);
    profile.repeats = repeats.size();
    profile.kept = pace.fewest();
    // Solved from the medians of what was measured: so the parts add up to the wholes, which the
    // medians of differences do not.
    Values typical = pace.medians();
    explain(typical);
    const std::vector<Values> each = pace.explained();
    const std::string vfs = "vfs ";
    const std::string uring = "uring ";
    for (const auto& [key, value] : typical) {
        const bool measured = pace.has(key);
        const Figure figure{value,
                            measured ? agree(pace.column(key)).spread : spread_of(each, key)};
        if (key.find(' ') == std::string::npos && key != "preempted" && key != "asleep" &&
            key != "awake") {
            profile.costs[key] = figure;
        }
        if (key.compare(0, vfs.size(), vfs) == 0) {
            profile.vfs[key.substr(vfs.size())] = figure;
        }
        if (key.compare(0, uring.size(), uring) == 0) {
            profile.uring[key.substr(uring.size())] = figure;
        }
        if (key.compare(0, library_key.size(), library_key) == 0) {
            profile.library[key.substr(library_key.size())] = figure;
        }
    }
    profile.memory = by_bytes(typical, pace, memory_key);
    profile.memory_run = by_bytes(typical, pace, memory_run_key);
    for (auto& [unused, lower] : profile.lower) {
        const double further =
            at_size(profile.memory_run, LowerBench::far_bytes) * (VfsMounts::large_pages - 1);
        const double own = lower.far.value - at_size(profile.memory, LowerBench::far_bytes);
        lower.memory_share = further > 0 ? std::clamp(own / further, 0.0, 10.0) : 1;
    }
    for (const std::size_t size : copy_sizes) {
        profile.copies.emplace_back(size, agree(pace.column("copy " + std::to_string(size))));
    }
    profile.preempted = typical.at("preempted");
    // A daemon that is preempted is spared its sleep, and the end of its wake-up call is counted as
    // the other one's.
    profile.cfs.skipped = typical.at("asleep cpu") - typical.at("awake cpu") - typical.at("block");
    for (const NamedCall& one : checked_calls) {
        const std::string name = one.name;
        Check check;
        check.call = name;
        check.measured = agree(pace.column("measured " + name));
        check.predicted = typical.at("predicted " + name);
        check.error = check.predicted / check.measured.value - 1;
        profile.checks.push_back(check);
    }
}

}  // namespace

/// What a ladder keeps between its repeats.
struct Ladder::State {
    explicit State(const Plan& the_plan) : plan(the_plan), directory(own_mounts.directory()) {
        below.add(directory);
        below.add("/var/tmp");
    }

    Plan plan;
    Profile found;  ///< what one look tells: cores, the scheduler, interruptions
    real::PrivateMounts own_mounts;
    std::filesystem::path directory;
    Below below;
    IdleCores idle;
    std::vector<double> stayed;
    std::vector<Values> repeats;
};

Ladder::Ladder(const Plan& plan) {
    if (plan.exact) {
        set_exact_clock();
    }
    Profile found;
    found.cores = usable_cores();
    const int home = found.cores.front();
    pin(home);
    found.interruptions = interruptions();
    found.slice = told_slice();
    found.cfs = told_cfs();
    found.preemption = told_preemption();
    found.turn = measure_turn(home, 3 * plan.seconds);
    pin(home);
    state_ = std::make_unique<State>(plan);
    state_->found = std::move(found);
    run_on(state_->found.cores);
}

Ladder::~Ladder() = default;

void Ladder::repeat(const Step& step) {
    const Plan& plan = state_->plan;
    const int home = state_->found.cores.front();
    const int other = state_->found.cores.back();
    step("one core");
    pin(home);
    {
        Mounts mounts(plan, state_->directory, home);
        state_->repeats.push_back(measure_once(plan, mounts, state_->directory, home));
    }
    state_->below.repeat(state_->repeats.back(), plan.seconds / 2);
    step(other != home ? "between cores" : "idle core");
    if (other == home) {
        state_->idle.repeat_alone(plan, home);
    } else {
        const bool there = state_->repeats.size() % 2 == 1;
        state_->stayed.push_back(measure_stay(home, other, plan.seconds));
        state_->idle.repeat(plan, there ? home : other, there ? other : home);
    }
    run_on(state_->found.cores);
}

Profile Ladder::profile() const {
    Profile profile = state_->found;
    conclude(state_->repeats, state_->below, profile);
    state_->idle.conclude(profile);
    profile.stayed = state_->stayed.empty() ? 0 : average(state_->stayed);
    return profile;
}

double Ladder::pace_ns() const {
    return EvenPace(state_->repeats).usual();
}

Profile measure_ladder(const Plan& plan, const Progress& progress) {
    const double steps = plan.repeats * 2 + 1;
    double done = 0;
    progress(0, "the scheduler's turns");
    Ladder ladder(plan);
    for (int i = 1; i <= plan.repeats; ++i) {
        ladder.repeat([&](const std::string& what) {
            progress(++done / steps, fmt::format("{} ({} of {})", what, i, plan.repeats));
        });
    }
    progress(1, "done");
    return ladder.profile();
}

}  // namespace fusesim::calibrate
