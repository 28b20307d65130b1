#include "system/simulation.h"

#include "daemon/session.h"
#include "daemon/stackfs.h"
#include "fuse/kernel.h"
#include "fuse/sizes.h"
#include "host/cpu.h"
#include "lower/costs.h"
#include "report/repeats.h"
#include "sim/distribution_format.h"
#include "sim/engine.h"
#include "sim/fresh_context.h"
#include "system/recorded_facts.h"
#include "system/storage.h"
#include "trace/reader.h"
#include "transport/channels.h"
#include "transport/dev_fuse.h"
#include "transport/rings.h"
#include "transport/transport.h"
#include "transport/uring.h"
#include "vfs/local_mount.h"
#include "vfs/mount.h"
#include "workload/native.h"
#include "workload/replay.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <stdexcept>

namespace fusesim::system {

using host::Work;
using sim::Time;

namespace {

/// libfuse's generations of the multi-threaded loop: fuse_loop_mt.c.
daemon::SessionConfig session_config(const DaemonConfig& daemon, const MountConfig& mount) {
    daemon::SessionConfig config;
    config.multi_threaded = daemon.threads->multi;
    unsigned major = 3;
    unsigned minor = 14;
    std::sscanf(daemon.libfuse.c_str(), "%u.%u", &major, &minor);
    const bool bounded = major > 3 || (major == 3 && minor >= 12);
    config.max_threads = daemon.threads->most ? static_cast<int>(*daemon.threads->most)
                         : bounded            ? 10
                                              : -1;
    config.max_idle_threads = daemon.max_idle_threads.value_or(bounded ? -1 : 10);
    config.clone_fd = mount.clone_fd;
    config.affinity = daemon.affinity.value_or(host::Affinity{});
    config.forgets_count_as_work = mount.splice_read;
    return config;
}

const char* to_text(LowerConfig::Kind kind) {
    return kind == LowerConfig::Kind::tmpfs ? "tmpfs" : "ext4";
}

std::unique_ptr<daemon::FileSystem> make_file_system(const Scenario& scenario,
                                                     const host::Costs& costs,
                                                     lower::Ext4* disk) {
    const DaemonConfig& daemon = scenario.daemon;
    const std::uint64_t seed = scenario.run.seed;
    if (daemon.filesystem == DaemonConfig::Kind::stackfs) {
        return std::make_unique<daemon::StackFs>(
            costs.lower.at(to_text(scenario.lower.filesystem)), disk, seed);
    }
    if (daemon.filesystem == DaemonConfig::Kind::null ||
        daemon.filesystem == DaemonConfig::Kind::none) {
        return std::make_unique<daemon::NullFs>();
    }
    daemon::ServiceTimes times;
    for (const auto& [name, service] : daemon.service) {
        const daemon::ServiceTime time{service.cpu, service.blocked};
        if (const auto opcode = fuse::parse_opcode(name)) {
            times.by_opcode[*opcode] = time;
        } else {
            times.other = time;
        }
    }
    const bool recorded = daemon.filesystem == DaemonConfig::Kind::recorded;
    return std::make_unique<daemon::ServiceTimeFs>(
        std::move(times), recorded, seed, recorded || daemon.service_includes_library);
}

fuse::ConnectionConfig connection_config(const Scenario& scenario, unsigned protocol_minor) {
    fuse::ConnectionConfig config;
    config.limits.max_background = *scenario.mount.max_background;
    config.limits.congestion_threshold = *scenario.mount.congestion_threshold;
    config.max_write = static_cast<std::uint32_t>(scenario.mount.max_write.count);
    if (protocol_minor != 0) {
        config.protocol_minor = protocol_minor;
    }
    return config;
}

transport::DevFuseConfig dev_config(const MountConfig& mount) {
    transport::DevFuseConfig config;
    config.splice_read = mount.splice_read;
    config.splice_write = mount.splice_write;
    config.splice_move = mount.splice_move;
    config.read_buffer = static_cast<std::uint32_t>(mount.max_write.count) + 4096;
    return config;
}

std::unique_ptr<transport::Transport> make_transport(const Scenario& scenario,
                                                     host::Cpu& cpu,
                                                     const fuse::KernelBehaviour& kernel,
                                                     unsigned protocol_minor) {
    const fuse::ConnectionConfig connection = connection_config(scenario, protocol_minor);
    const transport::DevFuseConfig dev = dev_config(scenario.mount);
    const MountConfig& mount = scenario.mount;
    switch (mount.transport) {
        case MountConfig::Transport::io_uring:
            return std::make_unique<transport::Uring>(
                cpu, kernel, connection, dev, transport::UringConfig{*mount.io_uring_q_depth});
        case MountConfig::Transport::channels:
            return std::make_unique<transport::Channels>(
                cpu, kernel, connection, dev, *mount.channels);
        case MountConfig::Transport::rings:
            return std::make_unique<transport::Rings>(
                cpu, kernel, connection, *mount.rings, scenario.run.seed);
        case MountConfig::Transport::dev_fuse:
            break;
    }
    return std::make_unique<transport::DevFuse>(cpu, kernel, connection, dev);
}

vfs::MountSettings mount_settings(const MountConfig& mount,
                                  const fuse::KernelBehaviour& kernel,
                                  bool stacked) {
    vfs::MountSettings settings;
    settings.entry_timeout = *mount.entry_timeout;
    settings.attr_timeout = *mount.attr_timeout;
    settings.negative_timeout = *mount.negative_timeout;
    settings.direct_io = *mount.direct_io;
    settings.keep_cache = *mount.keep_cache;
    settings.writeback_cache = *mount.writeback_cache;
    settings.passthrough = mount.passthrough;
    settings.knows_capabilities = !stacked;  // else its own layout has asked
    settings.max_write = static_cast<std::uint32_t>(mount.max_write.count);
    settings.max_pages = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
        mount.max_write.count / fuse::kernel_page_bytes, 1, kernel.max_max_pages));
    settings.readahead_pages = mount.max_readahead->count / fuse::kernel_page_bytes;
    settings.protocol_minor = kernel.protocol_minor;
    settings.cached_below = stacked;
    return settings;
}

