#include "system/simulation.h"

#include "daemon/session.h"
#include "fuse/kernel.h"
#include "host/cpu.h"
#include "sim/distribution_format.h"
#include "sim/engine.h"
#include "sim/fresh_context.h"
#include "system/recorded_facts.h"
#include "trace/reader.h"
#include "transport/dev_fuse.h"
#include "workload/replay.h"

#include <fmt/format.h>
#include <sys/resource.h>

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

std::unique_ptr<daemon::FileSystem> make_file_system(const DaemonConfig& daemon,
                                                     std::uint64_t seed) {
    if (daemon.filesystem == DaemonConfig::Kind::null) {
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
    return std::make_unique<daemon::ServiceTimeFs>(
        std::move(times), daemon.filesystem == DaemonConfig::Kind::recorded, seed);
}

/// Everything that a run consists of, in the order in which it must be taken down again.
class Stack {
  public:
    Stack(const Scenario& scenario, trace::Reader& reader, const SimulateOptions& options)
        : kernel_(fuse::nearest_kernel_behaviour(scenario.kernel.version)),
          cpu_(engine_, *scenario.host, scenario.run.seed),
          dev_(std::in_place,
               cpu_,
               kernel_,
               connection_config(scenario, reader.header()),
               dev_config(scenario)),
          file_system_(make_file_system(scenario.daemon, scenario.run.seed)),
          session_(*dev_, *file_system_, session_config(scenario.daemon, scenario.mount)),
          replay_(*dev_, reader, replay_config(scenario.workload, options)) {}

    ~Stack() {
        engine_.kill_all();
        dev_.reset();  // its queues let go of the requests that the workload owns
    }

    void run() {
        engine_.run();
        dev_->check(engine_.now());
        session_.check(engine_.now());
    }

    const sim::Engine& engine() const { return engine_; }

    const host::Cpu& cpu() const { return cpu_; }

    const transport::DevFuse& dev() const { return *dev_; }

    const daemon::Session& session() const { return session_; }

    const workload::Replay& replay() const { return replay_; }

  private:
    static fuse::ConnectionConfig connection_config(const Scenario& scenario,
                                                    const trace::Header& header) {
        fuse::ConnectionConfig config;
        config.limits.max_background = *scenario.mount.max_background;
        config.limits.congestion_threshold = *scenario.mount.congestion_threshold;
        config.max_write = static_cast<std::uint32_t>(scenario.mount.max_write.count);
        if (header.protocol_minor != 0) {
            config.protocol_minor = header.protocol_minor;
        }
        return config;
    }

    static transport::DevFuseConfig dev_config(const Scenario& scenario) {
        transport::DevFuseConfig config;
        config.splice_read = scenario.mount.splice_read;
        config.splice_write = scenario.mount.splice_write;
        config.splice_move = scenario.mount.splice_move;
        config.read_buffer = static_cast<std::uint32_t>(scenario.mount.max_write.count) + 4096;
        return config;
    }

    static workload::ReplayConfig replay_config(const WorkloadConfig& workload,
                                                const SimulateOptions& options) {
        return {workload.mode,
                workload.speed,
                workload.affinity.value_or(host::Affinity{}),
                options.progress};
    }

    sim::FreshContext context_;
    sim::Engine engine_;
    const fuse::KernelBehaviour& kernel_;
    host::Cpu cpu_;
    std::optional<transport::DevFuse> dev_;
    std::unique_ptr<daemon::FileSystem> file_system_;
    daemon::Session session_;
    workload::Replay replay_;
};

double seconds(sim::Wide ps, std::uint64_t count) {
    return count > 0 ? static_cast<double>(ps) * 1e-12 / static_cast<double>(count) : 0;
}

report::Latency latency_of(const sim::Tally& tally) {
    return {tally.mean_seconds(),
            tally.quantile_seconds(0.5),
            tally.quantile_seconds(0.95),
            tally.quantile_seconds(0.99),
            tally.quantile_seconds(0.999),
            tally.max_seconds()};
}

report::Station station_of(const sim::Station& station, Time now) {
    return {station.name(),
            station.utilisation(now),
            station.queue_length(now),
            station.waiting().mean_seconds(),
            station.service().mean_seconds()};
}

void report_requests(const Stack& stack, report::Result& result) {
    for (const auto& [opcode, s] : stack.dev().statistics().by_opcode()) {
        report::Request request;
        request.count = s.count;
        request.bytes_in = s.bytes_in;
        request.bytes_out = s.bytes_out;
        request.latency = latency_of(s.latency);
        request.phases = report::Phases{seconds(s.background, s.count),
                                        seconds(s.queue, s.count),
                                        seconds(s.processing, s.count),
                                        seconds(s.reply, s.count)};
        result.requests.emplace_back(fuse::to_text(opcode), request);
        if (opcode == fuse::Opcode::read || opcode == fuse::Opcode::write) {
            const bool read = opcode == fuse::Opcode::read;
            const double headers = static_cast<double>(s.count) * (read ? 16 : 80);
            const double bytes = static_cast<double>(read ? s.bytes_out : s.bytes_in) - headers;
            (read ? result.throughput.read_bytes_per_s : result.throughput.write_bytes_per_s) =
                result.duration_s > 0 ? bytes / result.duration_s : 0;
        }
    }
    if (result.duration_s > 0) {
        result.throughput.ops_per_s =
            static_cast<double>(stack.dev().statistics().total()) / result.duration_s;
    }
}

void report_stations(const Stack& stack, report::Result& result) {
    const Time now = stack.engine().now();
    result.stations.push_back(station_of(stack.dev().background_station(), now));
    result.stations.push_back(station_of(stack.dev().queue_station(), now));
    result.stations.push_back(station_of(stack.session().station(), now));
    for (const auto& core : stack.cpu().cores()) {
        report::Station station;
        station.name = fmt::format("core[{}]", core->id());
        station.utilisation = core->busy().mean(now);
        result.stations.push_back(station);
    }
    result.bottleneck = report::busiest(result.stations);
    const workload::Replay& replay = stack.replay();
    const daemon::Session& session = stack.session();
    result.cpu =
        report::Cpu{replay.cpu_time(Work::user).seconds(),
                    session.cpu_time(Work::user).seconds(),
                    (replay.cpu_time(Work::kernel) + session.cpu_time(Work::kernel)).seconds()};
}

report::Comparison compare(const Stack& stack, const WorkloadConfig& workload) {
    report::Comparison comparison;
    comparison.trace = workload.trace.written;
    comparison.mode = workload.mode == workload::ReplayMode::think   ? "think"
                      : workload.mode == workload::ReplayMode::timed ? "timed"
                                                                     : "asap";
    const auto& simulated = stack.dev().statistics().by_opcode();
    for (const auto& [opcode, r] : stack.replay().recorded()) {
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
                              report::Phases{seconds(s.background, s.count),
                                             seconds(s.queue, s.count),
                                             seconds(s.processing, s.count),
                                             seconds(s.reply, s.count)}};
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

/// Gives every setting that is still open its default, so that the report shows what was used.
void settle(Scenario& scenario) {
    if (!scenario.host) {
        scenario.host = built_in_host();
    }
    if (scenario.kernel.version.empty()) {
        scenario.kernel.version = fuse::kernel_behaviours().back().version;
    }
    MountConfig& mount = scenario.mount;
    mount.max_background = mount.max_background.value_or(12);
    mount.congestion_threshold = mount.congestion_threshold.value_or(*mount.max_background * 3 / 4);
    if (!scenario.daemon.threads) {
        scenario.daemon.threads = Threads{};
    }
    if (!scenario.daemon.filesystem) {
        scenario.daemon.filesystem = scenario.workload.trace.empty() ? DaemonConfig::Kind::null
                                                                     : DaemonConfig::Kind::recorded;
    }
    if (!scenario.workload.recorder.value_or(false)) {
        scenario.host->costs.recorder_queue = Time();
        scenario.host->costs.recorder_reply = Time();
        scenario.host->costs.recorder_cold = Time();
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

}  // namespace

namespace {

struct Prepared {
    std::unique_ptr<trace::Reader> reader;
    Scenario scenario;
};

/// Opens the trace, takes over what it knows, fills in defaults, and refuses what cannot work.
Prepared prepare(const Scenario& given, const config::Document& document) {
    if (given.workload.trace.empty()) {
        throw config::Error(document.place("workload"),
                            "workload.trace is missing: nothing to simulate",
                            "name a recording, e.g. workload: {trace: x.fst}");
    }
    Prepared prepared{std::make_unique<trace::Reader>(given.workload.trace.path), given};
    const trace::Header& header = prepared.reader->header();
    refuse_above_layer(header, given, document);
    take_over_facts(header, prepared.scenario);
    settle(prepared.scenario);
    check_affinity(prepared.scenario, document);
    return prepared;
}

}  // namespace

void check(const Scenario& scenario, const config::Document& document) {
    prepare(scenario, document);
}

Outcome simulate(const Scenario& given,
                 const config::Document& document,
                 const SimulateOptions& options) {
    Prepared prepared = prepare(given, document);
    Scenario& scenario = prepared.scenario;
    trace::Reader& reader = *prepared.reader;
    const std::clock_t began = std::clock();
    Outcome outcome;
    report::Result& result = outcome.result;
    result.seed = scenario.run.seed;
    result.config = config::echo(scenario);
    Stack stack(scenario, reader, options);
    stack.run();
    const double cpu_s = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;

    if (stack.replay().records() == 0) {
        throw config::Error(document.place("workload.trace"),
                            given.workload.trace.written + " holds no record",
                            "was there any load on the mount while it was recorded?");
    }
    result.duration_s = stack.engine().now().seconds();
    report_requests(stack, result);
    report_stations(stack, result);
    result.comparison = compare(stack, scenario.workload);
    if (options.timing) {
        result.simulator = simulator_of(stack, cpu_s);
    }
    outcome.warnings = stack.replay().warnings();
    return outcome;
}

}  // namespace fusesim::system
