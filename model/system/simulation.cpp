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
#include "system/course.h"
#include "system/faults.h"
#include "system/prepare.h"
#include "system/recorded_facts.h"
#include "system/storage.h"
#include "trace/names.h"
#include "trace/reader.h"
#include "transport/channels.h"
#include "transport/dev_fuse.h"
#include "transport/rings.h"
#include "transport/transport.h"
#include "transport/uring.h"
#include "vfs/local_mount.h"
#include "vfs/mount.h"
#include "workload/call_plan.h"
#include "workload/call_replay.h"
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

std::unique_ptr<daemon::FileSystem> make_file_system(const Scenario& scenario,
                                                     const host::Costs& costs,
                                                     lower::Ext4* disk) {
    const DaemonConfig& daemon = scenario.daemon;
    const std::uint64_t seed = scenario.run.seed;
    if (daemon.filesystem == DaemonConfig::Kind::stackfs) {
        return std::make_unique<daemon::StackFs>(
            costs.lower.at(lower_name(scenario.lower.filesystem)), disk, seed);
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
                                                     unsigned protocol_minor,
                                                     const Parts& parts) {
    const fuse::ConnectionConfig connection = connection_config(scenario, protocol_minor);
    const transport::DevFuseConfig dev = dev_config(scenario.mount);
    if (parts.transport) {
        return parts.transport(cpu, kernel, connection, dev);
    }
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

std::unique_ptr<Storage> make_storage(const Scenario& scenario,
                                      host::Cpu& cpu,
                                      const Parts& parts) {
    if (!scenario.device) {
        return nullptr;
    }
    sim::Engine& engine = cpu.engine();
    return std::make_unique<Storage>(
        cpu,
        scenario,
        parts.device ? parts.device(engine, *scenario.device)
                     : device::make_device(engine, "device", *scenario.device, scenario.run.seed));
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
    settings.extfuse = mount.extfuse;
    settings.default_permissions = *mount.default_permissions;
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
        thread.charge(thread.cpu().costs().vfs.passthrough_read);
        co_await thread.run(lower::data_time(lower_, lower_.read, bytes, thread.cpu().memory()));
        if (disk_ != nullptr) {
            co_await disk_->read(thread, nodeid, offset, bytes);
        }
    }

    sim::Task<> write(host::Thread& thread,
                      std::uint64_t nodeid,
                      std::uint64_t offset,
                      std::uint64_t bytes) override {
        thread.charge(thread.cpu().costs().vfs.passthrough_write);
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
    Stack(const Scenario& scenario, unsigned protocol_minor, const Parts& parts)
        : kernel_(fuse::nearest_kernel_behaviour(scenario.kernel.version)),
          cpu_(engine_, *scenario.host, scenario.run.seed),
          dev_(make_transport(scenario, cpu_, kernel_, protocol_minor, parts)),
          storage_(make_storage(scenario, cpu_, parts)),
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

    /// Makes the calls of a recording again.
    void replay_calls(const Scenario& scenario,
                      trace::Reader& reader,
                      const std::function<void(double)>& progress) {
        plan_ = std::make_unique<workload::CallPlan>(reader);
        vfs::MountSettings settings = settings_of(scenario);
        settings.knows_capabilities = false;
        settings.auto_inval_data = true;
        settings.reuse_inodes = false;
        settings.extended_attributes = plan_->extended_attributes();
        auto mount = make_mount(scenario, settings);
        calls_ = std::make_unique<workload::CallReplay>(
            *mount,
            cpu_,
            *plan_,
            workload::ReplayConfig{scenario.workload.mode,
                                   scenario.workload.speed,
                                   scenario.workload.affinity.value_or(host::Affinity{}),
                                   progress},
            [this] { quiesce(); });
        mount_ = std::move(mount);
    }

    void operate(const Scenario& scenario, const std::function<void(double)>& progress) {
        if (scenario.daemon.filesystem == DaemonConfig::Kind::none) {
            mount_ = std::make_unique<vfs::LocalMount>(
                cpu_, lower_costs(scenario), disk(), scenario.run.seed);
        } else {
            mount_ = make_mount(scenario, settings_of(scenario));
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

    /// Lets go wrong what is to go wrong; call it after operate().
    void break_down(const Scenario& scenario) {
        if (!scenario.faults.empty() || scenario.mount.request_timeout) {
            faults_ = std::make_unique<Faults>(engine_, *dev_, session_, *mount_, scenario);
        }
    }

    /// Null if nothing goes wrong.
    const Faults* faults() const { return faults_.get(); }

    /// Follows how the run goes; call it after replay() or operate().
    void follow(const Scenario& scenario) {
        constexpr std::int64_t intervals = Course::most_intervals / 2;
        const Time interval =
            scenario.run.duration ? *scenario.run.duration / intervals : Time::from_ns(1'000'000);
        course_ =
            std::make_unique<Course>(Course::Sources{[this] { return operation_latencies(); },
                                                     [this] { return request_latencies(); },
                                                     [this](Time now) { return stations(now); }},
                                     interval);
        engine_.observe(interval, [this] { return course_->sample(engine_.now()); });
    }

    void keep_requests(std::size_t most) { dev_->keep_requests(most); }

    /// Null without one.
    const vfs::Extfuse* extfuse() const { return extfuse_; }

    /// Null unless it was followed.
    Course* course() const { return course_.get(); }

    std::vector<report::Station> stations(Time now) const {
        std::vector<report::Station> all;
        if (has_daemon_) {
            for (const sim::Station* station : dev_->stations()) {
                all.push_back(station_of(*station, now));
            }
            all.push_back(station_of(session_.station(), now));
        }
        if (storage_) {
            const std::vector<report::Station> below = storage_->stations(now);
            all.insert(all.end(), below.begin(), below.end());
        }
        for (const auto& core : cpu_.cores()) {
            report::Station station;
            station.name = fmt::format("core[{}]", core->id());
            station.utilisation = core->busy().mean(now);
            all.push_back(station);
        }
        return all;
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

    /// Null unless it is a recording of calls.
    const workload::CallReplay* calls() const { return calls_.get(); }

    /// Null unless the workload is a list of operations.
    const workload::Native* native() const { return native_.get(); }

    const vfs::FileTree* mount() const { return mount_.get(); }

    bool has_daemon() const { return has_daemon_; }

    /// Null without a device.
    const Storage* storage() const { return storage_.get(); }

    /// What threads computed within the window.
    report::Cpu spent() const {
        const report::Cpu all = spent_in_all();
        return {all.application_s - before_window_.application_s,
                all.daemon_s - before_window_.daemon_s,
                all.kernel_s - before_window_.kernel_s,
                all.daemon_kernel_s - before_window_.daemon_kernel_s,
                all.context_switches - before_window_.context_switches};
    }

  private:
    vfs::MountSettings settings_of(const Scenario& scenario) const {
        return mount_settings(
            scenario.mount, kernel_, scenario.daemon.filesystem == DaemonConfig::Kind::stackfs);
    }

    std::unique_ptr<vfs::Mount> make_mount(const Scenario& scenario,
                                           const vfs::MountSettings& settings) {
        if (scenario.mount.passthrough) {
            backing_ = std::make_unique<LowerBacking>(lower_costs(scenario), disk());
        }
        auto mount = std::make_unique<vfs::Mount>(*dev_, kernel_, settings, backing_.get(), disk());
        extfuse_ = mount->extfuse();
        return mount;
    }

    Time application_time(Work work) const {
        return replay_  ? replay_->cpu_time(work)
               : calls_ ? calls_->cpu_time(work)
                        : native_->cpu_time(work);
    }

    report::Cpu spent_in_all() const {
        const Time daemon_kernel = session_.cpu_time(Work::kernel);
        return {application_time(Work::user).seconds(),
                session_.cpu_time(Work::user).seconds(),
                (application_time(Work::kernel) + daemon_kernel).seconds(),
                daemon_kernel.seconds(),
                static_cast<double>(cpu_.context_switches())};
    }

    void begin_window() {
        before_window_ = spent_in_all();
        const Time now = engine_.now();
        cpu_.begin_window(now);
        dev_->begin_window(now);
        session_.begin_window(now);
        if (storage_) {
            storage_->begin_window(now);
        }
        if (extfuse_ != nullptr) {
            extfuse_->begin_window();
        }
        if (course_) {
            course_->begin(now);
        }
    }

    Course::Tallies operation_latencies() const {
        Course::Tallies all;
        if (native_) {
            for (const workload::CallStatistics* call : native_->calls()) {
                all.emplace_back(call->name, &call->latency);
            }
        }
        if (calls_) {
            for (const auto& [call, times] : calls_->simulated()) {
                all.emplace_back(
                    trace::opcode_text(trace::Layer::syscall, static_cast<std::uint32_t>(call)),
                    &times.latency);
            }
        }
        return all;
    }

    Course::Tallies request_latencies() const {
        Course::Tallies all;
        for (const auto& [opcode, statistics] : dev_->statistics().by_opcode()) {
            all.emplace_back(fuse::to_text(opcode), &statistics.latency);
        }
        return all;
    }

    /// The workload is over: what the kernel would do later is not waited for.
    void quiesce() {
        if (storage_) {
            storage_->disk().quiesce();
        }
        if (faults_) {
            faults_->quiesce();
        }
    }

    lower::Ext4* disk() { return storage_ ? &storage_->disk() : nullptr; }

    const host::LowerCosts& lower_costs(const Scenario& scenario) const {
        return cpu_.costs().lower.at(lower_name(scenario.lower.filesystem));
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
    vfs::Extfuse* extfuse_ = nullptr;
    std::unique_ptr<vfs::FileTree> mount_;
    std::unique_ptr<workload::Replay> replay_;
    std::unique_ptr<workload::CallPlan> plan_;
    std::unique_ptr<workload::CallReplay> calls_;
    std::unique_ptr<workload::Native> native_;
    std::unique_ptr<Course> course_;
    std::unique_ptr<Faults> faults_;
    report::Cpu before_window_;
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

void report_memory(const Stack& stack, report::Result& result) {
    result.memory.emplace_back(
        "page_cache_bytes",
        static_cast<double>(stack.mount()->cached_pages()) * fuse::kernel_page_bytes);
    // /proc/slabinfo of Linux 6.18: fuse_inode 896, dentry 192.
    constexpr double inode_bytes = 896 + 192;
    const auto inodes = static_cast<double>(stack.mount()->cached_inodes());
    result.memory.emplace_back("inodes", inodes);
    result.memory.emplace_back("inodes_bytes", inodes * inode_bytes);
    if (const Storage* storage = stack.storage()) {
        result.memory.emplace_back(
            "lower_page_cache_bytes",
            static_cast<double>(storage->cached_pages()) * fuse::kernel_page_bytes);
    }
}

void report_extfuse(const Stack& stack, report::Result& result) {
    const vfs::Extfuse* const extfuse = stack.extfuse();
    if (extfuse == nullptr) {
        return;
    }
    for (const auto& [opcode, count] : extfuse->counts()) {
        result.extfuse.emplace_back(fuse::to_text(opcode),
                                    report::Answers{count.answered, count.passed});
    }
    result.memory.emplace_back("extfuse_entries", static_cast<double>(extfuse->entries()));
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
    report_memory(stack, result);
}
void report_calls(const Stack& stack, report::Result& result) {
    std::uint64_t all = 0;
    const double seconds = result.duration_s;
    for (const auto& [call, times] : stack.calls()->simulated()) {
        report::Operation operation;
        operation.count = times.count;
        operation.latency = latency_of(times.latency);
        operation.per_s = seconds > 0 ? static_cast<double>(times.count) / seconds : 0;
        all += times.count;
        if (seconds > 0 && (call == trace::Call::read || call == trace::Call::write)) {
            (call == trace::Call::read ? result.throughput.read_bytes_per_s
                                       : result.throughput.write_bytes_per_s) =
                static_cast<double>(times.bytes) / seconds;
        }
        result.operations.emplace_back(
            trace::opcode_text(trace::Layer::syscall, static_cast<std::uint32_t>(call)), operation);
    }
    result.throughput.ops_per_s = seconds > 0 ? static_cast<double>(all) / seconds : 0;
    report_memory(stack, result);
}

/// What the library allocates to receive requests: a buffer for each worker that there was at once,
/// or for each entry of a ring.
void report_buffers(const Stack& stack, const Scenario& scenario, report::Result& result) {
    const MountConfig& mount = scenario.mount;
    double buffers = static_cast<double>(stack.session().most_workers());
    if (mount.transport == MountConfig::Transport::io_uring) {
        buffers = static_cast<double>(*mount.io_uring_q_depth) * scenario.host->cores;
    }
    if (stack.has_daemon() && mount.transport != MountConfig::Transport::rings) {
        result.memory.emplace_back("daemon_buffers_bytes", buffers * dev_config(mount).read_buffer);
    }
}

void report_stations(const Stack& stack, report::Result& result) {
    result.stations = stack.stations(stack.engine().now());
    result.bottleneck = report::busiest(result.stations);
    result.cpu = stack.spent();
}

report::Comparison comparison_of(const WorkloadConfig& workload) {
    report::Comparison comparison;
    comparison.trace = workload.trace.written;
    comparison.mode = workload.mode == workload::ReplayMode::think   ? "think"
                      : workload.mode == workload::ReplayMode::timed ? "timed"
                                                                     : "asap";
    return comparison;
}

report::Side side_of(const workload::CallTimes& times) {
    return {times.count,
            times.latency.mean_seconds(),
            times.latency.quantile_seconds(0.5),
            times.latency.quantile_seconds(0.99),
            std::nullopt};
}

report::Comparison compare_calls(const Stack& stack, const WorkloadConfig& workload) {
    report::Comparison comparison = comparison_of(workload);
    const auto& simulated = stack.calls()->simulated();
    for (const auto& [call, recorded] : stack.calls()->recorded()) {
        report::Compared both;
        both.recorded = side_of(recorded);
        if (const auto found = simulated.find(call); found != simulated.end()) {
            both.simulated = side_of(found->second);
        }
        comparison.requests.emplace_back(
            trace::opcode_text(trace::Layer::syscall, static_cast<std::uint32_t>(call)), both);
    }
    return comparison;
}

report::Comparison compare(const Stack& stack, const WorkloadConfig& workload) {
    report::Comparison comparison = comparison_of(workload);
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

/// The times of single requests, from the window's begin.
config::Json timeline_of(const Stack& stack, Time begin) {
    config::Json requests = config::Json::array();
    for (const transport::LoggedRequest& one : stack.dev().statistics().kept()) {
        config::Json row{fuse::to_text(one.opcode), one.unique};
        for (const std::int64_t time : {one.created, one.queued, one.sent, one.replied, one.over}) {
            row.push_back(time == fuse::never
                              ? config::Json()
                              : config::Json(static_cast<double>(time - begin.ps()) * 1e-12));
        }
        requests.push_back(std::move(row));
    }
    return {
        {"columns", {"opcode", "unique", "created_s", "queued_s", "sent_s", "replied_s", "over_s"}},
        {"requests", std::move(requests)}};
}

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
    Stack stack(
        scenario, prepared.reader ? prepared.reader->header().protocol_minor : 0, options.parts);
    if (prepared.reader) {
        outcome.warnings = warnings_of(prepared.reader->header());
    }
    if (prepared.reader && prepared.reader->header().layer == trace::Layer::syscall) {
        stack.replay_calls(scenario, *prepared.reader, options.progress);
        if (!given.daemon.filesystem) {
            outcome.warnings.push_back(
                "a trace of calls does not say how long the daemon took, so it answers at once "
                "here; give daemon: {from: FILE} of `fusesim fit`, or daemon.filesystem");
        }
    } else if (prepared.reader) {
        stack.replay(scenario.workload, *prepared.reader, options.progress);
    } else {
        stack.operate(scenario, options.progress);
        stack.break_down(scenario);
    }
    if (options.details) {
        stack.follow(scenario);
        stack.keep_requests(options.timeline);
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
    report_buffers(stack, scenario, result);
    const workload::Replay* replay = stack.replay();
    const workload::CallReplay* calls = stack.calls();
    if ((replay != nullptr && replay->records() == 0) ||
        (calls != nullptr && calls->records() == 0)) {
        throw config::Error(document.place("workload.trace"),
                            given.workload.trace.written + " holds no record",
                            "was there any load on the mount while it was recorded?");
    }
    if (calls != nullptr) {
        result.duration_s = calls->end().seconds();
        report_calls(stack, result);
        result.comparison = compare_calls(stack, scenario.workload);
        const std::vector<std::string> warnings = calls->warnings();
        outcome.warnings.insert(outcome.warnings.end(), warnings.begin(), warnings.end());
    } else if (replay != nullptr) {
        result.duration_s = stack.engine().now().seconds();
        report_replay_throughput(stack, result);
        result.comparison = compare(stack, scenario.workload);
        const std::vector<std::string> warnings = replay->warnings();
        outcome.warnings.insert(outcome.warnings.end(), warnings.begin(), warnings.end());
    } else {
        result.warm_up_s = scenario.run.warm_up.seconds();
        result.duration_s = stack.native()->window().seconds();
        report_operations(stack, result);
        if (const Faults* const faults = stack.faults()) {
            result.faults = faults->results(stack.native()->failed());
        }
    }
    report_extfuse(stack, result);
    if (Course* course = stack.course()) {
        result.details = course->json(stack.engine().now());
        if (options.timeline > 0) {
            result.details["timeline"] = timeline_of(stack, Time::from_seconds(result.warm_up_s));
        }
    }
    if (options.timing) {
        result.simulator = simulator_of(stack, cpu_s);
    }
    return outcome;
}

/// An interval of fewer runs is too wide to say anything.
constexpr std::size_t least_runs = 3;

template <class Run>
void run_until(const StopConfig& stop,
               const std::vector<report::Result>& runs,
               const Run& once_more,
               std::vector<std::string>& warnings) {
    const auto error = [&] {
        std::vector<double> values;
        for (const report::Result& run : runs) {
            values.push_back(stop.metric.of(run));
        }
        return report::relative_error(values, stop.confidence.fraction);
    };
    stop.metric.of(runs.front());  // what no run has is said at once
    while (runs.size() < least_runs ||
           (error() > stop.rel_err.fraction && runs.size() < stop.most)) {
        once_more();
    }
    if (error() > stop.rel_err.fraction) {
        warnings.push_back(fmt::format("{} is known to {:.2g} % after {} runs, not to {}",
                                       stop.metric.name(),
                                       error() * 100,
                                       runs.size(),
                                       config::Format<config::Percent>::text(stop.rel_err)));
    }
}

}  // namespace

void check(const Scenario& scenario, const config::Document& document) {
    prepare(scenario, document);
}

Outcome simulate(const Scenario& given,
                 const config::Document& document,
                 const SimulateOptions& options) {
    Outcome outcome = simulate_once(given, document, options);
    std::vector<report::Result> runs{outcome.result};
    SimulateOptions further = options;
    further.details = false;  // those of the first run are reported
    const auto once_more = [&] {
        Scenario next = given;
        next.run.seed += runs.size();
        runs.push_back(simulate_once(next, document, further).result);
    };
    while (runs.size() < given.run.repeat) {
        once_more();
    }
    if (given.run.stop) {
        run_until(*given.run.stop, runs, once_more, outcome.warnings);
    }
    if (runs.size() > 1) {
        outcome.result = report::pooled(runs);
    }
    outcome.result.slo = report::verdicts(given.slo, outcome.result);
    return outcome;
}

}  // namespace fusesim::system
