#include "recorder.h"

#include "assembler.h"
#include "calls.h"
#include "config/error.h"
#include "mount.h"
#include "probe.h"
#include "summary.h"
#include "trace/import.h"
#include "trace/writer.h"
#include "tracefs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <thread>

namespace fusesim::record {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto poll_interval = 20ms;
// The programs' run time is measured for a tenth of the time, the first time at once.
constexpr auto measure_every = 500ms;
constexpr auto measure_for = 50ms;
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
    header.facts.insert(header.facts.end(), options.notes.begin(), options.notes.end());
    return header;
}

/// As for `fusesim trace convert`.
trace::WriteOptions form_of(const std::string& path) {
    trace::WriteOptions options;
    const bool text = path == "-" || (path.size() > 4 && path.substr(path.size() - 4) == ".txt");
    options.form = text ? trace::Form::text : trace::Form::binary;
    return options;
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
        fmt::print(stderr,
                   "\r{:6.1f} s  {} requests  {:.0f}/s  {} lost ",
                   elapsed_s,
                   records,
                   static_cast<double>(records - before_) * 2,
                   lost);
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

void describe_daemons(const std::vector<std::uint32_t>& daemons, trace::Header& header) {
    if (!daemons.empty()) {
        describe_daemon(daemons.front(), header.facts);
        add_number(header, "daemon.processes", daemons.size());
    }
}

/// What was learnt of the mount and of its daemon on the way.
void describe_requests(trace::Header& header, const Probe& probe) {
    const recorder_counts counts = probe.counts();
    describe_connection(probe.facts(), header);
    describe_daemons(probe.daemons(), header);
    if (counts.read_size != 0) {
        add_number(header, "daemon.read_buffer", counts.read_size);
    }
    header.facts.emplace_back("daemon.splice_read", counts.splice_reads != 0 ? "true" : "false");
    header.facts.emplace_back("daemon.splice_write", counts.splice_replies != 0 ? "true" : "false");
    add_number(header, "seen.most_background", counts.most_background);
    std::string missing = "time in the background queue; new directory of RENAME, source of LINK";
    if (counts.uring_requests != 0) {
        missing += "; arguments, taken and replied of requests over io_uring";
    }
    header.facts.emplace_back("missing", missing);
}

void describe_calls(trace::Header& header, const Mount& mount) {
    describe_daemons(find_daemons(mount), header);
    header.facts.emplace_back(
        "missing",
        "calls by paths that reach the mount through a symbolic link, except open; "
        "accesses to mapped memory; io_uring; 32-bit programs");
}

/// The programs run in the callers and the daemon, but also in everybody else's system calls.
void print_overhead(const Overhead& overhead, std::uint64_t measured, double mean_latency_s) {
    if (overhead.window_seconds <= 0) {
        return;
    }
    fmt::print(stderr,
               "own programs: {:.2f} % of one core, {} runs in {:.1f} s measured",
               overhead.seconds / overhead.window_seconds * 100,
               overhead.runs,
               overhead.window_seconds);
    if (measured != 0) {
        const double each = overhead.seconds / static_cast<double>(measured);
        fmt::print(stderr, "; {:.2f} us per record", each * 1e6);
        if (mean_latency_s > 0) {
            fmt::print(stderr,
                       ", about {:.0f} % of its mean latency of {:.1f} us",
                       100 * each / mean_latency_s,
                       mean_latency_s * 1e6);
        }
    }
    fmt::print(stderr, "\n");
}

/// One recording with BPF, from the first request to the last.
class BpfRun {
  public:
    BpfRun(const Options& options, const Mount& mount)
        : mount_(mount),
          options_(options),
          probe_(is_fuse() ? probe_requests(mount, find_daemons(mount)) : probe_calls(mount)),
          writer_(options.out, header_for(options, mount), form_of(options.out)),
          summary_(options.layer) {
        const Collector::Sink sink = [this](const trace::Record& record) {
            writer_.add(record);
            summary_.add(record);
            if (record.caller != 0) {
                callers_.see(record.caller);
            }
        };
        if (is_fuse()) {
            collector_ = std::make_unique<Assembler>(sink);
        } else {
            collector_ = std::make_unique<CallCollector>(sink, mount.point);
        }
    }

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
            probe_->consume(*collector_);
            progress.show(
                summary_.records(), seconds(Clock::now() - began), lost_of(probe_->counts()));
        }
        elapsed_s_ = seconds(Clock::now() - began);
        drain();
        progress.done();
        conclude();
        writer_.finish();
        report();
    }

  private:
    bool is_fuse() const { return options_.layer == trace::Layer::fuse; }

    void begin_measuring() {
        probe_->consume(*collector_);
        ended_before_ = collector_->ended();
        probe_->start_measuring();
    }

    void end_measuring() {
        if (probe_->is_measuring()) {
            probe_->stop_measuring();
            probe_->consume(*collector_);
            measured_ += collector_->ended() - ended_before_;
        }
    }

    /// Lets the requests in flight come to their end.
    void drain() {
        end_measuring();
        probe_->stop_new();
        const auto limit = Clock::now() + drain_limit;
        do {
            probe_->consume(*collector_);
            std::this_thread::sleep_for(1ms);
        } while (collector_->in_flight() != 0 && Clock::now() < limit && is_alive(mount_));
        std::this_thread::sleep_for(poll_interval);
        probe_->detach();
        probe_->consume(*collector_);
        collector_->finish();
    }

    void conclude() {
        trace::Header& header = writer_.header();
        header.lost = lost_of(probe_->counts());
        if (is_fuse()) {
            header.lost += collector_->counts().late;
            describe_requests(header, *probe_);
        } else {
            describe_calls(header, mount_);
        }
        if (const std::string cpus = callers_.text(); !cpus.empty()) {
            header.facts.emplace_back("callers.affinity", cpus);
        }
        const Overhead overhead = probe_->overhead();
        if (overhead.window_seconds > 0) {
            header.facts.emplace_back(
                "recorder.cpu_share",
                fmt::format("{:.4f}", overhead.seconds / overhead.window_seconds));
        }
    }

    void report() {
        fmt::print(stderr, "{}", summary_.table());
        const Collector::Counts& counts = collector_->counts();
        const std::uint64_t lost = writer_.header().lost;
        if (is_fuse()) {
            fmt::print(stderr,
                       "{} requests in {:.1f} s, {} without reply, {} events lost -> {}\n",
                       counts.written,
                       elapsed_s_,
                       counts.without_end,
                       lost,
                       options_.out);
        } else {
            fmt::print(stderr,
                       "{} calls in {:.1f} s, {} events lost -> {}\n",
                       counts.written,
                       elapsed_s_,
                       lost,
                       options_.out);
            if (counts.late != 0) {
                fmt::print(stderr,
                           "{} calls took so long that the time of their entry is left out\n",
                           counts.late);
            }
        }
        if (counts.without_send != 0) {
            fmt::print(stderr,
                       "{} requests left out: sent before the recording began{}\n",
                       counts.without_send,
                       lost != 0 ? ", or their events lost" : "");
        }
        if (counts.cut_names != 0) {
            fmt::print(
                stderr, "{} paths too deep or too long to be kept whole\n", counts.cut_names);
        }
        if (const std::uint64_t unreadable = probe_->counts().unreadable; unreadable != 0) {
            fmt::print(stderr,
                       "{} requests without arguments: the daemon's buffer was not mapped\n",
                       unreadable);
        }
        print_overhead(probe_->overhead(), measured_, summary_.mean_latency_s());
    }

    const Mount& mount_;
    const Options& options_;
    std::unique_ptr<Probe> probe_;
    trace::Writer writer_;
    Placements callers_;
    Summary summary_;
    std::unique_ptr<Collector> collector_;
    std::uint64_t ended_before_ = 0;
    std::uint64_t measured_ = 0;
    double elapsed_s_ = 0;
};

