#pragma once

#include "host/cpu.h"

#include <boost/intrusive/list.hpp>

#include <string>

namespace fusesim::host {

/// A lock for many readers or one writer that threads sleep on (models rw_semaphore without
/// spinning): whoever finds it taken queues, and is handed the lock in order of arrival; readers
/// that stand next to each other get it together.
class RwLock {
  public:
    RwLock(sim::Engine& engine, const char* name) : engine_(engine), name_(name) {}

    sim::Task<> lock(Thread& thread) { return take(thread, true); }

    sim::Task<> lock_shared(Thread& thread) { return take(thread, false); }

    void unlock() {
        writer_ = false;
        hand_over();
    }

    void unlock_shared() {
        --readers_;
        hand_over();
    }

  private:
    struct Waiter : boost::intrusive::list_base_hook<> {
        Waiter(sim::Engine& engine, const char* name, bool wants_all)
            : queue(engine, name), exclusive(wants_all) {}

        sim::WaitQueue queue;
        bool exclusive;
        bool granted = false;
    };

    bool free_for(bool exclusive) const { return !writer_ && (!exclusive || readers_ == 0); }

    void grant(bool exclusive) { exclusive ? void(writer_ = true) : void(++readers_); }

    sim::Task<> take(Thread& thread, bool exclusive) {
        if (waiters_.empty() && free_for(exclusive)) {
            grant(exclusive);
            co_return;
        }
        Waiter waiter(engine_, name_, exclusive);
        waiters_.push_back(waiter);
        while (!waiter.granted) {
            co_await thread.sleep(waiter.queue);
        }
    }

    void hand_over() {
        while (!waiters_.empty() && free_for(waiters_.front().exclusive)) {
            Waiter& next = waiters_.front();
            waiters_.pop_front();
            next.granted = true;
            grant(next.exclusive);
            next.queue.wake_one();
        }
    }

    sim::Engine& engine_;
    const char* name_;
    boost::intrusive::list<Waiter, boost::intrusive::constant_time_size<false>> waiters_;
    unsigned readers_ = 0;
    bool writer_ = false;
};

}  // namespace fusesim::host
