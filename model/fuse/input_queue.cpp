#include "fuse/input_queue.h"

#include <algorithm>

namespace fusesim::fuse {

void InputQueue::push_front(RequestList& requests) {
    for (Request& request : requests) {
        request.station = Station::pending;
        request.flags.set(Flag::pending);
    }
    pending_.splice(pending_.begin(), requests);
}

bool InputQueue::push_interrupt(Request& request) {
    if (request.has(Flag::interrupt_queued)) {
        return false;
    }
    request.flags.set(Flag::interrupt_queued);
    interrupts_.push_back(&request);
    return true;
}

void InputQueue::remove_interrupt(Request& request) {
    if (request.has(Flag::interrupt_queued)) {
        request.flags.clear(Flag::interrupt_queued);
        interrupts_.erase(&request);
    }
}

Request& InputQueue::take_interrupt() {
    Request& request = *interrupts_.front();
    interrupts_.pop_front();
    request.flags.clear(Flag::interrupt_queued);
    return request;
}

std::span<const Forget> InputQueue::take_forgets(std::size_t most) {
    taken_forgets_.clear();
    do {
        taken_forgets_.push_back(forgets_.front());
        forgets_.pop_front();
    } while (taken_forgets_.size() < most && !forgets_.empty() &&
             forgets_.front().message == taken_forgets_.front().message);
    return taken_forgets_;
}

}  // namespace fusesim::fuse
