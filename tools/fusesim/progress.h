#pragma once

#include <chrono>
#include <string>

namespace fusesim::commands {

/// Progress of long work on stderr: a bar on a terminal, a line every ten seconds elsewhere,
/// nothing for work that is over in a moment.
class Progress {
  public:
    explicit Progress(std::string what);

    ~Progress() { clear(); }

    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    /// `share` of the work is done, 0 to 1.
    void show(double share);
    /// Takes the bar off the screen.
    void clear();

  private:
    using Clock = std::chrono::steady_clock;

    std::string what_;
    bool terminal_;
    bool drawn_ = false;
    Clock::time_point began_ = Clock::now();
    Clock::time_point next_;
};

}  // namespace fusesim::commands
