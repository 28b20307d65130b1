#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

namespace fusesim::sweep {

struct PoolOptions {
    unsigned jobs = 1;                          ///< processes at a time
    const std::atomic<bool>* stop = nullptr;    ///< ends the children and returns; may be null
    std::function<void(std::size_t)> finished;  ///< called with how many have ended; may be empty
    /// Called with the number and the signal of work that a signal ended; may be empty.
    std::function<void(std::size_t, int)> killed;
};

/// Calls work(0) ... work(count - 1), each in a process of its own that ends with what it returns.
/// Returns the highest exit code, 130 if it was stopped. A child that a signal ends counts as 1.
int run_in_processes(std::size_t count,
                     const std::function<int(std::size_t)>& work,
                     const PoolOptions& options);

}  // namespace fusesim::sweep
