#include "ladder.h"

#include "copy.h"
#include "fuse_costs.h"
#include "lower.h"
#include "null_mount.h"
#include "stamps.h"
#include "vfs.h"
#include "wake.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

namespace fusesim::calibrate {

namespace {

using Kind = Call::Kind;

constexpr std::size_t copy_sizes[] = {64, 512, 4096, 16384, 65536, 131072, 1048576};
constexpr double idle_gaps_ns[] = {2e3, 5e3, 10e3, 20e3, 50e3, 100e3, 200e3, 500e3, 1e6, 2e6, 5e6};
constexpr std::size_t page = 4096;
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
        setup.multi_threaded = true;
        batch_threads = std::make_unique<NullMount>(setup);
        vfs = std::make_unique<VfsMounts>(plan.daemon, directory, core);
    }

    std::unique_ptr<NullMount> plain;
    std::unique_ptr<NullMount> stamped;
    std::unique_ptr<NullMount> batch;
    std::unique_ptr<NullMount> batch_threads;
    std::unique_ptr<VfsMounts> vfs;
};

/// What the daemon's log adds to each request, in nanoseconds.
double append_cost() {
    constexpr std::uint64_t room = 1u << 14;
    Shared memory(sizeof(stamps::Log) + room * sizeof(stamps::Served));
    auto* log = memory.as<stamps::Log>();
    log->capacity = room;
    const stamps::Served served{};
    const std::uint64_t began = stamps::ticks();
    for (std::uint64_t i = 0; i < room; ++i) {
        log->append(served);
    }
    return static_cast<double>(stamps::ticks() - began) * tick_ns() / static_cast<double>(room);
}

double copy_of(const Values& values, std::size_t size) {
    return values.at("copy " + std::to_string(size));
}

/// The pieces of one repeat, all of batch tasks.
struct AllPieces {
    Pieces getattr;
    Pieces small_read;
    Pieces large_read;
    Pieces small_write;
    Pieces large_write;
    Pieces threads;  ///< getattr with a multi-threaded daemon
};

/// Nanoseconds that each further page adds to a piece.
double per_page(double Pieces::*piece, const Pieces& large, const Pieces& small) {
    return (large.*piece - small.*piece) / (static_cast<double>(large_size - small_size) / page);
}

/// What a page costs beyond its copy, of reads and writes.
void solve_pages(Values& v, const AllPieces& of) {
    const double copy = (copy_of(v, large_size) - copy_of(v, small_size)) /
                        (static_cast<double>(large_size - small_size) / page);
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
    const double away = v.at("context_switch") + v.at("block");
    const double wake = v.at("wake_same_core");
    const Pieces& getattr = of.getattr;
    v["fuse_read"] = getattr.ready_read - call - stamp;
    v["fuse_reply"] = getattr.reply - call - wake - stamp;
    v["libfuse_request"] = getattr.library + getattr.loop - 2 * stamp - append_cost();
    v["libfuse_mt"] = of.threads.library + of.threads.loop - getattr.library - getattr.loop;

    // The cheapest way in and the cheapest way out of the file system are FUSE's own; what a
    // call has beyond them is its own.
    const double go = std::min(getattr.go, of.small_read.go - v["fuse_page_submit"]);
    const double back = std::min(getattr.back, of.small_read.back - v["fuse_page_resume"]);
    v["fuse_submit"] = go - call - wake - away - v["fuse_read"] - stamp;
    v["fuse_resume"] = back - call - away - stamp;
    const double base = getattr.whole - getattr.go - getattr.back + go + back;
    const double copy = copy_of(v, page);
    v["getattr"] = getattr.whole - base;
    v["direct_read"] = of.small_read.whole - base - v["fuse_page"] - copy;
    v["direct_write"] = of.small_write.whole - base - v["fuse_page_write"] - copy;
}

