#pragma once

#include "trace/record.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>

namespace fusesim::trace {

/// Requests are recorded when they begin and become records when they end, in another order. Holds
/// each until all that were queued before it are done, and hands them on in order of `queued`.
class InOrder {
  public:
    /// At most `limit` requests wait; beyond, the oldest is handed on as it is.
    InOrder(std::function<void(const Record&)> sink, std::size_t limit = std::size_t{1} << 18)
        : sink_(std::move(sink)), limit_(limit) {}

    /// A request that was queued now; false if one with this unique is still open.
    bool open(Record record) {
        const std::uint64_t number = first_ + waiting_.size();
        if (!open_.try_emplace(record.unique, number).second) {
            return false;
        }
        waiting_.push_back({std::move(record), false});
        if (waiting_.size() > limit_) {
            ++unanswered_;
            open_.erase(waiting_.front().record.unique);
            waiting_.front().done = true;
            hand_on();
        }
        return true;
    }

    /// The open request with this unique, nullptr if there is none. To be filled in further.
    Record* find(std::uint64_t unique) {
        const auto found = open_.find(unique);
        return found == open_.end()
                   ? nullptr
                   : &waiting_[static_cast<std::size_t>(found->second - first_)].record;
    }

    /// It has all it will get.
    void close(std::uint64_t unique) {
        const auto found = open_.find(unique);
        waiting_[static_cast<std::size_t>(found->second - first_)].done = true;
        open_.erase(found);
        hand_on();
    }

    /// The same, unless it was handed on already.
    void close_if_open(std::uint64_t unique) {
        if (open_.count(unique) != 0) {
            close(unique);
        }
    }

    /// Hands on the rest, too, answered or not.
    void finish() {
        unanswered_ += open_.size();
        open_.clear();
        for (Waiting& waiting : waiting_) {
            waiting.done = true;
        }
        hand_on();
    }

    /// Open requests that were handed on without being closed.
    std::uint64_t unanswered() const { return unanswered_; }

    std::size_t open_count() const { return open_.size(); }

  private:
    struct Waiting {
        Record record;
        bool done = false;
    };

    void hand_on() {
        while (!waiting_.empty() && waiting_.front().done) {
            sink_(waiting_.front().record);
            waiting_.pop_front();
            ++first_;
        }
    }

    std::function<void(const Record&)> sink_;
    std::size_t limit_;
    std::deque<Waiting> waiting_;
    std::uint64_t first_ = 0;  ///< number of waiting_.front() among all that were ever opened
    std::unordered_map<std::uint64_t, std::uint64_t> open_;
    std::uint64_t unanswered_ = 0;
};

}  // namespace fusesim::trace
