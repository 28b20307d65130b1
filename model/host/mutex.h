#pragma once

#include "host/cpu.h"

namespace fusesim::host {

/// A lock threads sleep on (models a futex mutex or a kernel mutex without spinning): whoever
/// finds it taken sleeps, an unlock wakes the longest sleeper, and whoever asks first gets it.
class Mutex {
  public:
    Mutex(sim::Engine& engine, std::string name) : waiters_(engine, std::move(name)) {}

    sim::Task<> lock(Thread& thread) {
        while (locked_) {
            co_await thread.sleep(waiters_);
        }
        locked_ = true;
    }

    void unlock() {
        locked_ = false;
        waiters_.wake_one();
    }

  private:
    sim::WaitQueue waiters_;
    bool locked_ = false;
};

}  // namespace fusesim::host
