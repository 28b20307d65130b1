#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

namespace fusesim::real {

/// Moves the calling thread to one core. Throws std::system_error where it is not there.
void pin(int core);

/// Lets the calling thread run on the given cores.
void run_on(const std::vector<int>& cores);

/// The cores that this thread may use.
std::vector<int> usable_cores();

/// A child process that runs a function and dies with this one.
class Child {
  public:
    explicit Child(const std::function<void()>& work);
    ~Child();  ///< kills it if it still runs
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    pid_t pid() const { return pid_; }

    /// Whether it has ended by itself; says so once.
    bool ended();

    /// Waits for it; returns its exit code, or -1 if it was killed.
    int wait();

    /// Ends it with a signal and waits.
    void stop(int signal);

  private:
    pid_t pid_;
};

}  // namespace fusesim::real
