#pragma once

#include "sim/time.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fusesim::sim {

class Calendar;

/// Something that is to happen at a time; leaves the calendar by itself when it dies.
class Timer {
  public:
    Timer() = default;
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    bool scheduled() const { return calendar_ != nullptr; }

    void cancel();

  protected:
    ~Timer() { cancel(); }

    virtual void fire() = 0;

  private:
    friend class Calendar;

    Calendar* calendar_ = nullptr;
    std::size_t position_ = 0;
};

/// The events to come, a 4-ary heap ordered by time and, within one instant, by the order in which
/// they were scheduled: ties never depend on addresses.
class Calendar {
  public:
    bool empty() const { return heap_.empty(); }

    std::size_t size() const { return heap_.size(); }

    Time next() const { return heap_.front().at; }

    void schedule(Timer& timer, Time at);
    void remove(Timer& timer);
    /// Takes the head out and fires it.
    void fire_next();

  private:
    struct Entry {
        Time at;
        std::uint64_t order;
        Timer* timer;

        bool before(const Entry& other) const {
            return at != other.at ? at < other.at : order < other.order;
        }
    };

    void place(std::size_t position, const Entry& entry);
    void sift_up(std::size_t position, const Entry& entry);
    void sift_down(std::size_t position, const Entry& entry);

    std::vector<Entry> heap_;
    std::uint64_t order_ = 0;
};

}  // namespace fusesim::sim
