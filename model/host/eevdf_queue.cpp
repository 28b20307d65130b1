#include "host/eevdf_queue.h"

#include <algorithm>
#include <cstdint>

namespace fusesim::host {

using sim::Time;

void EevdfQueue::enqueue(FairEntity& entity, Time now) {
    if (!entity.delayed_) {
        update(now);
        place(entity);
        queue_.push_back(entity);
        return;
    }
    // The kernel does not count the running entity's time first: what it has run since it was
    // picked does not turn the debt of the delayed one into a claim.
    entity.delayed_ = false;
    if (lag_of(entity) > Time()) {
        queue_.erase(queue_.iterator_to(entity));
        entity.lag_ = Time();
        place(entity);
        queue_.push_back(entity);
    }
}

bool EevdfQueue::dequeue(FairEntity& entity, Time now, bool sleeps) {
    update(now);
    if (sleeps && !eligible(entity, excess())) {
        entity.delayed_ = true;
        return false;
    }
    entity.lag_ = lag_of(entity);
    take_out(entity);
    return true;
}

void EevdfQueue::dequeue_delayed(FairEntity& entity, Time now) {
    update(now);
    entity.delayed_ = false;
    entity.lag_ = std::min(lag_of(entity), Time());
    take_out(entity);
}

FairEntity& EevdfQueue::pick(Time now) {
    update(now);
    return best();
}

void EevdfQueue::run(FairEntity& entity, Time now) {
    current_ = &entity;
    updated_ = now;
}

void EevdfQueue::stop(Time now) {
    update(now);
    if (current_ != nullptr) {
        queue_.splice(queue_.end(), queue_, queue_.iterator_to(*current_));
        current_ = nullptr;
    }
}

bool EevdfQueue::update(Time now) {
    if (current_ == nullptr) {
        return false;
    }
    current_->vruntime_ += now - updated_;
    updated_ = now;
    if (current_->vruntime_ < current_->deadline_) {
        return false;
    }
    current_->deadline_ = current_->vruntime_ + slice_;
    return queue_.size() > 1;
}

bool EevdfQueue::preempts(const FairEntity& woken) {
    return !eligible(*current_, excess()) && &best() == &woken;
}

Time EevdfQueue::slice_end() const {
    if (current_ == nullptr || queue_.size() == 1) {
        return Time::max();
    }
    return updated_ + (current_->deadline_ - current_->vruntime_);
}

// All relative to the front one, so that sums stay small.
Time EevdfQueue::excess() const {
    const Time base = queue_.front().vruntime_;
    Time sum;
    for (const FairEntity& entity : queue_) {
        sum += entity.vruntime_ - base;
    }
    return sum;
}

Time EevdfQueue::average() const {
    return queue_.empty() ? last_ : queue_.front().vruntime_ + excess() / count();
}

bool EevdfQueue::eligible(const FairEntity& entity, Time excess) const {
    return (entity.vruntime_ - queue_.front().vruntime_) * count() <= excess;
}

FairEntity& EevdfQueue::best() {
    const Time all = excess();
    FairEntity* found = nullptr;
    for (FairEntity& entity : queue_) {
        // The running one wins only by an earlier deadline.
        const bool first = found == nullptr || entity.deadline_ < found->deadline_ ||
                           (entity.deadline_ == found->deadline_ && found == current_);
        if (first && eligible(entity, all)) {
            found = &entity;
        }
    }
    return *found;
}

Time EevdfQueue::lag_of(const FairEntity& entity) const {
    return std::clamp(average() - entity.vruntime_, Time() - 2 * slice_, 2 * slice_);
}

void EevdfQueue::place(FairEntity& entity) {
    entity.vruntime_ = average();
    if (!queue_.empty()) {
        // Its own arrival moves the average, so that it would be owed less.
        entity.vruntime_ -= entity.lag_ * (count() + 1) / count();
    }
    entity.deadline_ = entity.vruntime_ + slice_;
}

void EevdfQueue::take_out(FairEntity& entity) {
    last_ = average();
    queue_.erase(queue_.iterator_to(entity));
    if (current_ == &entity) {
        current_ = nullptr;
    }
}

}  // namespace fusesim::host
