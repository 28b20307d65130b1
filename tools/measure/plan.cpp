#include "plan.h"

#include "process.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <cstdio>
#include <optional>
#include <utility>

namespace fusesim::measure {

using namespace config::literals;
using sim::Distribution;
using system::DaemonConfig;
using system::MountConfig;
using system::Scenario;

namespace {

using Kind = DaemonConfig::Kind;

/// libfuse's message buffers hold this much data, whatever max_write says.
constexpr config::Bytes most_payload = 1_MiB;

std::optional<std::pair<unsigned, unsigned>> major_minor(const std::string& version) {
    unsigned major = 0;
    unsigned minor = 0;
    if (std::sscanf(version.c_str(), "%u.%u", &major, &minor) != 2) {
        return std::nullopt;
    }
    return std::pair{major, minor};
}

bool is_written(const config::Document& document, const char* section, const char* key) {
    const config::Entry* found = document.root().find(section);
    return found != nullptr && found->value.find(key) != nullptr;
}

Kind kind_of(const DaemonConfig& daemon) {
    return daemon.filesystem.value_or(Kind::null);
}

bool is_none(const Distribution& time) {
    return time.mean() == sim::Time();
}

/// The one time that delayfs takes, and whether it is computed.
struct Delay {
    Distribution time;
    bool spin = false;
};

/// What delayfs would be told; nothing where it cannot do that.
std::optional<Delay> delay_of(const DaemonConfig& daemon) {
    if (daemon.service.size() != 1 || daemon.service.begin()->first != "other") {
        return std::nullopt;
    }
    const system::ServiceTimeConfig& service = daemon.service.begin()->second;
    if (!is_none(service.cpu) && !is_none(service.blocked)) {
        return std::nullopt;
    }
    const bool spin = is_none(service.blocked);
    const Delay delay{spin ? service.cpu : service.blocked, spin};
    if (delay.time.shape() != Distribution::Shape::constant &&
        delay.time.shape() != Distribution::Shape::exponential) {
        return std::nullopt;
    }
    return delay;
}

void check_versions(const Scenario& scenario,
                    const config::Document& document,
                    const Machine& machine,
                    config::Problems& problems) {
    const std::string& kernel = scenario.kernel.version;
    if (!kernel.empty() && major_minor(kernel) != major_minor(machine.kernel)) {
        problems.add(
            document.place("kernel.version"),
            fmt::format("kernel.version is {}, but this machine runs {}", kernel, machine.kernel),
            "leave it out, or give it with --set when simulating");
    }
    const std::string& libfuse = scenario.daemon.libfuse;
    if (is_written(document, "daemon", "libfuse") && !machine.libfuse.empty() &&
        major_minor(libfuse) != major_minor(machine.libfuse)) {
        problems.add(
            document.place("daemon.libfuse"),
            fmt::format("daemon.libfuse is {}, but this machine has {}", libfuse, machine.libfuse),
            "leave it out, or give it with --set when simulating");
    }
}

void check_daemon(const Scenario& scenario,
                  const config::Document& document,
                  config::Problems& problems) {
    const Kind kind = kind_of(scenario.daemon);
    const auto refuse = [&](const char* key, const char* message, const char* hint) {
        problems.add(document.place(key), message, hint);
    };
    if (kind == Kind::recorded) {
        refuse("daemon.filesystem",
               "daemon.filesystem: recorded cannot be measured, it is the daemon of a trace",
               "null, stackfs or service_time");
    }
    if (kind == Kind::none) {
        refuse("daemon.filesystem",
               "daemon.filesystem: none cannot be measured, it is the workload without FUSE",
               "null, stackfs or service_time");
    }
    if (kind == Kind::service_time && !delay_of(scenario.daemon)) {
        refuse("daemon.service",
               "daemon.service cannot be measured: delayfs takes one time for all requests, fixed "
               "or exponential, either slept or computed",
               "give service: {other: {blocked: 100 us}} or {other: {cpu: exponential(100 us)}}");
    }
    if (kind != Kind::stackfs && scenario.daemon.api == DaemonConfig::Api::high_level) {
        refuse("daemon.api",
               "daemon.api: high_level is measured with filesystem: stackfs only",
               "set daemon.filesystem or daemon.api");
    }
    if (kind != Kind::stackfs && scenario.mount.passthrough) {
        refuse("mount.passthrough",
               "mount.passthrough needs files below the daemon",
               "set daemon.filesystem: stackfs");
    }
    using Transport = MountConfig::Transport;
    if (scenario.mount.transport == Transport::channels ||
        scenario.mount.transport == Transport::rings) {
        refuse("mount.transport",
               "mount.transport cannot be measured: no released kernel has channels or rings",
               "take dev_fuse or io_uring");
    }
    if (scenario.mount.extfuse) {
        refuse("mount.extfuse",
               "mount.extfuse cannot be measured: no released kernel has it",
               "leave it out");
    }
    if (scenario.mount.transport == MountConfig::Transport::io_uring && kind != Kind::null) {
        refuse("mount.transport",
               "mount.transport: io_uring is measured with filesystem: null only",
               "set daemon.filesystem");
    }
    if (scenario.mount.transport == MountConfig::Transport::io_uring) {
        const auto refuse_loop = [&](bool set, const char* key) {
            if (set) {
                problems.add(document.place(key),
                             fmt::format("{} shapes a loop that io_uring does without", key),
                             "leave it out, or set mount.transport: dev_fuse");
            }
        };
        refuse_loop(scenario.daemon.threads.has_value(), "daemon.threads");
        refuse_loop(scenario.daemon.max_idle_threads.has_value(), "daemon.max_idle_threads");
        refuse_loop(scenario.mount.clone_fd, "mount.clone_fd");
        refuse_loop(scenario.mount.splice_read, "mount.splice_read");
        refuse_loop(scenario.mount.splice_write, "mount.splice_write");
        refuse_loop(scenario.mount.splice_move, "mount.splice_move");
    }
    if (scenario.mount.max_write > most_payload) {
        refuse("mount.max_write",
               "mount.max_write is more than libfuse's buffers hold",
               "at most 1 MiB");
    }
}

std::string seconds_text(sim::Time time) {
    return fmt::format("{}", time.seconds());
}

}  // namespace

Machine this_machine() {
    Machine machine;
    utsname system{};
    if (uname(&system) == 0) {
        machine.kernel = system.release;
    }
    // The library that the daemons load, which this program has no other use for.
    if (void* library = dlopen("libfuse3.so.3", RTLD_LAZY); library != nullptr) {
        using Version = const char* (*)();
        if (const auto version = reinterpret_cast<Version>(dlsym(library, "fuse_pkgversion"))) {
            machine.libfuse = version();
        }
        dlclose(library);
    }
    machine.cores = real::usable_cores();
    return machine;
}

void check_measurable(const Scenario& scenario,
                      const config::Document& document,
                      const Machine& machine) {
    config::Problems problems;
    if (!scenario.workload.trace.empty()) {
        problems.add(document.place("workload.trace"),
                     "a recording can be simulated, but not measured",
                     "fusesim replay TRACE, or workload: {operations: [...]}");
    } else if (scenario.workload.operations.empty()) {
        problems.add(document.place("workload"),
                     "workload.operations is missing: nothing to measure",
                     "e.g. workload: {operations: [{op: read}]}");
    }
    if (scenario.device) {
        problems.add(document.place("device"),
                     "a described device cannot be measured, only what this machine has",
                     "leave `device` out");
    }
    if (scenario.host && scenario.host->memory) {
        problems.add(document.place("host.memory"),
                     "host.memory cannot be measured, this machine has what it has",
                     "leave it out, or give it with --set when simulating");
    }
    check_versions(scenario, document, machine, problems);
    check_daemon(scenario, document, problems);
    problems.raise();
}

std::string daemon_name(const Scenario& scenario) {
    if (scenario.mount.transport == MountConfig::Transport::io_uring) {
        return "uringfs";
    }
    switch (kind_of(scenario.daemon)) {
        case Kind::service_time:
            return "delayfs";
        case Kind::stackfs:
            return "stackfs";
        default:
            return "nullfs";
    }
}

std::vector<std::string> daemon_options(const Scenario& scenario,
                                        const std::filesystem::path& lower) {
    const MountConfig& mount = scenario.mount;
    const DaemonConfig& daemon = scenario.daemon;
    std::vector<std::string> options{"-f"};
    std::string list;
    const auto add = [&list](const std::string& option) {
        list += (list.empty() ? "" : ",") + option;
    };
    const auto flag = [&add](const char* name, bool set) {
        if (set) {
            add(name);
        }
    };
    const auto number = [&add](const char* name, const auto& value) {
        if (value) {
            add(fmt::format("{}={}", name, *value));
        }
    };
    const auto time = [&add](const char* name, const std::optional<sim::Time>& value) {
        if (value) {
            add(fmt::format("{}={}", name, seconds_text(*value)));
        }
    };
    const auto threads = daemon.threads.value_or(system::Threads{});
    if (!threads.multi) {
        options.emplace_back("-s");
    }
    number("max_threads", threads.most);
    if (daemon.max_idle_threads.value_or(-1) >= 0) {  // -1 is what libfuse does by itself
        number("max_idle_threads", daemon.max_idle_threads);
    }
    flag("clone_fd", mount.clone_fd);
    time("entry_timeout", mount.entry_timeout);
    time("attr_timeout", mount.attr_timeout);
    time("negative_timeout", mount.negative_timeout);
    flag("direct_io", mount.direct_io.value_or(false));
    flag("keep_cache", mount.keep_cache.value_or(false));
    flag("writeback_cache", mount.writeback_cache.value_or(false));
    flag("default_permissions", mount.default_permissions.value_or(false));
    flag("splice_read", mount.splice_read);
    flag("splice_write", mount.splice_write);
    flag("splice_move", mount.splice_move);
    add(fmt::format("max_write={}", mount.max_write.count));
    if (mount.max_readahead) {
        add(fmt::format("max_readahead={}", mount.max_readahead->count));
    }
    number("max_background", mount.max_background);
    number("congestion_threshold", mount.congestion_threshold);
    if (kind_of(daemon) == Kind::stackfs) {
        add("source=" + lower.string());
        flag("passthrough", mount.passthrough);
        flag("high_level", daemon.api == DaemonConfig::Api::high_level);
    } else {
        add("files=0");
    }
    if (mount.transport == MountConfig::Transport::io_uring) {
        number("queue_depth", mount.io_uring_q_depth);
    }
    if (kind_of(daemon) == Kind::service_time) {
        const Delay delay = delay_of(daemon).value();
        add(fmt::format("service_us={}", static_cast<double>(delay.time.mean().ps()) * 1e-6));
        flag("spin", delay.spin);
        flag("exponential", delay.time.shape() == Distribution::Shape::exponential);
        add(fmt::format("seed={}", static_cast<std::uint32_t>(scenario.run.seed)));
    }
    options.emplace_back("-o");
    options.push_back(list);
    return options;
}

}  // namespace fusesim::measure