/// Reads and writes below the daemon, in the caller's own call.
class LowerBacking final : public vfs::Backing {
  public:
    LowerBacking(const host::LowerCosts& lower, lower::Ext4* disk) : lower_(lower), disk_(disk) {}

    sim::Task<> read(host::Thread& thread,
                     std::uint64_t nodeid,
                     std::uint64_t offset,
                     std::uint64_t bytes) override {
        co_await thread.run(lower::data_time(lower_, lower_.read, bytes, thread.cpu().memory()));
        if (disk_ != nullptr) {
            co_await disk_->read(thread, nodeid, offset, bytes);
        }
    }

    sim::Task<> write(host::Thread& thread,
                      std::uint64_t nodeid,
                      std::uint64_t offset,
                      std::uint64_t bytes) override {
        co_await thread.run(lower::data_time(lower_, lower_.write, bytes, thread.cpu().memory()));
        if (disk_ != nullptr) {
            co_await disk_->write(thread, nodeid, offset, bytes);
        }
    }

  private:
    const host::LowerCosts& lower_;
    lower::Ext4* disk_;
};

/// Everything below the workload, in the order in which it must be taken down again.
class Stack {
  public:
    Stack(const Scenario& scenario, unsigned protocol_minor)
        : kernel_(fuse::nearest_kernel_behaviour(scenario.kernel.version)),
          cpu_(engine_, *scenario.host, scenario.run.seed),
          dev_(make_transport(scenario, cpu_, kernel_, protocol_minor)),
          storage_(scenario.device ? std::make_unique<Storage>(cpu_, scenario) : nullptr),
          file_system_(make_file_system(scenario, cpu_.costs(), disk())),
          session_(*dev_, *file_system_, session_config(scenario.daemon, scenario.mount)),
          has_daemon_(scenario.daemon.filesystem != DaemonConfig::Kind::none) {}

    ~Stack() {
        engine_.kill_all();
        dev_.reset();  // its queues let go of the requests that the workload owns
    }

    void replay(const WorkloadConfig& workload,
                trace::Reader& reader,
                const std::function<void(double)>& progress) {
        replay_ = std::make_unique<workload::Replay>(
            *dev_,
            reader,
            workload::ReplayConfig{workload.mode,
                                   workload.speed,
                                   workload.affinity.value_or(host::Affinity{}),
                                   progress});
    }

