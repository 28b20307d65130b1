#include "sim/calendar.h"

namespace fusesim::sim {

namespace {

constexpr std::size_t arity = 4;

}  // namespace

void Timer::cancel() {
    if (calendar_ != nullptr) {
        calendar_->remove(*this);
    }
}

void Calendar::place(std::size_t position, const Entry& entry) {
    heap_[position] = entry;
    entry.timer->position_ = position;
}

void Calendar::sift_up(std::size_t position, const Entry& entry) {
    while (position > 0) {
        const std::size_t parent = (position - 1) / arity;
        if (!entry.before(heap_[parent])) {
            break;
        }
        place(position, heap_[parent]);
        position = parent;
    }
    place(position, entry);
}

void Calendar::sift_down(std::size_t position, const Entry& entry) {
    for (;;) {
        const std::size_t first = position * arity + 1;
        if (first >= heap_.size()) {
            break;
        }
        const std::size_t end = first + arity < heap_.size() ? first + arity : heap_.size();
        std::size_t least = first;
        for (std::size_t child = first + 1; child < end; ++child) {
            if (heap_[child].before(heap_[least])) {
                least = child;
            }
        }
        if (!heap_[least].before(entry)) {
            break;
        }
        place(position, heap_[least]);
        position = least;
    }
    place(position, entry);
}

void Calendar::schedule(Timer& timer, Time at) {
    timer.cancel();
    const Entry entry{at, order_++, &timer};
    timer.calendar_ = this;
    heap_.push_back(entry);
    sift_up(heap_.size() - 1, entry);
}

void Calendar::remove(Timer& timer) {
    const std::size_t position = timer.position_;
    timer.calendar_ = nullptr;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (position == heap_.size()) {
        return;
    }
    if (position > 0 && last.before(heap_[(position - 1) / arity])) {
        sift_up(position, last);
    } else {
        sift_down(position, last);
    }
}

void Calendar::fire_next() {
    Timer& timer = *heap_.front().timer;
    remove(timer);
    timer.fire();
}

}  // namespace fusesim::sim
