#pragma once

#include "fuse/opcode.h"
#include "sim/random.h"
#include "trace/reader.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::workload {

/// Service time that grows or falls with the bytes read or written, which a fit cannot say.
struct SizeEffect {
    std::uint64_t smallest = 0;  ///< bytes
    std::uint64_t largest = 0;
    double at_smaller_s = 0;  ///< mean service of requests up to the middle of the sizes
    double at_larger_s = 0;   ///< and of those above; the middle is the geometric one
    double correlation = 0;   ///< of the logarithms of size and service time
};

/// A sample of times, turned into a distribution with the same mean.
struct FittedTime {
    sim::Distribution distribution;
    double recorded_mean_s = 0;
};

/// What the recorded daemon needed for the requests of one opcode.
struct FittedService {
    std::uint64_t count = 0;   ///< requests whose service time is known
    std::uint64_t errors = 0;  ///< of these, answered with an error
    std::uint64_t spans = 0;   ///< of these, known only as the time from taken to replied
    FittedTime cpu;
    std::optional<FittedTime> blocked;  ///< nothing if no request ever slept
};

struct FittedOpcode {
    fuse::Opcode opcode{};
    FittedService service;
    std::optional<SizeEffect> size_effect;
};

/// Service times of a recorded daemon, opcode by opcode in the protocol's order.
struct DaemonFit {
    std::vector<FittedOpcode> opcodes;
    FittedService other;              ///< for opcodes not seen: all requests together ...
    bool other_without_data = false;  ///< ... but READ and WRITE
    std::uint64_t records = 0;        ///< in the trace, messages without answer among them
    std::uint64_t unknown = 0;        ///< requests whose service time the trace does not say
};

/// Reads the trace to its end. A trace of another layer, or one that knows no service time, is a
/// config::Error. `progress` is told now and then which share has been read; may be empty.
DaemonFit fit_daemon(trace::Reader& reader, const std::function<void(double)>& progress = {});

/// The fit as a file for `daemon: {from: FILE}`, with its origin in comments. `trace_name` is the
/// trace's, `tool` who fits. Call it once the reader is at its end.
std::string daemon_yaml(const DaemonFit& fit,
                        const trace::Reader& reader,
                        const std::string& trace_name,
                        const std::string& tool);

/// What a user of the fit should know; each is one sentence.
std::vector<std::string> fit_warnings(const DaemonFit& fit);

}  // namespace fusesim::workload
