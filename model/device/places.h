#pragma once

#include "sim/wait_queue.h"

#include <string>
#include <utility>

namespace fusesim::device {

/// A number of places (servers, connections, slots of a queue) for those who come first.
class Places {
  public:
    /// `what`: what they wait for, as a deadlock report is to say it.
    Places(sim::Engine& engine, std::string what, unsigned count)
        : queue_(engine, std::move(what)), idle_(count) {}

    /// `co_await places.take()`.
    class Take;
    Take take();

    /// Hands the place over to who waits longest: freed first, a newcomer could take it instead.
    void give_back() {
        if (!queue_.wake_one()) {
            ++idle_;
        }
    }

  private:
    sim::WaitQueue queue_;
    unsigned idle_;
};

class Places::Take : public sim::WaitQueue::Sleep {
  public:
    explicit Take(Places& places) : Sleep(places.queue_), places_(places) {}

    bool await_ready() noexcept {
        if (places_.idle_ == 0) {
            return false;
        }
        --places_.idle_;
        waited_ = false;
        return true;
    }

    void await_resume() const noexcept {
        if (waited_) {
            Sleep::await_resume();
        }
    }

  private:
    Places& places_;
    bool waited_ = true;
};

inline Places::Take Places::take() {
    return Take(*this);
}

}  // namespace fusesim::device
