#pragma once

#include "sim/histogram.h"
#include "trace/record.h"

#include <cstdint>
#include <limits>
#include <map>

namespace fusesim::trace {

/// Count, mean and percentiles of a span of time, in ns.
class Spans {
  public:
    void add(std::int64_t ns);

    std::uint64_t count() const { return histogram_.count(); }

    double mean_s() const;

    double quantile_s(double q) const { return histogram_.quantile(q) * 1e-9; }

    double max_s() const { return static_cast<double>(histogram_.max()) * 1e-9; }

  private:
    sim::Histogram histogram_;
    long double sum_ = 0;
};

/// What a trace holds, counted in one pass.
class Stats {
  public:
    struct Opcode {
        std::uint64_t count = 0;
        std::uint64_t errors = 0;
        std::uint64_t background = 0;
        std::uint64_t bytes_in = 0;
        std::uint64_t bytes_out = 0;
        /// From queued until the caller runs again or, where that was not seen, until the end.
        Spans latency;
        // The parts of it, of the records that show all of them.
        Spans queue;       ///< queued until taken
        Spans processing;  ///< taken until replied
        Spans reply;       ///< replied until resumed, or ended
    };

    void add(const Record& record);

    const std::map<std::uint32_t, Opcode>& opcodes() const { return opcodes_; }

    std::uint64_t records() const { return records_; }

    /// From the first time in the trace to the last.
    double duration_s() const;

  private:
    std::map<std::uint32_t, Opcode> opcodes_;
    std::uint64_t records_ = 0;
    std::int64_t first_ = std::numeric_limits<std::int64_t>::max();
    std::int64_t last_ = unknown_time;
};

}  // namespace fusesim::trace