    void operate(const Scenario& scenario, const std::function<void(double)>& progress) {
        if (scenario.daemon.filesystem == DaemonConfig::Kind::none) {
            mount_ = std::make_unique<vfs::LocalMount>(
                cpu_, lower_costs(scenario), disk(), scenario.run.seed);
        } else {
            if (scenario.mount.passthrough) {
                backing_ = std::make_unique<LowerBacking>(lower_costs(scenario), disk());
            }
            const bool stacked = scenario.daemon.filesystem == DaemonConfig::Kind::stackfs;
            mount_ = std::make_unique<vfs::Mount>(*dev_,
                                                  kernel_,
                                                  mount_settings(scenario.mount, kernel_, stacked),
                                                  backing_.get(),
                                                  disk());
        }
        native_ = std::make_unique<workload::Native>(
            *mount_,
            cpu_,
            scenario.workload,
            workload::NativeRun{scenario.run.warm_up,
                                scenario.run.duration,
                                scenario.run.operations,
                                scenario.run.seed,
                                scenario.workload.affinity.value_or(host::Affinity{}),
                                [this] { begin_window(); },
                                [this] { quiesce(); },
                                progress});
    }

    void run() {
        engine_.run();
        dev_->check(engine_.now());
        session_.check(engine_.now());
        if (storage_) {
            storage_->check(engine_.now());
        }
    }

    const sim::Engine& engine() const { return engine_; }

    const host::Cpu& cpu() const { return cpu_; }

    const transport::Transport& dev() const { return *dev_; }

    const daemon::Session& session() const { return session_; }

    /// Null unless the workload is a recording.
    const workload::Replay* replay() const { return replay_.get(); }

    /// Null unless the workload is a list of operations.
    const workload::Native* native() const { return native_.get(); }

    const vfs::FileTree* mount() const { return mount_.get(); }

    bool has_daemon() const { return has_daemon_; }

    /// Null without a device.
    const Storage* storage() const { return storage_.get(); }

    Time application_time(Work work) const {
        return replay_ ? replay_->cpu_time(work) : native_->cpu_time(work);
    }

  private:
    void begin_window() {
        const Time now = engine_.now();
        cpu_.begin_window(now);
        dev_->begin_window(now);
        session_.begin_window(now);
        if (storage_) {
            storage_->begin_window(now);
        }
    }

    /// The workload is over: what the kernel would do later is not waited for.
    void quiesce() {
        if (storage_) {
            storage_->disk().quiesce();
        }
    }

    lower::Ext4* disk() { return storage_ ? &storage_->disk() : nullptr; }

    const host::LowerCosts& lower_costs(const Scenario& scenario) const {
        return cpu_.costs().lower.at(to_text(scenario.lower.filesystem));
    }

    sim::FreshContext context_;
    sim::Engine engine_;
    const fuse::KernelBehaviour& kernel_;
    host::Cpu cpu_;
    std::unique_ptr<transport::Transport> dev_;
    std::unique_ptr<Storage> storage_;
    std::unique_ptr<daemon::FileSystem> file_system_;
    daemon::Session session_;
    std::unique_ptr<vfs::Backing> backing_;
    std::unique_ptr<vfs::FileTree> mount_;
    std::unique_ptr<workload::Replay> replay_;
    std::unique_ptr<workload::Native> native_;
    bool has_daemon_;
};

double seconds(sim::Wide ps, std::uint64_t count) {
    return count > 0 ? static_cast<double>(ps) * 1e-12 / static_cast<double>(count) : 0;
}

report::Phases phases_of(const transport::OpcodeStatistics& s) {
    return {seconds(s.background, s.count),
            seconds(s.queue, s.count),
            seconds(s.processing, s.count),
            seconds(s.reply, s.count)};
}

report::Latency latency_of(const sim::Tally& tally) {
    return {tally.mean_seconds(),
            tally.quantile_seconds(0.5),
            tally.quantile_seconds(0.95),
            tally.quantile_seconds(0.99),
            tally.quantile_seconds(0.999),
            tally.max_seconds()};
}

void report_requests(const Stack& stack, report::Result& result) {
    for (const auto& [opcode, s] : stack.dev().statistics().by_opcode()) {
        report::Request request;
        request.count = s.count;
        request.bytes_in = s.bytes_in;
        request.bytes_out = s.bytes_out;
        request.latency = latency_of(s.latency);
        request.phases = phases_of(s);
        result.requests.emplace_back(fuse::to_text(opcode), request);
    }
}

/// A replay knows requests only: these are its operations.
void report_replay_throughput(const Stack& stack, report::Result& result) {
    if (result.duration_s <= 0) {
        return;
    }
    for (const auto& [opcode, s] : stack.dev().statistics().by_opcode()) {
        if (opcode == fuse::Opcode::read || opcode == fuse::Opcode::write) {
            const bool read = opcode == fuse::Opcode::read;
            const double headers = static_cast<double>(s.count) * (read ? 16 : 80);
            const double bytes = static_cast<double>(read ? s.bytes_out : s.bytes_in) - headers;
            (read ? result.throughput.read_bytes_per_s : result.throughput.write_bytes_per_s) =
                bytes / result.duration_s;
        }
    }
    result.throughput.ops_per_s =
        static_cast<double>(stack.dev().statistics().total()) / result.duration_s;
}

