#pragma once

#include "trace/record.h"

#include <cstdint>
#include <map>
#include <string>

namespace fusesim::record {

/// What was recorded, counted as it goes by.
class Summary {
  public:
    explicit Summary(trace::Layer layer) : layer_(layer) {}

    void add(const trace::Record& record);

    std::uint64_t records() const { return records_; }

    /// Over all that have one, 0 if none has.
    double mean_latency_s() const;

    /// One line an opcode: how many, without reply, mean latency and its phases.
    std::string table() const;

  private:
    struct Mean {
        double sum = 0;
        std::uint64_t count = 0;

        void add(std::int64_t from, std::int64_t to);
        std::string text() const;
    };

    struct Line {
        std::uint64_t count = 0;
        std::uint64_t errors = 0;
        Mean latency;
        Mean queue;
        Mean processing;
        Mean reply;
    };

    trace::Layer layer_;
    std::uint64_t records_ = 0;
    std::map<std::uint32_t, Line> lines_;
};

}  // namespace fusesim::record
