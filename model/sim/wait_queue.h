#pragma once

#include "sim/engine.h"

#include <boost/intrusive/list.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace fusesim::sim {

/// Somebody who waits in a queue. What being woken means is its own affair: a plain process
/// becomes ready, a thread of the simulated host first needs a core.
class Waiter : public Hook {
  public:
    virtual void woken() = 0;
    /// For reports; may be null.
    virtual const Process* process() const = 0;

  protected:
    ~Waiter() = default;
};

/// Models a kernel wait queue with exclusive waiters: each wake-up lets one go, the one that has
/// waited longest. A woken process goes on in a later step of the same instant, so the waker
/// finishes its own first; it must check again what it waited for.
class WaitQueue {
  public:
    WaitQueue(Engine& engine, std::string name) : engine_(engine), name_(std::move(name)) {}

    /// `co_await queue.sleep()`.
    class Sleep;
    Sleep sleep();

    void add(Waiter& waiter) { waiters_.push_back(waiter); }

    /// False if nobody waits.
    bool wake_one();
    std::size_t wake_all();

    bool empty() const { return waiters_.empty(); }

    const std::string& name() const { return name_; }

    Engine& engine() const { return engine_; }

  private:
    Engine& engine_;
    std::string name_;
    boost::intrusive::list<Waiter, boost::intrusive::constant_time_size<false>> waiters_;
};

class WaitQueue::Sleep : public Waiter {
  public:
    explicit Sleep(WaitQueue& queue) : queue_(queue) {}

    bool await_ready() const noexcept { return false; }

    void await_suspend(std::coroutine_handle<> handle) {
        process_ = queue_.engine().current();
        process_->waiting_for = &queue_;
        process_->since = queue_.engine().now();
        resumable_.suspend(queue_.engine(), handle);
        queue_.add(*this);
    }

    void await_resume() const noexcept { process_->waiting_for = nullptr; }

    void woken() override { queue_.engine().make_ready(resumable_); }

    const Process* process() const override { return process_; }

  private:
    WaitQueue& queue_;
    Process* process_ = nullptr;
    Resumable resumable_;
};

inline WaitQueue::Sleep WaitQueue::sleep() {
    return Sleep(*this);
}

inline bool WaitQueue::wake_one() {
    if (waiters_.empty()) {
        return false;
    }
    Waiter& first = waiters_.front();
    waiters_.pop_front();
    first.woken();
    return true;
}

inline std::size_t WaitQueue::wake_all() {
    std::size_t woken = 0;
    for (; wake_one(); ++woken) {
    }
    return woken;
}

}  // namespace fusesim::sim
