#include "system/prepare.h"

#include "fuse/kernel.h"
#include "system/recorded_facts.h"
#include "system/storage.h"

#include <fmt/format.h>

namespace fusesim::system {

using sim::Time;

const char* lower_name(LowerConfig::Kind kind) {
    return kind == LowerConfig::Kind::tmpfs ? "tmpfs" : "ext4";
}

namespace {

/// libfuse's and the kernel's defaults of what decides which requests there are.
void settle_caches(MountConfig& mount) {
    mount.entry_timeout = mount.entry_timeout.value_or(Time::from_seconds(1));
    mount.attr_timeout = mount.attr_timeout.value_or(Time::from_seconds(1));
    mount.negative_timeout = mount.negative_timeout.value_or(Time());
    mount.max_readahead = mount.max_readahead.value_or(config::Bytes{128u << 10});
    mount.writeback_cache = mount.writeback_cache.value_or(false);
    mount.default_permissions = mount.default_permissions.value_or(false);
    mount.direct_io = mount.direct_io.value_or(false);
    mount.keep_cache = mount.keep_cache.value_or(false);
}

void settle_transport(MountConfig& mount) {
    using Kind = MountConfig::Transport;
    // See transport/README.md; of each ring channel, else of the mount.
    const unsigned most = mount.transport == Kind::rings ? 32 : 12;
    mount.max_background = mount.max_background.value_or(most);
    mount.congestion_threshold = mount.congestion_threshold.value_or(*mount.max_background * 3 / 4);
    if (mount.transport == Kind::io_uring) {
        mount.io_uring_q_depth = mount.io_uring_q_depth.value_or(8);
    }
    if (mount.transport == Kind::channels && !mount.channels) {
        mount.channels.emplace();
    }
    if (mount.transport == Kind::rings && !mount.rings) {
        mount.rings.emplace();
    }
}

/// Gives every setting that is still open its default, so that the report shows what was used.
/// `calls`: the requests are not given by a recording of them.
void settle(Scenario& scenario, bool calls) {
    if (!scenario.host) {
        scenario.host = built_in_host();
    }
    if (scenario.kernel.version.empty()) {
        scenario.kernel.version = fuse::kernel_behaviours().back().version;
    }
    MountConfig& mount = scenario.mount;
    settle_transport(mount);
    if (!scenario.daemon.threads) {  // of /dev/fuse
        const bool carries_all = mount.transport == MountConfig::Transport::dev_fuse;
        scenario.daemon.threads = Threads{carries_all, std::nullopt};
    }
    if (!scenario.daemon.filesystem) {
        scenario.daemon.filesystem =
            calls ? DaemonConfig::Kind::null : DaemonConfig::Kind::recorded;
    }
    if (calls) {
        settle_caches(mount);
    }
    if (scenario.workload.trace.empty()) {
        if (!scenario.run.duration && !scenario.run.operations) {
            scenario.run.duration = Time::from_seconds(1);
        }
    }
    if (!scenario.workload.recorder.value_or(false)) {
        scenario.host->costs.recorder_queue = Time();
        scenario.host->costs.recorder_processing = Time();
        scenario.host->costs.recorder_reply = Time();
    }
}

/// Every core that a thread is pinned to must be there.
void check_affinity(const Scenario& scenario, const config::Document& document) {
    const unsigned cores = scenario.host->cores;
    config::Problems problems;
    const auto check_one = [&](const std::optional<std::vector<unsigned>>& affinity,
                               const char* key) {
        if (!affinity) {
            return;
        }
        for (const unsigned core : *affinity) {
            if (core >= cores) {
                problems.add(document.place(key),
                             fmt::format("{} names core {}, but the host has {} cores, 0 to {}",
                                         key,
                                         core,
                                         cores,
                                         cores - 1),
                             fmt::format("set {} or host.cores", key));
                return;
            }
        }
    };
    check_one(scenario.daemon.affinity, "daemon.affinity");
    check_one(scenario.workload.affinity, "workload.affinity");
    problems.raise();
}

/// What the transport needs of kernel, host and the other options.
void check_transport(const Scenario& scenario, const config::Document& document) {
    using Kind = MountConfig::Transport;
    const MountConfig& mount = scenario.mount;
    if (mount.transport == Kind::dev_fuse) {
        return;
    }
    config::Problems problems;
    const bool uring = mount.transport == Kind::io_uring;
    if (uring && !fuse::nearest_kernel_behaviour(scenario.kernel.version).io_uring) {
        problems.add(
            document.place("mount.transport"),
            fmt::format("transport: io_uring needs Linux 6.14 or newer, and kernel.version "
                        "is {}",
                        scenario.kernel.version));
    }
    if (uring && !scenario.host->costs.uring) {
        problems.add(document.place("mount.transport"),
                     "the host profile has no costs of io_uring (costs.uring)",
                     "fusesim calibrate measures them where the kernel has FUSE over io_uring");
    }
    const char* const name = uring                            ? "io_uring"
                             : mount.transport == Kind::rings ? "rings"
                                                              : "channels";
    const auto refuse = [&](bool given, const char* key) {
        if (given) {
            problems.add(document.place(key),
                         fmt::format("{} is not for transport: {}", key, name),
                         "leave it out, or set mount.transport: dev_fuse");
        }
    };
    refuse(mount.clone_fd, "mount.clone_fd");
    if (mount.transport != Kind::channels) {  // each channel is read and written so
        refuse(mount.splice_read, "mount.splice_read");
        refuse(mount.splice_write, "mount.splice_write");
        refuse(mount.splice_move, "mount.splice_move");
    }
    problems.raise();
}

void check_faults(const Scenario& scenario, const config::Document& document) {
    const std::optional<Time>& timeout = scenario.mount.request_timeout;
    if (scenario.faults.empty() && !timeout) {
        return;
    }
    config::Problems problems;
    const char* const first = scenario.faults.empty() ? "mount.request_timeout" : "faults";
    if (scenario.workload.operations.empty()) {
        problems.add(document.place(first),
                     fmt::format("{} needs workload.operations: a recording does not say what its "
                                 "callers do after an error",
                                 first));
    }
    if (scenario.daemon.filesystem == DaemonConfig::Kind::none) {
        problems.add(document.place(first), "there is no daemon that could fail");
    }
    if (timeout && !fuse::nearest_kernel_behaviour(scenario.kernel.version).request_timeout) {
        problems.add(
            document.place("mount.request_timeout"),
            fmt::format("request_timeout came with Linux 6.15, of which 6.17 and later are "
                        "known here, and kernel.version is {}",
                        scenario.kernel.version));
    }
    Time free;
    bool over = false;
    for (std::size_t i = 0; i < scenario.faults.size(); ++i) {
        const FaultConfig& fault = scenario.faults[i];
        const std::string key = fmt::format("faults[{}].at", i);
        if (over || fault.at < free) {
            problems.add(document.place(key),
                         "faults come one after the other, and none after a crash");
        }
        if (scenario.run.duration && fault.at >= *scenario.run.duration) {
            problems.add(document.place(key), "the run is over before that", "set run.duration");
        }
        free = fault.at + fault.lasts.value_or(Time());
        over = fault.kind == FaultConfig::Kind::crash;
    }
    problems.raise();
}

/// What a list of operations needs that a scenario may lack.
void check_operations(const Scenario& scenario, const config::Document& document) {
    config::Problems problems;
    const DaemonConfig& daemon = scenario.daemon;
    const MountConfig& mount = scenario.mount;
    const bool stackfs = daemon.filesystem == DaemonConfig::Kind::stackfs;
    if (daemon.filesystem == DaemonConfig::Kind::recorded) {
        problems.add(document.place("daemon.filesystem"),
                     "filesystem: recorded needs a trace of requests",
                     "take null, service_time or stackfs");
    }
    if (daemon.api == DaemonConfig::Api::high_level) {
        problems.add(document.place("daemon.api"),
                     "libfuse's high-level interface is not modelled yet",
                     "take low_level");
    }
    if (mount.passthrough && !stackfs) {
        problems.add(document.place("mount.passthrough"),
                     "passthrough needs backing files",
                     "set daemon.filesystem: stackfs");
    }
    if (mount.passthrough && (*mount.writeback_cache || *mount.direct_io)) {
        problems.add(document.place("mount.passthrough"),
                     "the kernel does not combine passthrough with writeback_cache or direct_io");
    }
    const bool uses_lower = stackfs || daemon.filesystem == DaemonConfig::Kind::none;
    if (scenario.device && (!uses_lower || scenario.lower.filesystem == LowerConfig::Kind::tmpfs)) {
        problems.add(document.place("device"),
                     "nothing in this scenario uses a device",
                     "set daemon.filesystem: stackfs and lower.filesystem: ext4");
    } else {
        check_storage(scenario, document, problems);
    }
    const char* lower = lower_name(scenario.lower.filesystem);
    if (uses_lower && scenario.host->costs.lower.count(lower) == 0) {
        problems.add(document.place("lower.filesystem"),
                     std::string("the host profile has no costs of ") + lower,
                     "fusesim calibrate measures them");
    }
    problems.raise();
}

}  // namespace

Prepared prepare(const Scenario& given, const config::Document& document) {
    Prepared prepared{nullptr, given};
    Scenario& scenario = prepared.scenario;
    if (given.workload.trace.empty()) {
        if (given.workload.operations.empty()) {
            throw config::Error(document.place("workload"),
                                "the workload has neither a trace nor operations",
                                "e.g. workload: {operations: [{op: read, size: 4 KiB}]}");
        }
        settle(scenario, true);
        check_operations(scenario, document);
    } else {
        prepared.reader = std::make_unique<trace::Reader>(given.workload.trace.path);
        const trace::Header& header = prepared.reader->header();
        refuse_above_layer(header, given, document);
        take_over_facts(header, scenario);
        const bool calls = header.layer == trace::Layer::syscall;
        settle(scenario, calls);
        if (calls) {
            if (scenario.daemon.filesystem == DaemonConfig::Kind::none) {
                throw config::Error(document.place("daemon.filesystem"),
                                    "recorded calls are replayed on a mount of FUSE only",
                                    "take null, service_time or stackfs");
            }
            check_operations(scenario, document);
        }
    }
    check_affinity(scenario, document);
    check_transport(scenario, document);
    check_faults(scenario, document);
    return prepared;
}

}  // namespace fusesim::system
