#include "fuse/background_queue.h"

#include <limits>

namespace fusesim::fuse {

void BackgroundQueue::negotiate(const BackgroundLimits& limits) {
    if (limits.max_background != 0) {
        limits_.max_background = limits.max_background;
    }
    if (limits.congestion_threshold != 0) {
        limits_.congestion_threshold = limits.congestion_threshold;
    }
}

void BackgroundQueue::open_all() {
    blocked_ = false;
    limits_.max_background = std::numeric_limits<std::uint32_t>::max();
}

}  // namespace fusesim::fuse
