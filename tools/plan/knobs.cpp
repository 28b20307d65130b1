#include "knobs.h"

#include "sim/time.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace fusesim::plan {

using system::DaemonConfig;
using system::MountConfig;
using system::Scenario;
using workload::Op;

namespace {

class Knobs {
  public:
    explicit Knobs(const Scenario& scenario) : scenario_(scenario) {}

    std::vector<Knob> all() {
        threads();
        border();
        sizes();
        caches();
        machine();
        return std::move(knobs_);
    }

  private:
    void add(sweep::Settings settings, std::string reason, std::string risk) {
        knobs_.push_back({std::move(settings), std::move(reason), std::move(risk)});
    }

    /// Whether the workload has one of these; of a recording nobody knows before it is read.
    bool has(std::initializer_list<Op> ops) const {
        const auto& operations = scenario_.workload.operations;
        return operations.empty() ||
               std::any_of(operations.begin(), operations.end(), [&](auto& o) {
                   return std::find(ops.begin(), ops.end(), o.op) != ops.end();
               });
    }

    bool dev_fuse() const { return scenario_.mount.transport == MountConfig::Transport::dev_fuse; }

    void threads() {
        const system::Threads& now = *scenario_.daemon.threads;
        if (!dev_fuse()) {
            return;
        }
        if (now.multi) {
            add({{"daemon.threads", "single"}},
                "one worker is never woken for a request that another could take, and needs no "
                "lock",
                "one slow request holds up all others");
        } else {
            add({{"daemon.threads", "multi"}},
                "requests need not wait for the one before",
                "the file system must be safe for threads; on few cores workers get into each "
                "other's way");
        }
        if (now.multi && now.most) {
            add({{"daemon.threads", std::to_string(*now.most * 4)}},
                "more requests in service at once, worth it where they sleep",
                "a buffer of max_write for each worker");
        } else if (now.multi) {
            add({{"daemon.threads", "64"}},
                "more requests in service at once than the library's 10, worth it where they sleep",
                "a buffer of max_write for each worker");
        }
        if (now.multi && !scenario_.mount.clone_fd) {
            add({{"mount.clone_fd", "true"}},
                "each worker has a processing queue of its own",
                "none known; needs a library that offers it");
        }
    }

    void border() {
        const MountConfig& mount = scenario_.mount;
        if (!mount.passthrough && scenario_.daemon.filesystem == DaemonConfig::Kind::stackfs &&
            has({Op::read, Op::write})) {
            sweep::Settings settings{{"mount.passthrough", "true"}};
            if (mount.writeback_cache.value_or(false)) {
                settings.emplace_back("mount.writeback_cache", "false");
            }
            if (mount.direct_io.value_or(false)) {
                settings.emplace_back("mount.direct_io", "false");
            }
            add(settings,
                "opened files are read and written below the daemon",
                "Linux 6.9, a privileged daemon; it no longer sees the data; metadata calls cost "
                "what they did");
        }
        if (dev_fuse()) {
            sweep::Settings settings{{"mount.transport", "io_uring"}};
            for (const auto& [set, key] : {std::pair(mount.clone_fd, "mount.clone_fd"),
                                           std::pair(mount.splice_read, "mount.splice_read"),
                                           std::pair(mount.splice_write, "mount.splice_write"),
                                           std::pair(mount.splice_move, "mount.splice_move")}) {
                if (set) {
                    settings.emplace_back(key, "false");
                }
            }
            add(settings,
                "one system call commits an answer and fetches the next request",
                "Linux 6.14 with enable_uring=Y, a library that speaks it; a buffer of max_write "
                "for each entry of each core's queue");
            if (!mount.splice_write && has({Op::read})) {
                add({{"mount.splice_write", "true"}},
                    "answers of two pages or more are moved through a pipe",
                    "three system calls instead of one for each answer");
            }
            if (!mount.splice_read && has({Op::write})) {
                add({{"mount.splice_read", "true"}},
                    "data of WRITE reach a backing file through a pipe, not through a buffer",
                    "small requests need one system call more");
            }
        }
    }

