#include "system/scenario.h"

#include "fuse/kernel.h"
#include "fuse/opcode.h"
#include "sim/distribution_format.h"
#include "system/built_in_host.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace fusesim::system {

using namespace config::literals;
using namespace sim::literals;

namespace {

/// Rules between the settings of operations.
void check_operations(config::Map& map, const WorkloadConfig& workload) {
    using workload::NativeConfig;
    using workload::Op;
    map.check(workload.trace.empty() || workload.operations.empty(),
              "operations",
              "and trace exclude each other");
    long names = 0;
    long fewest = 0;
    for (const workload::OperationConfig& operation : workload.operations) {
        const long times = operation.times;
        names += operation.op == Op::create ? times : operation.op == Op::unlink ? -times : 0;
        fewest = std::min(fewest, names);
        const bool data = operation.op == Op::read || operation.op == Op::write;
        map.check(!data || operation.size <= workload.files.size,
                  "operations",
                  fmt::format("have a {} larger than the files", to_text(operation.op)),
                  "set workload.files.size");
        map.check(!data || !workload.direct || operation.size.count % 512 == 0,
                  "operations",
                  "have a size that O_DIRECT refuses",
                  "take a multiple of 512 bytes");
        map.check(operation.op != Op::unlink || workload.order == NativeConfig::Order::cycle,
                  "operations",
                  "have an unlink, which needs order: cycle");
        map.check(times == 1 || workload.order == NativeConfig::Order::cycle,
                  "operations",
                  "have times, which need order: cycle",
                  "with order: random, weight says how often");
    }
    map.check(fewest == 0 && names >= 0,
              "operations",
              "unlink more than they create",
              "put a create before each unlink");
}

/// What a job file of another tool says becomes the settings' defaults, and is not needed further.
void read_job_file(WorkloadConfig& workload) {
    if (workload.fio.empty()) {
        return;
    }
    workload.from_file = workload::read_fio_job(workload.fio.path, workload.section);
    static_cast<workload::NativeConfig&>(workload) = workload.from_file->operations;
    workload.affinity = workload.from_file->affinity;
    workload.fio = {};
    workload.section.clear();
}

}  // namespace

void bind(config::Map& map, KernelConfig& kernel) {
    map.field("version",
              kernel.version,
              "kernel whose behaviour is simulated, e.g. 6.1; the recorded one by default");
    bool known = true;
    std::string complaint;
    if (!kernel.version.empty()) {
        try {
            fuse::nearest_kernel_behaviour(kernel.version);
        } catch (const std::invalid_argument& error) {
            known = false;
            complaint = error.what();
        }
    }
    map.check(known, "version", complaint);
}

