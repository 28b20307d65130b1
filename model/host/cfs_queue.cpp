#include "host/cfs_queue.h"

#include <algorithm>
#include <cstdint>

namespace fusesim::host {

using sim::Time;

void CfsQueue::enqueue(FairEntity& entity, Time now) {
    update(now);
    place(entity, now);
    queue_.push_back(entity);
    raise_minimum();
}

bool CfsQueue::dequeue(FairEntity& entity, Time now, bool) {
    update(now);
    queue_.erase(queue_.iterator_to(entity));
    current_ = current_ == &entity ? nullptr : current_;
    next_ = next_ == &entity ? nullptr : next_;
    raise_minimum();
    return true;
}

void CfsQueue::dequeue_delayed(FairEntity& entity, Time now) {
    dequeue(entity, now, true);
}

FairEntity& CfsQueue::pick(Time now) {
    update(now);
    const FairEntity* best = &leftmost();
    if (next_ != nullptr && next_->vruntime_ - best->vruntime_ <= config_.wakeup_granularity) {
        best = next_;
    }
    return *queue_.iterator_to(const_cast<FairEntity&>(*best));
}

void CfsQueue::run(FairEntity& entity, Time now) {
    current_ = &entity;
    updated_ = now;
    ran_ = Time();
    next_ = next_ == &entity ? nullptr : next_;
}

void CfsQueue::stop(Time now) {
    update(now);
    if (current_ != nullptr) {
        // Behind its equals.
        queue_.splice(queue_.end(), queue_, queue_.iterator_to(*current_));
        current_ = nullptr;
    }
}

bool CfsQueue::update(Time now) {
    if (current_ == nullptr) {
        return false;
    }
    current_->vruntime_ += now - updated_;
    ran_ += now - updated_;
    updated_ = now;
    raise_minimum();
    if (queue_.size() == 1 || ran_ < slice(queue_.size())) {
        return false;
    }
    ran_ = Time();  // if it is picked again it has another slice
    return true;
}

bool CfsQueue::preempts(const FairEntity& woken) {
    if (current_->vruntime_ - woken.vruntime_ <= config_.wakeup_granularity) {
        return false;
    }
    next_ = &woken;
    return true;
}

Time CfsQueue::slice_end() const {
    if (current_ == nullptr || queue_.size() == 1) {
        return Time::max();
    }
    return updated_ + (slice(queue_.size()) - ran_);
}

Time CfsQueue::turn_end() const {
    Time least = Time::max();
    for (const FairEntity& entity : queue_) {
        least = &entity == current_ ? least : std::min(least, entity.vruntime_);
    }
    if (current_ == nullptr || least == Time::max()) {
        return Time::max();
    }
    return updated_ + std::max(Time(), least - current_->vruntime_);
}

// sched_slice(): a latency for all together, but none less than the granularity.
Time CfsQueue::slice(std::size_t runnable) const {
    return std::max(config_.latency / static_cast<std::int64_t>(runnable), config_.min_granularity);
}

// The running one gives way to its equals.
const FairEntity& CfsQueue::leftmost() const {
    const FairEntity* least = nullptr;
    for (const FairEntity& entity : queue_) {
        if (&entity != current_ && (least == nullptr || entity.vruntime_ < least->vruntime_)) {
            least = &entity;
        }
    }
    if (current_ != nullptr && (least == nullptr || current_->vruntime_ < least->vruntime_)) {
        least = current_;
    }
    return *least;
}

void CfsQueue::raise_minimum() {
    if (!queue_.empty()) {
        min_vruntime_ = std::max(min_vruntime_, leftmost().vruntime_);
    }
}

void CfsQueue::place(FairEntity& entity, Time now) {
    const bool begins = entity.last_ == nullptr;
    if (begins && now > Time()) {  // new: as its parent, but not before all others have run
        const Time parent = current_ != nullptr ? current_->vruntime_ : Time();
        entity.vruntime_ = std::max(parent, min_vruntime_ + slice(queue_.size() + 1));
    } else {
        // Who is there when the simulation begins has long been.
        if (!begins && entity.last_ != this) {
            entity.vruntime_ +=
                min_vruntime_ - static_cast<const CfsQueue*>(entity.last_)->min_vruntime_;
        }
        entity.vruntime_ = std::max(entity.vruntime_, min_vruntime_ - config_.latency / 2);
    }
    entity.last_ = this;
}

}  // namespace fusesim::host
