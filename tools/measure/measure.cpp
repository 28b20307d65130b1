#include "measure.h"

#include "faults.h"
#include "files.h"
#include "load.h"
#include "mounts.h"
#include "plan.h"
#include "report/repeats.h"
#include "requests.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

namespace fusesim::measure {

using system::DaemonConfig;
using system::LowerConfig;
using system::MountConfig;
using system::Scenario;

namespace {

using namespace std::chrono_literals;

// Messages that follow a change of the caches (FORGET, RELEASE) have been served after it.
constexpr auto settling = 50ms;

bool is_stacked(const Scenario& scenario) {
    return scenario.daemon.filesystem == DaemonConfig::Kind::stackfs;
}

std::string first_word(const std::string& path) {
    std::ifstream file(path);
    std::string word;
    file >> word;
    return word;
}

std::vector<int> as_cores(const std::optional<std::vector<unsigned>>& affinity) {
    return affinity ? std::vector<int>(affinity->begin(), affinity->end()) : std::vector<int>{};
}

void check_cores(const Scenario& scenario, const Machine& machine) {
    for (const auto& [key, affinity] :
         {std::pair("daemon.affinity", &scenario.daemon.affinity),
          std::pair("workload.affinity", &scenario.workload.affinity)}) {
        for (const int core : as_cores(*affinity)) {
            if (std::find(machine.cores.begin(), machine.cores.end(), core) ==
                machine.cores.end()) {
                throw Unavailable(
                    fmt::format("{} names core {}, which is not among the {} that measure may use",
                                key,
                                core,
                                machine.cores.size()));
            }
        }
    }
}

void check_kernel(const Scenario& scenario, const Machine& machine) {
    unsigned major = 0;
    unsigned minor = 0;
    std::sscanf(machine.kernel.c_str(), "%u.%u", &major, &minor);
    const bool has_passthrough = major > 6 || (major == 6 && minor >= 9);
    if (scenario.mount.passthrough && !has_passthrough) {
        throw Unavailable("mount.passthrough needs Linux 6.9 or newer, and this is " +
                          machine.kernel);
    }
    if (scenario.mount.transport != MountConfig::Transport::io_uring) {
        return;
    }
    // uringfs switches it on where it is off.
    if (first_word("/sys/module/fuse/parameters/enable_uring").empty()) {
        throw Unavailable(
            "mount.transport: io_uring needs Linux 6.14 or newer with FUSE over "
            "io_uring, and this is " +
            machine.kernel);
    }
}

std::filesystem::path daemon_program(const Scenario& scenario, const Options& options) {
    const std::string name = daemon_name(scenario);
    const auto found = options.daemons.empty() ? real::find_daemon(name) : options.daemons / name;
    if (found.empty() || access(found.c_str(), X_OK) != 0) {
        throw Unavailable(fmt::format(
            "measure needs the reference daemon {}; build it (libfuse3-dev 3.14 or newer{})",
            name,
            name == "uringfs" ? ", liburing-dev" : ""));
    }
    return found;
}

/// What a run starts from: checked, and every open setting as this machine has it.
struct Prepared {
    Scenario scenario;
    std::filesystem::path daemon;
    std::vector<int> cores;
};

Prepared prepare(const Scenario& given, const config::Document& document, const Options& options) {
    const Machine machine = this_machine();
    check_measurable(given, document, machine);
    check_cores(given, machine);
    check_kernel(given, machine);
    if (geteuid() != 0) {
        throw Unavailable("measure mounts a file system: run it as root");
    }
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        throw Unavailable(
            "measure needs /dev/fuse: modprobe fuse, or give the container the "
            "device");
    }
    Prepared prepared{given, daemon_program(given, options), machine.cores};
    Scenario& scenario = prepared.scenario;
    scenario.kernel.version = machine.kernel;
    if (!machine.libfuse.empty()) {
        scenario.daemon.libfuse = machine.libfuse;
    }
    scenario.daemon.filesystem = scenario.daemon.filesystem.value_or(DaemonConfig::Kind::null);
    scenario.daemon.threads = scenario.daemon.threads.value_or(system::Threads{});
    if (!scenario.run.operations) {
        scenario.run.duration = scenario.run.duration.value_or(sim::Time::from_seconds(1));
    }
    return prepared;
}

/// Every thread has its files open, the daemon may hold as many again.
void allow_open_files(const Scenario& scenario) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const std::uint64_t files = opens_files(scenario.workload) ? scenario.workload.files.count : 0;
    const rlim_t needed = static_cast<rlim_t>(scenario.workload.threads) * (files + 3) + 200;
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = std::max(limit.rlim_cur, std::min(needed, limit.rlim_max));
        if (limit.rlim_max < needed) {
            limit.rlim_cur = limit.rlim_max = needed;
        }
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            throw Unavailable(fmt::format("measure needs {} open files (ulimit -n)", needed));
        }
    }
}