void bind(config::Map& map, MountConfig& mount) {
    using Transport = MountConfig::Transport;
    map.field("transport",
              mount.transport,
              {{"dev_fuse", Transport::dev_fuse},
               {"io_uring", Transport::io_uring},
               {"channels", Transport::channels},
               {"rings", Transport::rings}},
              "how requests cross the kernel border; channels and rings are in no released kernel");
    map.field("io_uring_q_depth",
              mount.io_uring_q_depth,
              1,
              1024,
              "io_uring: entries of each core's queue; libfuse's default 8");
    map.section("channels", mount.channels, "transport: channels: their number, and who waits how");
    map.section("rings", mount.rings, "transport: rings: workers, and how callers poll");
    const auto only_for = [&](bool given, const char* key, Transport transport, const char* name) {
        map.check(
            !given || mount.transport == transport, key, fmt::format("is for transport: {}", name));
    };
    only_for(
        mount.io_uring_q_depth.has_value(), "io_uring_q_depth", Transport::io_uring, "io_uring");
    only_for(mount.channels.has_value(), "channels", Transport::channels, "channels");
    only_for(mount.rings.has_value(), "rings", Transport::rings, "rings");
    map.section("extfuse",
                mount.extfuse,
                "a program of the daemon's in the kernel answers some requests (ExtFUSE; in no "
                "released kernel)");
    only_for(mount.extfuse.has_value(), "extfuse", Transport::dev_fuse, "dev_fuse");
    map.field("passthrough",
              mount.passthrough,
              "opened files are read and written without the daemon, on backing files (6.9)");
    map.field("max_background",
              mount.max_background,
              1,
              65'535,
              "background requests with the daemon or on their way; kernel default 12");
    map.field("congestion_threshold",
              mount.congestion_threshold,
              1,
              65'535,
              "background requests at which readahead and writeback hold back; default 3/4 of "
              "max_background");
    map.field("max_write", mount.max_write, 4_KiB, 256_MiB, "payload of one WRITE");
    map.field("splice_read", mount.splice_read, "the daemon reads requests through a pipe");
    map.field("splice_write", mount.splice_write, "answers of two pages or more go through a pipe");
    map.field("splice_move", mount.splice_move, "spliced whole pages change owner uncopied");
    map.field("clone_fd", mount.clone_fd, "each worker has a /dev/fuse descriptor of its own");
    const sim::Time most = 86'400_s;
    map.field("entry_timeout", mount.entry_timeout, sim::Time(), most, "validity of names");
    map.field("attr_timeout", mount.attr_timeout, sim::Time(), most, "validity of attributes");
    map.field("negative_timeout",
              mount.negative_timeout,
              sim::Time(),
              most,
              "validity of the knowledge that a name does not exist");
    map.field(
        "max_readahead",
        mount.max_readahead,
        "most bytes read ahead: the smaller of 128 KiB and what INIT says, or read_ahead_kb of the "
        "mount's bdi");
    map.field("writeback_cache", mount.writeback_cache, "writes are cached and sent later");
    map.field("default_permissions", mount.default_permissions, "the kernel checks modes");
    map.field("direct_io", mount.direct_io, "reads and writes pass the page cache by");
    map.field("keep_cache", mount.keep_cache, "opening keeps what is cached of a file");
    map.field("request_timeout",
              mount.request_timeout,
              1_s,
              65'535_s,
              "whole seconds after which an unanswered request aborts the connection (6.15: "
              "fs.fuse.default_request_timeout); the kernel looks every 15 s and takes no less");
    map.check(!mount.request_timeout || mount.request_timeout->ps() % (1_s).ps() == 0,
              "request_timeout",
              "must be whole seconds");
}

void bind(config::Map& map, ServiceTimeConfig& service) {
    map.field("cpu", service.cpu, "time on a core for each request");
    map.field("blocked", service.blocked, "time asleep for each request");
}

void bind(config::Map& map, DaemonConfig& daemon) {
    using Kind = DaemonConfig::Kind;
    map.field("filesystem",
              daemon.filesystem,
              {{"recorded", Kind::recorded},
               {"service_time", Kind::service_time},
               {"null", Kind::null},
               {"stackfs", Kind::stackfs},
               {"none", Kind::none}},
              "recorded: each request takes as long as it did in the trace; service_time: drawn "
              "from `service`; null: answered at once; stackfs: passed on to `lower`; none: no "
              "FUSE, the workload runs on "
              "`lower` itself");
    map.field("api",
              daemon.api,
              {{"low_level", DaemonConfig::Api::low_level},
               {"high_level", DaemonConfig::Api::high_level}},
              "which of libfuse's interfaces the file system is written for");
    map.section("service", daemon.service, "service times by opcode; `other` for the rest");
    for (const auto& [name, service] : daemon.service) {
        map.check(name == "other" || fuse::parse_opcode(name).has_value(),
                  "service",
                  fmt::format("names the unknown opcode '{}'", name));
    }
    map.field("service_includes_library",
              daemon.service_includes_library,
              "`service` holds the library's own time, as what `fusesim fit` writes does; else "
              "that comes on top, as it does in `fusesim measure`");
    map.check(daemon.filesystem != Kind::service_time || !daemon.service.empty(),
              "service",
              "is needed with filesystem: service_time",
              "fusesim fit TRACE --out DAEMON.yaml writes one from a recording");
    map.field("threads", daemon.threads, "single, multi, or the most worker threads");
    map.field("libfuse", daemon.libfuse, "library version, which sets how its loop grows");
    unsigned major = 0;
    unsigned minor = 0;
    map.check(std::sscanf(daemon.libfuse.c_str(), "%u.%u", &major, &minor) == 2,
              "libfuse",
              "is no version such as 3.14");
    map.field("max_idle_threads",
              daemon.max_idle_threads,
              -1,
              100'000,
              "idle workers beyond this many exit; -1: never");
    map.field("affinity", daemon.affinity, 0, 1023, "cores the workers may run on");
}