void report_operations(const Stack& stack, report::Result& result) {
    const workload::Native& native = *stack.native();
    for (const workload::CallStatistics* call : native.calls()) {
        report::Operation operation;
        operation.count = call->count;
        operation.latency = latency_of(call->latency);
        if (result.duration_s > 0) {
            operation.per_s = static_cast<double>(call->count) / result.duration_s;
            const double bytes_per_s = static_cast<double>(call->bytes) / result.duration_s;
            if (call->name == to_text(workload::Op::read)) {
                result.throughput.read_bytes_per_s = bytes_per_s;
            } else {
                result.throughput.write_bytes_per_s += bytes_per_s;
            }
        }
        result.operations.emplace_back(call->name, operation);
    }
    if (result.duration_s > 0) {
        result.throughput.ops_per_s = static_cast<double>(native.steps()) / result.duration_s;
    }
    result.memory.emplace_back(
        "page_cache_bytes",
        static_cast<double>(stack.mount()->cached_pages()) * fuse::kernel_page_bytes);
    if (const Storage* storage = stack.storage()) {
        result.memory.emplace_back(
            "lower_page_cache_bytes",
            static_cast<double>(storage->cached_pages()) * fuse::kernel_page_bytes);
    }
}

void report_stations(const Stack& stack, report::Result& result) {
    const Time now = stack.engine().now();
    if (stack.has_daemon()) {
        for (const sim::Station* station : stack.dev().stations()) {
            result.stations.push_back(station_of(*station, now));
        }
        result.stations.push_back(station_of(stack.session().station(), now));
    }
    if (const Storage* storage = stack.storage()) {
        const std::vector<report::Station> below = storage->stations(now);
        result.stations.insert(result.stations.end(), below.begin(), below.end());
    }
    for (const auto& core : stack.cpu().cores()) {
        report::Station station;
        station.name = fmt::format("core[{}]", core->id());
        station.utilisation = core->busy().mean(now);
        result.stations.push_back(station);
    }
    result.bottleneck = report::busiest(result.stations);
    const daemon::Session& session = stack.session();
    result.cpu = report::Cpu{
        stack.application_time(Work::user).seconds(),
        session.cpu_time(Work::user).seconds(),
        (stack.application_time(Work::kernel) + session.cpu_time(Work::kernel)).seconds()};
}

report::Comparison compare(const Stack& stack, const WorkloadConfig& workload) {
    report::Comparison comparison;
    comparison.trace = workload.trace.written;
    comparison.mode = workload.mode == workload::ReplayMode::think   ? "think"
                      : workload.mode == workload::ReplayMode::timed ? "timed"
                                                                     : "asap";
    const auto& simulated = stack.dev().statistics().by_opcode();
    for (const auto& [opcode, r] : stack.replay()->recorded()) {
        report::Compared both;
        both.recorded = {r.count,
                         r.latency.mean_seconds(),
                         r.latency.quantile_seconds(0.5),
                         r.latency.quantile_seconds(0.99),
                         std::nullopt};
        if (r.timed > 0) {
            both.recorded.phases = report::Phases{std::nullopt,
                                                  seconds(r.queue, r.timed),
                                                  seconds(r.processing, r.timed),
                                                  seconds(r.reply, r.timed)};
        }
        if (const auto found = simulated.find(opcode); found != simulated.end()) {
            const transport::OpcodeStatistics& s = found->second;
            both.simulated = {s.count,
                              s.latency.mean_seconds(),
                              s.latency.quantile_seconds(0.5),
                              s.latency.quantile_seconds(0.99),
                              phases_of(s)};
        }
        comparison.requests.emplace_back(fuse::to_text(opcode), both);
    }
    return comparison;
}

