#pragma once

#include "config/units.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::report {

using config::Json;

/// Things with names, in the order in which reports show them. Names are unique.
template <class T>
using Named = std::vector<std::pair<std::string, T>>;

/// What has that name; null if nothing has.
template <class T>
const T* find(const Named<T>& named, const std::string& name) {
    for (const auto& [key, value] : named) {
        if (key == name) {
            return &value;
        }
    }
    return nullptr;
}

/// How long something took, in seconds.
struct Latency {
    double mean = 0;
    double p50 = 0;
    double p95 = 0;
    double p99 = 0;
    double p999 = 0;
    double max = 0;
};

/// Means, in seconds, of the parts of a request's life. A recorder may not see all of them; those
/// of a simulation are complete and add up to the mean latency.
struct Phases {
    std::optional<double> background;  ///< from creation until it leaves the background queue
    std::optional<double> queue;       ///< until the daemon has it
    std::optional<double> processing;  ///< until the daemon replies
    std::optional<double> reply;       ///< until the waiting caller runs again

    bool complete() const { return background && queue && processing && reply; }

    double sum() const {
        return background.value_or(0) + queue.value_or(0) + processing.value_or(0) +
               reply.value_or(0);
    }
};

/// Calls of applications of one kind: read, write, open, ...
struct Operation {
    std::uint64_t count = 0;
    double per_s = 0;
    std::optional<Latency> latency;  ///< absent if none ended inside the window
};

/// FUSE messages of one opcode.
struct Request {
    std::uint64_t count = 0;
    std::uint64_t bytes_in = 0;      ///< to the daemon, headers included
    std::uint64_t bytes_out = 0;     ///< from the daemon, headers included
    std::optional<Latency> latency;  ///< absent for messages that get no reply
    std::optional<Phases> phases;
};

/// Something that requests queue for: a thread, a core, a device.
struct Station {
    std::string name;
    double utilisation = 0;   ///< share of the window that it was busy, 1 = all servers
    double queue_length = 0;  ///< mean number waiting, without those in service
    double waiting_s = 0;     ///< mean time in the queue
    double service_s = 0;     ///< mean time in service
};

struct Bottleneck {
    std::string station;
    double utilisation = 0;
    std::string sentence;
};

struct Interval {
    double low = 0;
    double high = 0;
};

struct Throughput {
    double ops_per_s = 0;
    double read_bytes_per_s = 0;
    double write_bytes_per_s = 0;
    Named<Interval> ci95;  ///< by name of the number above or "latency.<operation>"
};

struct Cpu {
    double application_s = 0;
    double daemon_s = 0;
    double kernel_s = 0;         ///< for both of them
    double daemon_kernel_s = 0;  ///< part of kernel_s: in the daemon's own system calls
    /// How often a thread of theirs left its core: asleep, or for another.
    double context_switches = 0;
};

/// What the simulation itself cost; differs from run to run.
struct Simulator {
    std::uint64_t requests = 0;
    std::uint64_t events = 0;
    double cpu_s = 0;
    double requests_per_cpu_s = 0;
    std::uint64_t peak_rss_bytes = 0;
};

/// One side of a comparison: what was recorded, or what was simulated.
struct Side {
    std::uint64_t count = 0;
    double mean = 0;
    double p50 = 0;
    double p99 = 0;
    std::optional<Phases> phases;
};

struct Compared {
    Side recorded;
    Side simulated;
};

/// A replayed trace beside what was recorded in it.
struct Comparison {
    std::string trace;
    std::string mode;          ///< timed, think or asap
    Named<Compared> requests;  ///< by opcode, or by call for traces of calls
};

/// What was wanted of a run, and what came of it.
struct SloVerdict {
    std::string slo;   ///< "read.p99 < 2 ms", see slo.h
    double value = 0;  ///< SI
    bool met = false;
};

/// Something that went wrong on purpose, and how long it took to clear.
struct Fault {
    std::string kind;               ///< stall, crash or request_timeout
    double at_s = 0;                ///< in the window
    std::optional<double> lasts_s;  ///< absent: for good
    /// Requests alive and callers at the gate, as in /sys/fs/fuse/connections/N/waiting: the mean
    /// until then, and the most from then on until it cleared.
    double waiting_before = 0;
    double waiting_peak = 0;
    /// From the fault's end until no more waited than before it; absent: not within the run.
    std::optional<double> drain_s;
    std::uint64_t failed_operations = 0;  ///< calls that ended with an error, and with them threads
};

/// Requests of one kind that a program in the kernel answered, and those that it let pass.
struct Answers {
    std::uint64_t answered = 0;
    std::uint64_t passed = 0;
};

enum class Source { simulated, measured };

/// Everything a run has to say. JSON and text are made of this and nothing else.
struct Result {
    std::string version;  ///< of fusesim
    Source source = Source::simulated;
    std::uint64_t seed = 1;
    Json config = Json::object();  ///< effective configuration
    double warm_up_s = 0;
    double duration_s = 0;
    Throughput throughput;
    Named<Operation> operations;
    Named<Request> requests;
    std::vector<Station> stations;
    std::optional<Bottleneck> bottleneck;
    std::optional<Cpu> cpu;
    Named<double> memory;  ///< name with its unit ("page_cache_bytes") and value
    std::optional<Simulator> simulator;
    std::optional<Comparison> comparison;
    std::vector<SloVerdict> slo;
    std::vector<Fault> faults;
    Named<Answers> extfuse;  ///< by opcode
    /// The run over time and distributions of latencies, where they were asked for; see README.md.
    Json details;
};

/// (simulated - recorded) / recorded; nothing where nothing was recorded.
std::optional<double> relative_error(double recorded, double simulated);

/// The busiest station and a sentence about it; nothing without stations. The first of equals.
std::optional<Bottleneck> busiest(const std::vector<Station>& stations);

/// Throws std::logic_error if a number is not finite, or if complete phases do not add up to their
/// mean. Reports call it: a result that contradicts itself is a bug of its producer.
void check(const Result& result);

}  // namespace fusesim::report