/// A call of one request on the daemon's core, without what the call itself is.
double round_trip(const Values& v, double preempted) {
    // A caller that runs at once finds the daemon awake: one wake-up and one sleep less.
    const double sleeps = 2 - preempted;
    return 3 * v.at("syscall") + sleeps * (v.at("wake_same_core") + v.at("block")) +
           2 * v.at("context_switch") + v.at("fuse_submit") + v.at("fuse_read") +
           v.at("fuse_reply") + v.at("fuse_resume") + v.at("libfuse_request");
}

/// What calls on names have beyond their requests, all of batch tasks. A request that nobody
/// waits for wakes the daemon, which serves it before the next one and so within the next call.
void solve_vfs(Values& v, const Times& whole) {
    const double request = round_trip(v, 0);
    const double call = v.at("syscall");
    const double wake = v.at("wake_same_core");
    const double forget = call + v.at("fuse_read") + v.at("libfuse_request") - wake;
    const double release = forget + call + v.at("fuse_reply");
    const double two = 2 * request - call;
    v["vfs lookup"] = whole.at("lookup") - request;
    v["vfs open"] = whole.at("open") - request - release;
    v["vfs close"] = whole.at("close") - request - wake;
    v["vfs create"] = whole.at("create") - two - forget;
    v["vfs unlink"] = whole.at("unlink") - request - release - wake;
    v["vfs mkdir"] = whole.at("mkdir") - two - forget;
    v["vfs rmdir"] = whole.at("rmdir") - request - wake;
    v["vfs opendir"] = whole.at("opendir") - request - release;
    v["vfs closedir"] = whole.at("closedir") - call - wake;
    v["vfs readdir"] = whole.at("readdir") - request;
    v["vfs fsync"] = whole.at("fsync") - request;
    const auto entries = static_cast<double>(VfsMounts::listed_entries);
    v["vfs readdir_entry"] = (whole.at("list") - whole.at("readdir")) / entries;
    v["vfs readdirplus_entry"] = (whole.at("list_plus") - whole.at("readdir")) / entries;
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
    v["writeback_page"] = slope("write_back") - copy;
    v["drop_page"] = slope("drop");
    v["readahead_page"] = slope("read") - v.at("page_cache_page") - 2 * copy;
    v["buffered_read"] = whole.at("read" + small) - round_trip(v, 0) - slope("read") + 2 * copy -
                         2 * copy_of(v, page);
}

/// The sum of parts for one call on the daemon's core.
double predict(const Values& v, const Call& call, double preempted) {
    const double sum = round_trip(v, preempted);
    const double pages = static_cast<double>(call.size) / page;
    switch (call.kind) {
        case Kind::getattr:
            return sum + v.at("getattr");
        case Kind::read:
            return sum + v.at("direct_read") + pages * v.at("fuse_page") + copy_of(v, call.size);
        case Kind::write:
            return sum + v.at("direct_write") + pages * v.at("fuse_page_write") +
                   copy_of(v, call.size);
    }
    return sum;
}

struct NamedCall {
    const char* name;
    Call call;
};

const NamedCall checked_calls[] = {{"getattr", {Kind::getattr, 0}},
                                   {"read 4 KiB", {Kind::read, page}},
                                   {"read 16 KiB", {Kind::read, 4 * page}},
                                   {"read 64 KiB", {Kind::read, 16 * page}},
                                   {"read 128 KiB", {Kind::read, 32 * page}},
                                   {"write 4 KiB", {Kind::write, page}},
                                   {"write 16 KiB", {Kind::write, 4 * page}},
                                   {"write 64 KiB", {Kind::write, 16 * page}},
                                   {"write 128 KiB", {Kind::write, 32 * page}}};

