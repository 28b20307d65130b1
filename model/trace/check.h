#pragma once

#include "trace/column.h"
#include "trace/record.h"

#include <cstdint>
#include <string>
#include <vector>

namespace fusesim::trace {

/// A point in time is at most this: what fits sim::Time, 106 days.
inline constexpr std::int64_t time_limit = std::numeric_limits<std::int64_t>::max() / 1'000;

/// A name is at most this long: PATH_MAX and room for remote file systems.
inline constexpr std::size_t name_limit = 65'535;

/// What is wrong with a record; `none` is false.
enum class Fault : std::uint8_t {
    none,
    negative_time,
    time_too_large,
    queued_backwards,
    out_of_sequence,  ///< a later phase is earlier than a previous one
    negative_cpu,
    error_out_of_range,
    name_too_long,
    name_with_nul,
    unique_in_flight,
};

/// Where and why, for messages.
struct Defect {
    Fault fault = Fault::none;
    Column column = Column::opcode;
    std::string message;
    std::string hint;
};

/// Checks records one by one, in their order in the trace.
class Checker {
  public:
    explicit Checker(Layer layer);

    /// Takes the record in if it is fine.
    Fault check(const Record& record);

    /// Says what check() just found wrong with this record.
    Defect explain(Fault fault, const Record& record) const;

  private:
    struct Flight {
        std::uint64_t unique = 0;  ///< 0: an empty slot
        std::int64_t end = 0;
    };

    bool takes_off(std::uint64_t unique, std::int64_t begin, std::int64_t end);
    void sweep(std::int64_t now);
    Flight& slot(std::uint64_t unique);

    bool track_ = false;
    std::int64_t last_queued_ = 0;
    // Open addressing, a power of two, at most half full; landed flights stay until a sweep.
    std::vector<Flight> flights_;
    std::size_t used_ = 0;
};

}  // namespace fusesim::trace