/// The files below a stacking daemon.
class Lower {
  public:
    Lower(const Scenario& scenario, const std::filesystem::path& base) {
        const LowerConfig& lower = scenario.lower;
        const bool tmpfs = lower.filesystem == LowerConfig::Kind::tmpfs;
        if (lower.directory.empty() && tmpfs) {
            tmpfs_ = std::make_unique<real::KernelMount>(base / "lower", "tmpfs", "size=90%");
            path_ = base / "lower";
            return;
        }
        const std::filesystem::path parent = lower.directory.empty() ? "/var/tmp" : lower.directory;
        folder_ = std::make_unique<TemporaryFolder>(parent);
        path_ = folder_->path();

        struct statfs found {};

        if (statfs(path_.c_str(), &found) != 0 ||
            found.f_type != (tmpfs ? TMPFS_MAGIC : EXT4_SUPER_MAGIC)) {
            throw Unavailable(fmt::format("{} does not lie on {}; name a lower.directory that does",
                                          parent.string(),
                                          tmpfs ? "a tmpfs" : "an ext4"));
        }
    }

    const std::filesystem::path& path() const { return path_; }

  private:
    std::unique_ptr<real::KernelMount> tmpfs_;
    std::unique_ptr<TemporaryFolder> folder_;
    std::filesystem::path path_;
};

struct Spent {
    double user = 0;    ///< seconds
    double system = 0;  ///< seconds
    double switches = 0;
};

/// How often the threads that a process has now have left their cores.
double switches_of(pid_t process) {
    double sum = 0;
    std::error_code none;
    for (const auto& task :
         std::filesystem::directory_iterator(fmt::format("/proc/{}/task", process), none)) {
        std::ifstream status(task.path() / "status");
        for (std::string line; std::getline(status, line);) {
            if (const auto at = line.find("voluntary_ctxt_switches:"); at != std::string::npos) {
                sum += std::stod(line.substr(line.find(':') + 1));
            }
        }
    }
    return sum;
}

/// CPU time of a process: its sum to the nanosecond, divided as the kernel's ticks say.
Spent spent_by(pid_t process) {
    Spent out;
    clockid_t clock{};
    timespec total{};
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &total) != 0) {
        return out;
    }
    std::ifstream stat(fmt::format("/proc/{}/stat", process));
    std::string text{std::istreambuf_iterator<char>(stat), {}};
    std::istringstream words(text.substr(std::min(text.size(), text.rfind(')') + 1)));
    std::string skipped;
    for (int i = 0; i < 11; ++i) {
        words >> skipped;
    }
    double user = 0;
    double system = 0;
    words >> user >> system;
    const double all =
        static_cast<double>(total.tv_sec) + static_cast<double>(total.tv_nsec) * 1e-9;
    out.user = user + system > 0 ? all * user / (user + system) : all;
    out.system = all - out.user;
    out.switches = switches_of(process);
    return out;
}

/// What new mounts of this machine get as long as this object lives.
class RequestTimeout {
  public:
    explicit RequestTimeout(const std::optional<sim::Time>& timeout) {
        if (timeout) {
            former_ = first_word(path);
            set(fmt::format("{}", static_cast<std::uint64_t>(timeout->seconds())));
        }
    }