Values measure_once(const Plan& plan, Mounts& mounts, int core) {
    Values v;
    const SameCore same = measure_same_core(core, 4 * plan.seconds);
    v["syscall"] = same.syscall;
    v["context_switch"] = same.switch_process;
    v["context_switch_thread"] = same.switch_thread;
    v["block"] = same.block;
    v["wake_same_core"] = same.wake;
    v["thread_create"] = same.thread_create;
    for (const std::size_t size : copy_sizes) {
        v["copy " + std::to_string(size)] = measure_user_copy(size, plan.seconds / 4);
    }
    const double cached = measure_copy(large_size, plan.seconds / 2);
    v["page_cache_page"] =
        (cached - copy_of(v, large_size)) / (static_cast<double>(large_size) / page);
    {
        const Policy batch(SCHED_BATCH);
        const auto pieces = [&](NullMount& mount, Kind kind, std::size_t size) {
            return measure_pieces(mount, core, {kind, size}, 2 * plan.seconds);
        };
        solve(v,
              {pieces(*mounts.batch, Kind::getattr, 0),
               pieces(*mounts.batch, Kind::read, small_size),
               pieces(*mounts.batch, Kind::read, large_size),
               pieces(*mounts.batch, Kind::write, small_size),
               pieces(*mounts.batch, Kind::write, large_size),
               pieces(*mounts.batch_threads, Kind::getattr, 0)});
    }
    v["preempted"] =
        1 - measure_pieces(*mounts.stamped, core, {Kind::getattr, 0}, plan.seconds).ordered;
    for (const NamedCall& one : checked_calls) {
        const double whole = measure_round_trip(*mounts.plain, core, one.call, plan.seconds);
        v[std::string("measured ") + one.name] = whole;
        v[std::string("predicted ") + one.name] = predict(v, one.call, v["preempted"]);
    }
    {
        const Policy batch(SCHED_BATCH);
        solve_vfs(v, mounts.vfs->time_names(plan.seconds / 2));
        solve_cache(v, mounts.vfs->time_cache(plan.seconds / 2));
    }
    v["pace"] = std::max(same.syscall, measure_syscall(plan.seconds / 2));
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

/// Collects wake-ups across two cores, repeat by repeat, in both directions in turn.
class AcrossCores {
  public:
    AcrossCores() : gaps_(std::size(idle_gaps_ns)) {}

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
            out.waker = tenths(gaps_[i].waker);
            out.mean = trapezoid(out.running);
            out.cold = median(gaps_[i].cold);
            out.returned = average(gaps_[i].returned);
            out.spread = agree(gaps_[i].medians).spread;
            if (idle_gaps_ns[i] >= 10e3 && idle_gaps_ns[i] <= 200e3) {
                usual.push_back(trapezoid(out.waker));
            }
            profile.idle_exit.push_back(out);
        }
        profile.costs["wake_cross_core"] = agree(usual);
    }

  private:
    struct Gap {
        std::vector<double> idle;
        std::vector<double> running;
        std::vector<double> waker;
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
            const LowerTimes got = one.bench->measure(seconds);
            for (const auto& [call, time] : got.calls) {
                v[lower_key(name, call)] = time;
            }
            for (const auto& [size, time] : got.read) {
                v[lower_key(name, "read", size)] = time;
            }
            for (const auto& [size, time] : got.write) {
                v[lower_key(name, "write", size)] = time;
            }
            append(one.seen.fsync_blocked, got.fsync_blocked);
            append(one.seen.fdatasync_blocked, got.fdatasync_blocked);
            one.seen.calls = got.calls;
            one.seen.read = got.read;
            one.seen.write = got.write;
        }
    }

    void conclude(const std::vector<Values>& repeats, Profile& profile) const;

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

std::vector<double> column(const std::vector<Values>& repeats, const std::string& key) {
    std::vector<double> out;
    for (const Values& one : repeats) {
        out.push_back(one.at(key));
    }
    return out;
}

void Below::conclude(const std::vector<Values>& repeats, Profile& profile) const {
    for (const One& one : all_) {
        const std::string& name = one.bench->filesystem();
        LowerProfile& out = profile.lower[name];
        for (const auto& [call, unused] : one.seen.calls) {
            out.calls[call] = agree(column(repeats, lower_key(name, call)));
        }
        for (const auto& [size, unused] : one.seen.read) {
            out.read.emplace_back(size, agree(column(repeats, lower_key(name, "read", size))));
        }
        for (const auto& [size, unused] : one.seen.write) {
            out.write.emplace_back(size, agree(column(repeats, lower_key(name, "write", size))));
        }
        out.fsync_blocked = quantiles(one.seen.fsync_blocked);
        out.fdatasync_blocked = quantiles(one.seen.fdatasync_blocked);
    }
}

