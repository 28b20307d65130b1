#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace fusesim::commands {

using namespace std::chrono_literals;

Progress::Progress(std::string what)
    : what_(std::move(what)), terminal_(isatty(STDERR_FILENO) == 1) {
    next_ = began_ + (terminal_ ? Clock::duration(500ms) : Clock::duration(10s));
}

void Progress::show(double share) {
    const Clock::time_point now = Clock::now();
    if (now < next_) {
        return;
    }
    next_ = now + (terminal_ ? Clock::duration(100ms) : Clock::duration(10s));
    share = std::clamp(share, 0.0, 1.0);
    const double elapsed = std::chrono::duration<double>(now - began_).count();
    const double left = share > 0.01 ? elapsed / share - elapsed : 0;
    if (!terminal_) {
        fmt::print(stderr, "{}: {:.0f} %, about {:.0f} s left\n", what_, share * 100, left);
        return;
    }
    constexpr int width = 30;
    const int full = static_cast<int>(share * width);
    fmt::print(stderr,
               "\r{} [{:#<{}}{:.<{}}] {:3.0f} %, about {:.0f} s left ",
               what_,
               "",
               full,
               "",
               width - full,
               share * 100,
               left);
    std::fflush(stderr);
    drawn_ = true;
}

void Progress::clear() {
    if (drawn_) {
        fmt::print(stderr, "\r\033[K");
        std::fflush(stderr);
        drawn_ = false;
    }
}

}  // namespace fusesim::commands