constexpr const char* missing_without_bpf =
    "offsets, names, nodeids, FORGET, INTERRUPT, taken, replied, resumed, think and "
    "service times, time in the background queue";

/// Without BPF: the kernel's text trace goes to a file beside the trace, then through the importer.
void record_text(const Options& options, const Mount& mount, const std::atomic<bool>& stop) {
    TracefsInstance instance(mount);
    const std::string text = options.out + ".tracefs";
    const int file = open(text.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) {
        throw config::Error({text}, "cannot be written", "choose another --out");
    }
    trace::Header header = header_for(options, mount);
    Progress progress(mount);
    fmt::print(stderr, "without BPF the trace lacks {}\n", missing_without_bpf);
    const auto began = Clock::now();
    while (!stop && is_alive(mount) &&
           !(options.duration_s && seconds(Clock::now() - began) >= *options.duration_s)) {
        std::this_thread::sleep_for(poll_interval);
        instance.drain(file);
    }
    instance.stop();
    instance.drain(file);
    close(file);
    header.lost = instance.lost();
    header.facts.emplace_back("missing", missing_without_bpf);
    describe_daemons(find_daemons(mount), header);

    Summary summary(options.layer);
    trace::ByteSource source(text);
    trace::Header imported;
    trace::Writer writer(options.out, header, form_of(options.out));
    const trace::ImportReport report = trace::import_tracefs(source,
                                                             imported,
                                                             [&](const trace::Record& record) {
                                                                 writer.add(record);
                                                                 summary.add(record);
                                                             },
                                                             {});
    writer.finish();
    unlink(text.c_str());
    fmt::print(stderr,
               "{}{} requests in {:.1f} s, {} without reply, {} events lost -> {}\n",
               summary.table(),
               report.records,
               seconds(Clock::now() - began),
               report.unanswered,
               header.lost,
               options.out);
}

}  // namespace

void record(const Options& options, const std::atomic<bool>& stop) {
    const Mount mount = find_mount(options.mount);
    if (lies_on(options.out, mount)) {
        throw config::Error({options.out},
                            "the trace would be written to the mount it records",
                            "choose a file on another file system");
    }
    if (geteuid() != 0) {
        throw Unavailable("record needs root: it attaches tracing programs (try sudo)");
    }
    std::string why_not = "--no-bpf was given";
    if (options.bpf) {
        try {
            BpfRun(options, mount).run(stop);
            return;
        } catch (const Probe::Refused& refused) {
            why_not = refused.what();
        }
        if (options.layer == trace::Layer::fuse) {
            fmt::print(stderr, "{}; trying the kernel's text trace\n", why_not);
        }
    }
    if (options.layer != trace::Layer::fuse) {
        throw Unavailable("application calls can be recorded with BPF only: " + why_not);
    }
    try {
        record_text(options, mount, stop);
    } catch (const TracefsInstance::Missing& missing) {
        throw Unavailable(missing.what());
    }
}

}  // namespace fusesim::record