void bind(config::Map& map, LowerConfig& lower) {
    map.field("filesystem",
              lower.filesystem,
              {{"tmpfs", LowerConfig::Kind::tmpfs}, {"ext4", LowerConfig::Kind::ext4}},
              "file system below stackfs");
    map.field("directory", lower.directory, "where `measure` keeps the files; made if absent");
    map.field("scheduler",
              lower.scheduler,
              {{"none", lower::Scheduler::none}, {"mq-deadline", lower::Scheduler::mq_deadline}},
              "order of requests to the device; default mq-deadline if it has one queue");
    map.field("nr_requests", lower.nr_requests, 1, 100'000, "requests there may be at a time");
    map.field("max_sectors", lower.max_sectors, 4_KiB, 64_MiB, "most bytes of one request");
    map.field("read_ahead", lower.read_ahead, 0_B, 64_MiB, "most bytes read ahead of a reader");
    map.field("commit", lower.commit, 1_ms, 3600_s, "between commits of the journal");
    map.field("barrier", lower.barrier, "commits flush the device's cache");
}

void bind(config::Map& map, WorkloadConfig& workload) {
    using workload::NativeConfig;
    using workload::ReplayMode;
    map.field("fio", workload.fio, "job file of fio that says what is done, and how long");
    map.field("section", workload.section, "which job of that file, if it has several");
    map.check(workload.section.empty() || !workload.fio.empty(), "section", "is for fio");
    if (map.mode() == config::Map::Mode::read) {
        read_job_file(workload);
    }
    map.field("trace", workload.trace, "recording to replay");
    map.field(
        "mode",
        workload.mode,
        {{"think", ReplayMode::think}, {"timed", ReplayMode::timed}, {"asap", ReplayMode::asap}},
        "think: callers wait for answers and think as long as they did; timed: at the "
        "recorded times; asap: without pauses");
    map.field("speed", workload.speed, 1e-6, 1e6, "2 halves think times and gaps");
    map.field("threads", workload.threads, 1, 100'000, "threads that issue operations");
    map.section("files", workload.files, "what each thread finds in its directory");
    map.section("operations", workload.operations, "what each thread does");
    map.field("order",
              workload.order,
              {{"cycle", NativeConfig::Order::cycle}, {"random", NativeConfig::Order::random}},
              "cycle: one operation of the list after the other; random: drawn by weight");
    map.field("direct", workload.direct, "files are opened with O_DIRECT");
    map.field("cache",
              workload.cache,
              {{"warm", NativeConfig::Cache::warm}, {"cold", NativeConfig::Cache::cold}},
              "cold: what the mount has cached of a thread's files is dropped before each pass");
    map.field("think", workload.think, "time asleep between two operations of a thread");
    map.field("compute",
              workload.compute,
              sim::Time(),
              3600_s,
              "what a thread computes for each operation, outside of the call");
    map.field("rate", workload.rate, "open loop: operations per second of all threads together");
    map.field("arrival",
              workload.arrival,
              {{"poisson", NativeConfig::Arrival::poisson}, {"even", NativeConfig::Arrival::even}},
              "open loop: when operations arrive");
    check_operations(map, workload);
    map.field("affinity", workload.affinity, 0, 1023, "cores the callers may run on");
    map.field(
        "recorder",
        workload.recorder,
        "the recorder's own costs are simulated too, so that a replay can be compared; true by "
        "default for traces of `fusesim record`");
}

void bind(config::Map& map, RunConfig& run) {
    map.field("seed", run.seed, "of all random streams");
    map.field("warm_up", run.warm_up, sim::Time(), 86'400_s, "left out of the result");
    map.field("duration", run.duration, 1_us, 86'400_s, "of what is reported; default 1 s");
    map.field("operations",
              run.operations,
              1,
              1'000'000'000'000,
              "of each thread; the run ends when all have done theirs");
    map.check(!run.duration || !run.operations, "operations", "and duration exclude each other");
    map.field("repeat", run.repeat, 1, 1000, "runs, of which the spread is reported");
    map.section(
        "stop", run.stop, "more runs, with other seeds, until a number is known well enough");
}

void bind(config::Map& map, StopConfig& stop) {
    map.field("metric", stop.metric, "the number, by its name in an slo");
    map.field("rel_err",
              stop.rel_err,
              config::Percent{1e-6},
              config::Percent{1},
              "half its confidence interval");
    map.field("confidence",
              stop.confidence,
              config::Percent{0.5},
              config::Percent{0.9999},
              "of that interval");
    map.field("most", stop.most, 3, 10'000, "runs after which it is given up");
}

void bind(config::Map& map, FaultConfig& fault) {
    using Kind = FaultConfig::Kind;
    map.field("kind",
              fault.kind,
              {{"stall", Kind::stall}, {"crash", Kind::crash}, {"reclaim", Kind::reclaim}},
              "stall: the daemon is stopped for a while (SIGSTOP, SIGCONT); crash: it is killed "
              "(SIGKILL), and the connection aborted; reclaim: memory is short, and the kernel "
              "gives up names and files that nobody uses: FORGETs");
    map.field("at", fault.at, sim::Time(), 86'400_s, "when, after the warm-up");
    map.field("for", fault.lasts, 1_us, 86'400_s, "how long a stall lasts");
    map.check((fault.kind == Kind::stall) == fault.lasts.has_value(),
              "for",
              fault.lasts ? "is for a stall only" : "is missing: how long does the stall last?");
}

void bind(config::Map& map, Scenario& scenario) {
    map.field("schema_version", scenario.schema_version, 1, 1, "version of this format");
    map.section("host", scenario.host, "the machine; a built-in one if absent");
    map.section("kernel", scenario.kernel, "kernel behaviour");
    map.section("mount", scenario.mount, "options of the mount");
    map.section("daemon", scenario.daemon, "the file system in user space");
    map.section("lower", scenario.lower, "the file system below a stacking daemon");
    map.section("device", scenario.device, "what the lower file system lies on");
    map.section("workload", scenario.workload, "who asks for what");
    map.section("run", scenario.run, "how the simulation runs");
    map.section("faults", scenario.faults, "what goes wrong meanwhile");
    if (map.mode() != config::Map::Mode::echo) {  // no part of what one experiment depends on
        map.field(
            "sweep",
            scenario.sweep,
            "values of settings that `fusesim sweep` combines, or ranges: 1..8, 4..1024*4 KiB");
    }
    if (const auto& file = scenario.workload.from_file;
        file && !scenario.run.duration && !scenario.run.operations) {
        scenario.run.duration = file->duration;
        scenario.run.operations = file->steps;
        scenario.run.warm_up =
            scenario.run.warm_up == sim::Time() ? file->warm_up : scenario.run.warm_up;
    }
    map.field("slo", scenario.slo, "what is wanted; exit code 1 where it is missed");
}

host::HostProfile built_in_host() {
    const auto document =
        config::Document::parse(std::string(built_in_host_yaml), "built-in host profile");
    return config::read<host::HostProfile>(document);
}

}  // namespace fusesim::system

namespace fusesim::config {

using fusesim::system::Threads;

Threads Format<Threads>::parse(std::string_view text) {
    if (text == "single") {
        return {false, std::nullopt};
    }
    if (text == "multi") {
        return {true, std::nullopt};
    }
    unsigned most = 0;
    try {
        most = Format<unsigned>::parse(text);
    } catch (const Mismatch&) {
        throw Mismatch("is neither single nor multi nor a number");
    }
    if (most < 1 || most > 100'000) {
        throw Mismatch("is outside 1..100000");
    }
    return {true, most};
}

std::string Format<Threads>::text(const Threads& value) {
    if (!value.multi) {
        return "single";
    }
    return value.most ? std::to_string(*value.most) : "multi";
}

}  // namespace fusesim::config