    ~RequestTimeout() {
        if (!former_.empty()) {
            std::ofstream(path) << former_;
        }
    }

    RequestTimeout(const RequestTimeout&) = delete;
    RequestTimeout& operator=(const RequestTimeout&) = delete;

  private:
    static constexpr const char* path = "/proc/sys/fs/fuse/default_request_timeout";

    static void set(const std::string& seconds) {
        std::ofstream file(path);
        file << seconds;
        file.close();
        if (!file) {
            throw Unavailable(std::string(path) +
                              " cannot be written, which mount.request_timeout needs (Linux 6.15)");
        }
    }

    std::string former_;
};

/// One mount with its files laid out, and what is done on it.
class World {
  public:
    World(const Prepared& prepared,
          const std::filesystem::path& base,
          const std::function<bool()>& stopped)
        : scenario_(prepared.scenario) {
        if (is_stacked(scenario_)) {
            lower_ = std::make_unique<Lower>(scenario_, base);
            lay_out(scenario_, lower_->path(), true, stopped);
            settle_disk();
        }
        real::DaemonMount::Setup setup;
        setup.command =
            daemon_options(scenario_, lower_ ? lower_->path() : std::filesystem::path());
        setup.command.insert(setup.command.begin(), prepared.daemon.string());
        setup.point = base / "mount";
        setup.cores = as_cores(scenario_.daemon.affinity);
        setup.log = base / "daemon.log";
        mount_ = std::make_unique<real::DaemonMount>(setup);
        raise_readahead();
        if (!lower_) {
            lay_out(scenario_, mount_->point(), false, stopped);
        }
        mount_->forget_unused();
        std::this_thread::sleep_for(settling);
    }

    real::DaemonMount& mount() { return *mount_; }

  private:
    /// INIT can lower what the kernel reads ahead, but not raise it.
    void raise_readahead() const {
        constexpr std::uint64_t kernels = 128u << 10;  // VM_READAHEAD_PAGES
        const auto& wanted = scenario_.mount.max_readahead;
        if (!wanted || wanted->count <= kernels) {
            return;
        }
        const dev_t device = mount_->device();
        const std::string path =
            fmt::format("/sys/class/bdi/{}:{}/read_ahead_kb", major(device), minor(device));
        std::ofstream file(path);
        file << wanted->count / 1024;
        file.close();
        if (!file) {
            throw Unavailable(path + " cannot be written, which mount.max_readahead needs");
        }
    }

    /// What was laid out is not to be written while something else is measured.
    void settle_disk() const {
        if (scenario_.lower.filesystem == LowerConfig::Kind::ext4) {
            const int folder = open(lower_->path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            syncfs(folder);
            close(folder);
        }
    }

    const Scenario& scenario_;
    std::unique_ptr<Lower> lower_;
    std::unique_ptr<real::DaemonMount> mount_;
};

/// Everything that one call of run() goes through.
class Measurement {
  public:
    Measurement(Prepared prepared, const Options& options)
        : prepared_(std::move(prepared)),
          options_(options),
          repeats_(options.repeats.value_or(prepared_.scenario.run.repeat)) {}

    Measured run() {
        allow_open_files(prepared_.scenario);
        out_.own_ns = own_cost_ns(prepared_.scenario);
        keep_away();
        const real::PrivateMounts mounts({prepared_.daemon, prepared_.scenario.lower.directory});
        base_ = mounts.directory();
        const auto control = mount_control();
        for (unsigned i = 0; i < repeats_ && !stopped(); ++i) {
            run_repeat(i);
        }
        if (out_.repeats.empty()) {
            throw Unavailable("interrupted before anything was measured");
        }
        if (options_.requests && !out_.partial && !stopped()) {
            if (may_fail()) {
                out_.warnings.emplace_back("requests are not recorded where something goes wrong");
            } else {
                run_recorded();
            }
        }
        out_.partial = out_.partial || stopped();
        conclude();
        return std::move(out_);
    }