    void sizes() {
        const MountConfig& mount = scenario_.mount;
        const unsigned most = *mount.max_background;
        for (const unsigned value : {64U, 256U}) {
            if (value > most) {
                add({{"mount.max_background", std::to_string(value)}},
                    fmt::format("more than {} readahead, direct and written-back requests at once",
                                most),
                    "a slow daemon is sent more that nobody can take back");
            }
        }
        if (mount.max_write.count < 1u << 20 && has({Op::write, Op::read})) {
            add({{"mount.max_write", "1 MiB"}},
                "fewer, larger requests",
                "a buffer of this size for each worker; larger than 128 KiB needs Linux 4.20");
        }
        if (!has({Op::read}) || mount.direct_io.value_or(false) || scenario_.workload.direct) {
            return;
        }
        const std::uint64_t ahead = mount.max_readahead.value_or(config::Bytes{128u << 10}).count;
        for (const auto& [bytes, text] : {std::pair(std::uint64_t{1} << 20, "1 MiB"),
                                          std::pair(std::uint64_t{4} << 20, "4 MiB")}) {
            if (bytes > ahead) {
                add({{"mount.max_readahead", text}},
                    "sequential readers keep more requests on their way",
                    "read_ahead_kb of the mount's bdi must be raised too; random and mmap readers "
                    "fetch what nobody asked for");
            }
        }
    }

    void caches() {
        const MountConfig& mount = scenario_.mount;
        const sim::Time minute = sim::Time::from_seconds(60);
        if (mount.entry_timeout.value_or(sim::Time()) < minute ||
            mount.attr_timeout.value_or(sim::Time()) < minute) {
            add({{"mount.entry_timeout", "60 s"}, {"mount.attr_timeout", "60 s"}},
                "names and attributes are asked for again less often",
                "what others change behind the mount is seen up to a minute late");
        }
        if (mount.negative_timeout.value_or(sim::Time()) < minute && has({Op::stat_missing})) {
            add({{"mount.negative_timeout", "60 s"}},
                "that a name does not exist is remembered",
                "a file that others make is seen up to a minute late");
        }
        const bool direct = mount.direct_io.value_or(false);
        if (!mount.keep_cache.value_or(false) && !direct && has({Op::open, Op::read})) {
            add({{"mount.keep_cache", "true"}},
                "opening a file keeps what is cached of it",
                "readers may see what was there before others changed it");
        }
        if (direct) {
            add({{"mount.direct_io", "false"}},
                "reads and writes go through the page cache",
                "memory; what others change behind the mount is seen late");
        } else if (has({Op::read, Op::write})) {
            add({{"mount.direct_io", "true"}},
                "no copy and no upkeep of the page cache",
                "nothing is cached or read ahead; no shared mmap before Linux 6.6");
        }
        if (!mount.writeback_cache.value_or(false) && !direct && !mount.passthrough &&
            has({Op::write, Op::create})) {
            add({{"mount.writeback_cache", "true"}},
                "writes return at once and are sent later, as large requests",
                "what was not synced is lost in a crash; size and times are the kernel's; partial "
                "pages are read first");
        }
    }

    void machine() {
        const bool pinned = scenario_.daemon.affinity || scenario_.workload.affinity;
        if (scenario_.host->cores > 1 && !pinned) {
            add({{"daemon.affinity", "[0]"}, {"workload.affinity", "[0]"}},
                "application and daemon on one core need no wake-up of an idle one",
                "they share that one core's time");
        }
        if (!pinned) {
            add({{"host.cores", std::to_string(scenario_.host->cores * 2)}},
                "more cores",
                "a larger machine");
        }
        if (scenario_.device && scenario_.lower.read_ahead.count < 1u << 20 && has({Op::read})) {
            add({{"lower.read_ahead", "1 MiB"}},
                "the file system below reads further ahead",
                "random readers fetch what nobody asked for");
        }
        if (const auto& memory = scenario_.host->memory) {
            add({{"host.memory", config::Format<config::Bytes>::text({memory->count * 2})}},
                "more is cached",
                "memory");
        }
    }

    const Scenario& scenario_;
    std::vector<Knob> knobs_;
};

}  // namespace

std::vector<Knob> knobs(const Scenario& effective) {
    return Knobs(effective).all();
}

}  // namespace fusesim::plan
