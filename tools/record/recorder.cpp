#include "recorder.h"

#include "assembler.h"
#include "bpf_recorder.h"
#include "config/error.h"
#include "mount.h"
#include "summary.h"
#include "trace/writer.h"

#include <fmt/format.h>

#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <thread>

namespace fusesim::record {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto poll_interval = 20ms;
// The programs' run time is measured for a tenth of the time, the first time at once.
constexpr auto measure_every = 1s;
constexpr auto measure_for = 100ms;
constexpr auto drain_limit = 300ms;

double seconds(Clock::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[sizeof "2000-01-01T00:00:00Z"];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

trace::Header header_for(const Options& options, const Mount& mount) {
    trace::Header header;
    header.layer = options.layer;
    header.tool = options.tool;
    header.clock = "monotonic";
    header.started = utc_now();
    header.cpus = std::thread::hardware_concurrency();
    utsname system{};
    if (uname(&system) == 0) {
        header.kernel = system.release;
    }
    describe_mount(mount, header.facts);
    if (!options.workload.empty()) {
        header.facts.emplace_back("workload", options.workload);
    }
    return header;
}

/// Progress on a terminal only; a log file has no use for it.
class Progress {
  public:
    explicit Progress(const Mount& mount) : shown_(isatty(STDERR_FILENO) != 0) {
        fmt::print(stderr, "recording {} ({}); Ctrl-C ends it\n", mount.point, mount.fstype);
    }

    void show(std::uint64_t records, double elapsed_s, std::uint64_t lost) {
        const auto now = Clock::now();
        if (!shown_ || now < next_) {
            return;
        }
        next_ = now + 500ms;
        fmt::print(stderr, "\r{:6.1f} s  {} requests  {:.0f}/s  {} lost ", elapsed_s, records,
                   static_cast<double>(records - before_) * 2, lost);
        std::fflush(stderr);
        before_ = records;
        printed_ = true;
    }

    void done() const {
        if (printed_) {
            fmt::print(stderr, "\n");
        }
    }

  private:
    bool shown_;
    bool printed_ = false;
    std::uint64_t before_ = 0;
    Clock::time_point next_ = Clock::now();
};

std::uint64_t lost_of(const recorder_counts& counts) {
    std::uint64_t sum = 0;
    for (const __u64 lost : counts.lost) {
        sum += lost;
    }
    return sum;
}

void add_number(trace::Header& header, const char* key, std::uint64_t value) {
    header.facts.emplace_back(key, std::to_string(value));
}

void describe_connection(const connection_facts& facts, trace::Header& header) {
    if (facts.seen == 0) {
        return;
    }
    header.protocol_minor = facts.minor;
    add_number(header, "mount.max_background", facts.max_background);
    add_number(header, "mount.congestion_threshold", facts.congestion_threshold);
    add_number(header, "mount.max_write", facts.max_write);
    add_number(header, "mount.max_read", facts.max_read);
    add_number(header, "mount.max_pages", facts.max_pages);
    const std::pair<const char*, __u32> flags[] = {
        {"mount.async_read", facts.async_read},
        {"mount.async_dio", facts.async_dio},
        {"mount.writeback_cache", facts.writeback_cache},
        {"mount.parallel_dirops", facts.parallel_dirops},
        {"mount.no_interrupt", facts.no_interrupt},
        {"mount.readdirplus", facts.readdirplus},
        {"mount.readdirplus_auto", facts.readdirplus_auto},
        {"mount.default_permissions", facts.default_permissions},
        {"mount.io_uring", facts.io_uring},
        {"mount.passthrough", facts.passthrough},
    };
    for (const auto& [key, value] : flags) {
        header.facts.emplace_back(key, value != 0 ? "true" : "false");
    }
}

/// Everything that was learnt on the way and at the end.
void conclude(trace::Header& header, const BpfRecorder& bpf, const Assembler& assembler,
              const Overhead& overhead) {
    const recorder_counts counts = bpf.counts();
    header.lost = lost_of(counts) + assembler.counts().late;
    describe_connection(bpf.facts(), header);
    if (const auto daemons = bpf.daemons(); !daemons.empty()) {
        describe_daemon(daemons.front(), header.facts);
        add_number(header, "daemon.processes", daemons.size());
    }
    if (counts.read_size != 0) {
        add_number(header, "daemon.read_buffer", counts.read_size);
    }
    header.facts.emplace_back("daemon.splice_read", counts.splice_reads != 0 ? "true" : "false");
    header.facts.emplace_back("daemon.splice_write",
                              counts.splice_replies != 0 ? "true" : "false");
    add_number(header, "seen.most_background", counts.most_background);
    std::string missing = "time in the background queue";
    if (counts.uring_requests != 0) {
        missing += "; arguments, taken and replied of requests over io_uring";
    }
    header.facts.emplace_back("missing", missing);
    if (overhead.window_seconds > 0) {
        header.facts.emplace_back(
            "recorder.cpu_share", fmt::format("{:.4f}", overhead.seconds / overhead.window_seconds));
    }
}

void print_overhead(const Overhead& overhead, std::uint64_t requests_measured) {
    if (overhead.window_seconds <= 0) {
        return;
    }
    const double share = overhead.seconds / overhead.window_seconds;
    fmt::print(stderr, "own programs: {:.2f} % of one core ({} runs in {:.1f} s measured)",
               share * 100, overhead.runs, overhead.window_seconds);
    if (requests_measured != 0) {
        fmt::print(stderr, ", {:.2f} us per request",
                   overhead.seconds * 1e6 / static_cast<double>(requests_measured));
    }
    fmt::print(stderr, "\n");
}

/// One recording with BPF, from the first request to the last.
class BpfRun {
  public:
    BpfRun(const Options& options, const Mount& mount)
        : mount_(mount),
          options_(options),
          bpf_(mount, find_daemons(mount)),
          writer_(options.out, header_for(options, mount)),
          summary_(options.layer),
          assembler_([this](const trace::Record& record) {
              writer_.add(record);
              summary_.add(record);
          }) {}

    void run(const std::atomic<bool>& stop) {
        Progress progress(mount_);
        const auto began = Clock::now();
        auto measure_at = began + poll_interval;
        auto measure_until = Clock::time_point::max();
        while (!stop && is_alive(mount_)) {
            const auto now = Clock::now();
            if (options_.duration_s && seconds(now - began) >= *options_.duration_s) {
                break;
            }
            if (now >= measure_until) {
                end_measuring();
                measure_until = Clock::time_point::max();
                measure_at = now + measure_every - measure_for;
            } else if (now >= measure_at) {
                begin_measuring();
                measure_until = now + measure_for;
                measure_at = Clock::time_point::max();
            }
            std::this_thread::sleep_for(poll_interval);
            bpf_.consume(assembler_);
            progress.show(summary_.records(), seconds(Clock::now() - began),
                          lost_of(bpf_.counts()));
        }
        elapsed_s_ = seconds(Clock::now() - began);
        drain();
        progress.done();
        conclude(writer_.header(), bpf_, assembler_, bpf_.overhead());
        const std::uint64_t lost = writer_.header().lost;
        writer_.finish();
        report(lost);
    }

  private:
    void begin_measuring() {
        bpf_.consume(assembler_);
        ended_before_ = assembler_.ended();
        bpf_.start_measuring();
    }

    void end_measuring() {
        if (bpf_.is_measuring()) {
            bpf_.stop_measuring();
            bpf_.consume(assembler_);
            requests_measured_ += assembler_.ended() - ended_before_;
        }
    }

    /// Lets the requests in flight come to their end.
    void drain() {
        end_measuring();
        bpf_.stop_sends();
        const auto limit = Clock::now() + drain_limit;
        do {
            bpf_.consume(assembler_);
            std::this_thread::sleep_for(1ms);
        } while (assembler_.in_flight() != 0 && Clock::now() < limit && is_alive(mount_));
        std::this_thread::sleep_for(poll_interval);
        bpf_.detach();
        bpf_.consume(assembler_);
        assembler_.finish();
    }

    void report(std::uint64_t lost) const {
        fmt::print(stderr, "{}", summary_.table());
        const Assembler::Counts& counts = assembler_.counts();
        fmt::print(stderr, "{} requests in {:.1f} s, {} without reply, {} events lost -> {}\n",
                   counts.written, elapsed_s_, counts.without_end, lost, options_.out);
        if (counts.without_send != 0) {
            fmt::print(stderr, "{} requests left out: sent before the recording began{}\n",
                       counts.without_send, lost != 0 ? ", or their events lost" : "");
        }
        if (const std::uint64_t unreadable = bpf_.counts().unreadable; unreadable != 0) {
            fmt::print(stderr, "{} requests without arguments: the daemon's buffer was not mapped\n",
                       unreadable);
        }
        print_overhead(bpf_.overhead(), requests_measured_);
    }

    const Mount& mount_;
    const Options& options_;
    BpfRecorder bpf_;
    trace::Writer writer_;
    Summary summary_;
    Assembler assembler_;
    std::uint64_t ended_before_ = 0;
    std::uint64_t requests_measured_ = 0;
    double elapsed_s_ = 0;
};

}  // namespace

void record(const Options& options, const std::atomic<bool>& stop) {
    const Mount mount = find_mount(options.mount);
    if (lies_on(options.out, mount)) {
        throw config::Error({options.out}, "the trace would be written to the mount it records",
                            "choose a file on another file system");
    }
    if (geteuid() != 0) {
        throw Unavailable("record needs root: it attaches tracing programs (try sudo)");
    }
    try {
        BpfRun(options, mount).run(stop);
    } catch (const BpfRecorder::Refused& refused) {
        throw Unavailable(refused.what());
    }
}

}  // namespace fusesim::record