  private:
    bool may_fail() const {
        return !prepared_.scenario.faults.empty() || prepared_.scenario.mount.request_timeout;
    }

    bool stopped() const { return options_.stop != nullptr && *options_.stop; }

    /// Leaves the cores of daemon and workload to these, where there are others.
    void keep_away() {
        std::vector<int> others;
        const std::vector<int> theirs = busy_cores();
        std::copy_if(prepared_.cores.begin(),
                     prepared_.cores.end(),
                     std::back_inserter(others),
                     [&](int core) {
                         return std::find(theirs.begin(), theirs.end(), core) == theirs.end();
                     });
        spare_core_ = others.empty() ? -1 : others.back();
    }

    /// Those that daemon and workload are pinned to; all, if one of them is not pinned.
    std::vector<int> busy_cores() const {
        const Scenario& scenario = prepared_.scenario;
        if (!scenario.daemon.affinity || !scenario.workload.affinity) {
            return prepared_.cores;
        }
        std::vector<int> cores = as_cores(scenario.daemon.affinity);
        const std::vector<int> more = as_cores(scenario.workload.affinity);
        cores.insert(cores.end(), more.begin(), more.end());
        return cores;
    }

    void show_progress(unsigned pass, double within) const {
        if (options_.progress) {
            const double passes = repeats_ + (options_.requests ? 1 : 0);
            options_.progress((pass + std::clamp(within, 0.0, 1.0)) / passes);
        }
    }

    void await(Load& load, World& world, unsigned pass) const {
        while (!load.wait(100ms)) {
            show_progress(pass, load.progress());
            if (!may_fail() && world.mount().ended()) {
                throw std::runtime_error("the daemon has ended");
            }
        }
        load.finish();
    }

    void run_repeat(unsigned number) {
        const Scenario& scenario = prepared_.scenario;
        const RequestTimeout timeout(scenario.mount.request_timeout);
        World world(prepared_, base_, [this] { return stopped(); });
        learn_limits(world);
        Load load(scenario,
                  world.mount().point(),
                  scenario.run.operations,
                  scenario.run.seed + number,
                  options_.stop,
                  options_.full_pace_ns);
        load.begin();
        load.warm_up();
        const Spent before = spent_by(world.mount().pid());
        load.go_on();
        std::optional<FaultInjector> faults;
        if (may_fail()) {
            faults.emplace(
                scenario, world.mount(), control_of(world), spare_core_, load.window_begin_ns());
        }
        await(load, world, number);
        const Spent after = spent_by(world.mount().pid());
        const Done done = load.results();
        std::vector<report::Fault> failures;
        if (faults) {
            failures = faults->stop(done.failed, done.first_failed_s);
        }
        const bool cut = stopped();
        const bool some = done.window_s > 0 && done.kept.steps > 0;
        if (some || (options_.full_pace_ns && !cut)) {
            // A daemon that is gone does not tell how long it has run.
            add_repeat(done,
                       {std::max(0.0, after.user - before.user),
                        std::max(0.0, after.system - before.system),
                        std::max(0.0, after.switches - before.switches)});
            out_.repeats.back().faults = std::move(failures);
            out_.partial = out_.partial || cut;
        } else if (!cut) {
            throw Unavailable("not one operation ended within the window; set run.duration");
        }
    }

    void add_repeat(const Done& done, const Spent& daemon) {
        Repeat repeat;
        const auto per_s = [&done](std::uint64_t number) {
            return done.window_s > 0 ? static_cast<double>(number) / done.window_s : 0;
        };
        repeat.window_s = done.window_s;
        repeat.kept_share = done.kept_share;
        repeat.steps = done.kept.steps;
        repeat.ops_per_s = per_s(done.kept.steps);
        repeat.read_bytes_per_s = per_s(done.kept.read_bytes);
        repeat.write_bytes_per_s = per_s(done.kept.write_bytes);
        repeat.cpu = {done.user_s,
                      daemon.user,
                      done.system_s + daemon.system,
                      daemon.system,
                      static_cast<double>(done.context_switches) + daemon.switches};
        for (std::size_t kind = 0; kind < call_kinds; ++kind) {
            const Latencies& latencies = done.kept.calls[kind];
            if (latencies.count() > 0) {
                repeat.operations.emplace_back(call_name(kind), operation(latencies, repeat, 1));
            }
            pooled_[kind].merge(latencies);
        }
        out_.repeats.push_back(std::move(repeat));
    }

