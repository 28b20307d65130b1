#pragma once

#include "events.h"
#include "trace/record.h"

#include <cstddef>
#include <cstdint>
#include <functional>

namespace fusesim::record {

/// Makes records of the events of one layer.
class Collector {
  public:
    using Sink = std::function<void(const trace::Record&)>;

    struct Counts {
        std::uint64_t written = 0;
        std::uint64_t without_end = 0;   ///< written although the daemon had not replied
        std::uint64_t without_send = 0;  ///< left out: sent before the recording, or its send lost
        std::uint64_t late = 0;          ///< came after younger ones were written
        std::uint64_t cut_names = 0;     ///< names longer than what is kept
    };

    Collector() = default;
    Collector(const Collector&) = delete;
    Collector& operator=(const Collector&) = delete;
    virtual ~Collector() = default;

    /// One event, with what follows it in the ring buffer.
    virtual void handle(const event& event) = 0;

    /// Writes what is complete, given that no event older than `now - slack` can come any more.
    virtual void flush(std::int64_t now) = 0;

    /// Writes what is left, complete or not.
    virtual void finish() = 0;

    /// Requests that wait for a reply.
    virtual std::size_t in_flight() const = 0;

    /// Requests or calls that came to their end so far.
    virtual std::uint64_t ended() const = 0;

    const Counts& counts() const { return counts_; }

    static constexpr std::int64_t slack = 20'000'000;

  protected:
    Counts counts_;
};

}  // namespace fusesim::record
