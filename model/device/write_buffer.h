#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace fusesim::device {

struct SsdCommand;

/// Data that the host has written and flash has not yet taken: in order of arrival, each unit that
/// is written again before it goes to flash only once. Knows no time.
class WriteBuffer {
  public:
    using Unit = std::uint32_t;
    using Index = std::uint32_t;
    static constexpr Index none = 0xffffffff;

    explicit WriteBuffer(std::uint32_t units);

    std::uint32_t capacity() const { return static_cast<std::uint32_t>(entries_.size()); }

    /// Units that may still be reserved.
    std::uint32_t room() const { return capacity() - used_ - reserved_; }

    void reserve(std::uint32_t units) { reserved_ += units; }

    bool holds(Unit unit) const { return used_ > 0 && table_[find(unit)] != none; }

    /// Puts a unit where room was reserved. `durable` waits until it is on flash; null: nobody.
    void insert(Unit unit, SsdCommand* durable);

    /// Forgets units that were trimmed before they went to flash.
    void drop(Unit first, std::uint64_t count);

    /// Units that wait to go to flash; of these, the ones that somebody waits for.
    std::uint32_t pending() const { return pending_; }

    std::uint32_t urgent() const { return urgent_; }

    /// Takes up to `most` of the oldest pending units out, linked from `head`; returns how many.
    unsigned take(Unit* units, unsigned most, Index& head);

    /// A unit that take() gave is on flash. Returns its successor and who waits for it.
    Index release(Index index, SsdCommand*& durable);

    /// Everything that is in the buffer has to go to flash; `done(ticket)` says when it is.
    std::uint64_t flush();

    bool done(std::uint64_t ticket) const { return first_epoch_ > ticket; }

  private:
    struct Entry {
        Unit unit = 0;
        Index next = none;
        std::uint64_t epoch = 0;
        SsdCommand* durable = nullptr;
        bool pending = false;
        bool dropped = false;
    };

    std::uint32_t slot_of(Unit unit) const {
        return static_cast<std::uint32_t>((unit * 0x9e3779b97f4a7c15u) >> table_shift_);
    }

    std::uint32_t find(Unit unit) const;
    void forget(Unit unit);
    void leave_epoch(std::uint64_t epoch);
    void end_epochs();
    void free(Index index);

    std::vector<Entry> entries_;
    std::vector<Index> table_;  // the latest entry of a unit; open addressing
    unsigned table_shift_;
    Index free_ = none;
    Index head_ = none;  // pending
    Index tail_ = none;
    std::uint32_t used_ = 0;
    std::uint32_t reserved_ = 0;
    std::uint32_t pending_ = 0;
    std::uint32_t urgent_ = 0;
    std::deque<std::uint32_t> epochs_{0};  // units not yet on flash, by flush that covers them
    std::uint64_t first_epoch_ = 0;
};

}  // namespace fusesim::device