    static report::Operation operation(const Latencies& latencies,
                                       const Repeat& repeat,
                                       std::size_t repeats) {
        report::Operation out;
        const double each = static_cast<double>(latencies.count()) / static_cast<double>(repeats);
        out.count = static_cast<std::uint64_t>(std::llround(each));
        out.per_s = each / repeat.window_s;
        out.latency = latencies.report();
        return out;
    }

    /// The pass that records: as many steps as the timed repeats had, all of them recorded.
    void run_recorded() {
        const Scenario& scenario = prepared_.scenario;
        const std::uint64_t steps = recorded_steps();
        World world(prepared_, base_, [this] { return stopped(); });
        RequestRecorder recorder(world.mount().device(), world.mount().pid(), spare_core_);
        Load load(scenario, world.mount().point(), steps, scenario.run.seed, options_.stop);
        load.begin();
        load.warm_up();
        std::this_thread::sleep_for(settling);
        recorder.start();
        load.go_on();
        await(load, world, repeats_);
        const Recorded recorded = recorder.stop();
        const Done done = load.results();
        if (stopped()) {
            return;
        }
        out_.recorded_steps = done.kept.steps;
        out_.result.requests = recorded.requests;
        out_.lost_events = recorded.lost;
        if (recorded.lost > 0) {
            out_.warnings.push_back(
                fmt::format("the recorder lost {} events: requests are incomplete", recorded.lost));
        }
        if (recorded.unfinished > 0) {
            out_.warnings.push_back(
                fmt::format("{} requests had no reply yet at the end", recorded.unfinished));
        }
    }