/// Without the repeats in which the machine was slower than in its best quarter: a virtual core
/// whose physical neighbour is busy does everything a third slower for seconds, and differences
/// of numbers taken at different paces mean nothing.
std::vector<Values> at_one_pace(const std::vector<Values>& repeats) {
    constexpr double same = 1.08;
    const double pace = quantile(column(repeats, "pace"), 0.25);
    std::vector<Values> out;
    std::copy_if(repeats.begin(), repeats.end(), std::back_inserter(out), [pace](const Values& v) {
        return v.at("pace") <= same * pace;
    });
    return out;
}

void conclude(const std::vector<Values>& all, const Below& below, Profile& profile) {
    const std::vector<Values> repeats = at_one_pace(all);
    below.conclude(repeats, profile);
    profile.repeats = all.size();
    profile.kept = repeats.size();
    for (const auto& [key, unused] : repeats.front()) {
        if (key.find(' ') == std::string::npos && key != "preempted" && key != "pace") {
            profile.costs[key] = agree(column(repeats, key));
        }
        const std::string vfs = "vfs ";
        if (key.compare(0, vfs.size(), vfs) == 0) {
            profile.vfs[key.substr(vfs.size())] = agree(column(repeats, key));
        }
    }
    for (const std::size_t size : copy_sizes) {
        profile.copies.emplace_back(size, agree(column(repeats, "copy " + std::to_string(size))));
    }
    profile.preempted = median(column(repeats, "preempted"));
    for (const NamedCall& one : checked_calls) {
        const std::string name = one.name;
        Check check;
        check.call = name;
        check.measured = agree(column(repeats, "measured " + name));
        check.predicted = median(column(repeats, "predicted " + name));
        std::vector<double> errors;
        for (const Values& v : repeats) {
            errors.push_back(v.at("predicted " + name) / v.at("measured " + name) - 1);
        }
        check.error = median(errors);
        profile.checks.push_back(check);
    }
}

}  // namespace

Profile measure_ladder(const Plan& plan, const Progress& progress) {
    Profile profile;
    profile.cores = usable_cores();
    const int home = profile.cores.front();
    const int other = profile.cores.back();
    const double steps = plan.repeats * 2 + 1;
    double step = 0;
    progress(0, "the scheduler's turns");
    profile.slice = told_slice();
    profile.turn = measure_turn(home, 3 * plan.seconds);
    pin(home);
    const real::PrivateMounts own_mounts;
    const std::filesystem::path directory = own_mounts.directory();
    Below below;
    below.add(directory);
    below.add("/var/tmp");
    AcrossCores across;
    std::vector<double> stayed;
    std::vector<Values> repeats;
    for (int i = 0; i < plan.repeats; ++i) {
        const std::string which =
            " (" + std::to_string(i + 1) + " of " + std::to_string(plan.repeats) + ")";
        progress(++step / steps, "one core" + which);
        {
            Mounts mounts(plan, directory, home);
            repeats.push_back(measure_once(plan, mounts, home));
        }
        below.repeat(repeats.back(), plan.seconds / 2);
        progress(++step / steps, "between cores" + which);
        if (other != home) {
            stayed.push_back(measure_stay(home, other, plan.seconds));
            across.repeat(plan, i % 2 == 0 ? home : other, i % 2 == 0 ? other : home);
        }
    }
    run_on(profile.cores);
    conclude(repeats, below, profile);
    if (other != home) {
        across.conclude(profile);
        profile.stayed = average(stayed);
    }
    progress(1, "done");
    return profile;
}

}  // namespace fusesim::calibrate