report::Simulator simulator_of(const Stack& stack, double cpu_s) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    report::Simulator simulator;
    simulator.requests = stack.dev().statistics().total();
    simulator.events = stack.engine().events();
    simulator.cpu_s = cpu_s;
    simulator.requests_per_cpu_s = cpu_s > 0 ? static_cast<double>(simulator.requests) / cpu_s : 0;
    simulator.peak_rss_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
    return simulator;
}

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
void settle(Scenario& scenario) {
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
        scenario.daemon.filesystem = scenario.workload.trace.empty() ? DaemonConfig::Kind::null
                                                                     : DaemonConfig::Kind::recorded;
    }
    if (scenario.workload.trace.empty()) {
        settle_caches(mount);
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

struct Prepared {
    std::unique_ptr<trace::Reader> reader;  ///< null unless the workload is a recording
    Scenario scenario;
};

/// What a list of operations needs that a scenario may lack.
void check_operations(const Scenario& scenario, const config::Document& document) {
    config::Problems problems;
    const DaemonConfig& daemon = scenario.daemon;
    const MountConfig& mount = scenario.mount;
    const bool stackfs = daemon.filesystem == DaemonConfig::Kind::stackfs;
    if (daemon.filesystem == DaemonConfig::Kind::recorded) {
        problems.add(document.place("daemon.filesystem"),
                     "filesystem: recorded needs a trace",
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
    const char* lower = to_text(scenario.lower.filesystem);
    if (uses_lower && scenario.host->costs.lower.count(lower) == 0) {
        problems.add(document.place("lower.filesystem"),
                     std::string("the host profile has no costs of ") + lower,
                     "fusesim calibrate measures them");
    }
    problems.raise();
}

/// Takes over what a trace knows, fills in defaults, and refuses what cannot work.
Prepared prepare(const Scenario& given, const config::Document& document) {
    Prepared prepared{nullptr, given};
    Scenario& scenario = prepared.scenario;
    if (given.workload.trace.empty()) {
        if (given.workload.operations.empty()) {
            throw config::Error(document.place("workload"),
                                "the workload has neither a trace nor operations",
                                "e.g. workload: {operations: [{op: read, size: 4 KiB}]}");
        }
        settle(scenario);
        check_operations(scenario, document);
    } else {
        prepared.reader = std::make_unique<trace::Reader>(given.workload.trace.path);
        const trace::Header& header = prepared.reader->header();
        refuse_above_layer(header, given, document);
        take_over_facts(header, scenario);
        settle(scenario);
    }
    check_affinity(scenario, document);
    check_transport(scenario, document);
    return prepared;
}

}  // namespace

void check(const Scenario& scenario, const config::Document& document) {
    prepare(scenario, document);
}

namespace {

Outcome simulate_once(const Scenario& given,
                      const config::Document& document,
                      const SimulateOptions& options) {
    Prepared prepared = prepare(given, document);
    Scenario& scenario = prepared.scenario;
    const std::clock_t began = std::clock();
    Outcome outcome;
    report::Result& result = outcome.result;
    result.seed = scenario.run.seed;
    result.config = config::echo(scenario);
    Stack stack(scenario, prepared.reader ? prepared.reader->header().protocol_minor : 0);
    if (prepared.reader) {
        stack.replay(scenario.workload, *prepared.reader, options.progress);
    } else {
        stack.operate(scenario, options.progress);
    }
    try {
        stack.run();
    } catch (const workload::NoTimePasses& stuck) {
        throw config::Error(document.place("workload.operations"),
                            stuck.what(),
                            "give the host profile costs of these calls, or set workload.think, "
                            "workload.rate or run.operations");
    }
    const double cpu_s = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;

    report_requests(stack, result);
    report_stations(stack, result);
    if (const workload::Replay* replay = stack.replay()) {
        if (replay->records() == 0) {
            throw config::Error(document.place("workload.trace"),
                                given.workload.trace.written + " holds no record",
                                "was there any load on the mount while it was recorded?");
        }
        result.duration_s = stack.engine().now().seconds();
        report_replay_throughput(stack, result);
        result.comparison = compare(stack, scenario.workload);
        outcome.warnings = replay->warnings();
    } else {
        result.warm_up_s = scenario.run.warm_up.seconds();
        result.duration_s = stack.native()->window().seconds();
        report_operations(stack, result);
    }
    if (options.timing) {
        result.simulator = simulator_of(stack, cpu_s);
    }
    return outcome;
}

}  // namespace

Outcome simulate(const Scenario& given,
                 const config::Document& document,
                 const SimulateOptions& options) {
    Outcome outcome = simulate_once(given, document, options);
    if (given.run.repeat <= 1) {
        return outcome;
    }
    std::vector<report::Result> runs{outcome.result};
    for (unsigned i = 1; i < given.run.repeat; ++i) {
        Scenario next = given;
        next.run.seed += i;
        runs.push_back(simulate_once(next, document, options).result);
    }
    outcome.result = report::pooled(runs);
    return outcome;
}

}  // namespace fusesim::system
