#pragma once

#include "collector.h"
#include "trace/record.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace fusesim::record {

/// Puts the events of many requests together to one record each, in the order in which they were
/// queued. Holds what is in flight and no more; a request that takes so long that `limit` others
/// pile up behind it is written without its end.
class Assembler : public Collector {
  public:
    explicit Assembler(Sink sink, std::size_t limit = 1 << 16);

    void send(const send_event& event);
    void taken(const taken_event& event);
    void end(const end_event& event);
    void resumed(const resumed_event& event);

    void handle(const event& event) override;
    void flush(std::int64_t now) override;
    void finish() override;

    std::size_t in_flight() const override { return in_flight_; }

    std::uint64_t ended() const override { return ended_; }

  private:
    struct Open {
        trace::Record record;
        std::uint64_t request = 0;
        std::int64_t key = 0;  ///< place in the order: queued, or taken if made by the read
        bool needs_taken = true;
        bool needs_end = true;
        bool needs_resume = false;
    };

    using Slot = std::uint32_t;

    Slot allocate();
    void enqueue(Slot slot);
    void write_front();
    Slot* find(std::uint64_t unique, std::uint64_t request);
    bool is_complete(const Open& open, std::int64_t now) const;
    void resume(std::uint64_t unique, std::uint64_t request, std::uint32_t tid, std::uint64_t time);
    void ran_on(std::uint32_t caller);

    Sink sink_;
    std::size_t limit_;
    std::vector<Open> slots_;
    std::vector<Slot> free_;
    std::deque<Slot> order_;
    std::unordered_map<std::uint64_t, Slot> by_unique_;
    std::unordered_map<std::uint64_t, Slot> by_request_;  ///< sent before they had a unique
    std::unordered_map<std::uint64_t, std::vector<std::byte>> taken_early_;
    std::unordered_map<std::uint32_t, Slot> waits_to_resume_;  ///< by caller
    std::size_t in_flight_ = 0;
    std::uint64_t ended_ = 0;
    std::int64_t newest_written_ = trace::unknown_time;
    std::int64_t base_ = trace::unknown_time;
};

}  // namespace fusesim::record