    /// Of each thread.
    std::uint64_t recorded_steps() const {
        const Scenario& scenario = prepared_.scenario;
        double sum = 0;
        for (const Repeat& repeat : out_.repeats) {
            sum += static_cast<double>(repeat.steps);
        }
        const double each = sum / static_cast<double>(out_.repeats.size()) /
                            static_cast<double>(scenario.workload.threads);
        return scenario.run.operations.value_or(
            std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::llround(each))));
    }

    /// Connections' files, wherever this machine has them; null where it has its own, or none.
    std::unique_ptr<real::KernelMount> mount_control() {
        try {
            auto mounted = std::make_unique<real::KernelMount>(base_ / "connections", "fusectl");
            connections_ = mounted->point();
            return mounted;
        } catch (const std::system_error&) {
            return nullptr;
        }
    }

    /// The files of the world's connection.
    std::filesystem::path control_of(World& world) const {
        return connections_ / std::to_string(minor(world.mount().device()));
    }

    /// What kernel and library chose where the scenario leaves it open.
    void learn_limits(World& world) {
        const std::filesystem::path folder = control_of(world);
        const auto learn = [&folder](const char* name, std::optional<unsigned>& setting) {
            const std::string text = first_word(folder / name);
            if (!setting && !text.empty()) {
                setting = static_cast<unsigned>(std::stoul(text));
            }
        };
        learn("max_background", learnt_.max_background);
        learn("congestion_threshold", learnt_.congestion_threshold);
    }

    void conclude() {
        report::Result& result = out_.result;
        Scenario effective = prepared_.scenario;
        MountConfig& mount = effective.mount;
        mount.max_background = mount.max_background ? mount.max_background : learnt_.max_background;
        mount.congestion_threshold =
            mount.congestion_threshold ? mount.congestion_threshold : learnt_.congestion_threshold;
        effective.run.repeat = static_cast<unsigned>(out_.repeats.size());
        result.source = report::Source::measured;
        result.seed = effective.run.seed;
        result.config = config::echo(effective);
        result.warm_up_s = effective.run.warm_up.seconds();
        const auto mean = [this](auto value) {
            double sum = 0;
            for (const Repeat& repeat : out_.repeats) {
                sum += value(repeat);
            }
            return sum / static_cast<double>(out_.repeats.size());
        };
        result.duration_s = mean([](const Repeat& r) { return r.window_s; });
        report::Throughput& throughput = result.throughput;
        throughput.ops_per_s = mean([](const Repeat& r) { return r.ops_per_s; });
        throughput.read_bytes_per_s = mean([](const Repeat& r) { return r.read_bytes_per_s; });
        throughput.write_bytes_per_s = mean([](const Repeat& r) { return r.write_bytes_per_s; });
        result.cpu = report::Cpu{mean([](const Repeat& r) { return r.cpu.application_s; }),
                                 mean([](const Repeat& r) { return r.cpu.daemon_s; }),
                                 mean([](const Repeat& r) { return r.cpu.kernel_s; }),
                                 mean([](const Repeat& r) { return r.cpu.daemon_kernel_s; }),
                                 mean([](const Repeat& r) { return r.cpu.context_switches; })};
        Repeat window;
        window.window_s = result.duration_s;
        for (std::size_t kind = 0; kind < call_kinds; ++kind) {
            if (pooled_[kind].count() > 0) {
                result.operations.emplace_back(
                    call_name(kind), operation(pooled_[kind], window, out_.repeats.size()));
            }
        }
        add_intervals();
        std::vector<std::vector<report::Fault>> faults;
        for (const Repeat& repeat : out_.repeats) {
            faults.push_back(repeat.faults);
        }
        result.faults = report::pooled_faults(faults);
    }

    void add_intervals() {
        if (out_.repeats.size() < 3) {
            return;
        }
        auto& intervals = out_.result.throughput.ci95;
        const auto add = [&](const std::string& name, auto value) {
            std::vector<double> values;
            for (const Repeat& repeat : out_.repeats) {
                values.push_back(value(repeat));
            }
            intervals.emplace_back(name, report::interval95(values));
        };
        add("ops_per_s", [](const Repeat& r) { return r.ops_per_s; });
        add("read_bytes_per_s", [](const Repeat& r) { return r.read_bytes_per_s; });
        add("write_bytes_per_s", [](const Repeat& r) { return r.write_bytes_per_s; });
        for (const auto& [name, operation] : out_.result.operations) {
            const bool always = std::all_of(
                out_.repeats.begin(), out_.repeats.end(), [&name = name](const Repeat& repeat) {
                    return report::find(repeat.operations, name) != nullptr;
                });
            if (always) {
                add("latency." + name, [&name = name](const Repeat& repeat) {
                    return report::find(repeat.operations, name)->latency->mean;
                });
            }
        }
    }

    Prepared prepared_;
    const Options& options_;
    unsigned repeats_;
    int spare_core_ = -1;
    std::filesystem::path base_;
    std::filesystem::path connections_ = "/sys/fs/fuse/connections";
    MountConfig learnt_;
    std::array<Latencies, call_kinds> pooled_;
    Measured out_;
};

}  // namespace

void check(const Scenario& scenario, const config::Document& document, const Options& options) {
    prepare(scenario, document, options);
}

Measured run(const Scenario& scenario, const config::Document& document, const Options& options) {
    Prepared prepared = prepare(scenario, document, options);
    try {
        return Measurement(std::move(prepared), options).run();
    } catch (const std::system_error& error) {
        throw Unavailable(fmt::format("measuring failed: {}", error.what()));
    } catch (const Unavailable&) {
        throw;
    } catch (const std::runtime_error& error) {
        throw Unavailable(fmt::format("measuring failed: {}", error.what()));
    }
}

}  // namespace fusesim::measure
