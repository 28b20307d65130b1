#pragma once

#include "fuse/kernel.h"
#include "fuse/request.h"

#include <cstddef>
#include <cstdint>

namespace fusesim::fuse {

/// Limits of the background queue.
struct BackgroundLimits {
    std::uint32_t max_background = 12;       ///< FUSE_DEFAULT_MAX_BACKGROUND, fs/fuse/inode.c
    std::uint32_t congestion_threshold = 9;  ///< FUSE_DEFAULT_CONGESTION_THRESHOLD
};

/// Requests nobody waits for (models fc->bg_queue and its counters). At most max_background of
/// them are with the daemon or on their way; the rest wait here.
class BackgroundQueue {
  public:
    BackgroundQueue(const KernelBehaviour& kernel, const BackgroundLimits& limits)
        : limits_(limits), congestion_on_bdi_(kernel.congestion_on_bdi) {}

    BackgroundQueue(const BackgroundQueue&) = delete;
    BackgroundQueue& operator=(const BackgroundQueue&) = delete;

    /// Background requests alive, here or on their way or with the daemon.
    std::uint32_t num_background() const { return num_background_; }

    /// Those that have left this queue.
    std::uint32_t active_background() const { return active_background_; }

    std::size_t waiting() const { return list_.size(); }

    /// New background requests that are not forced must wait before they are allocated.
    bool blocked() const { return blocked_; }

    const BackgroundLimits& limits() const { return limits_; }

    /// Readahead and writeback hold back. Old kernels raise and lower a flag exactly at the
    /// threshold; new ones compare when they ask.
    bool congested() const {
        return congestion_on_bdi_ ? bdi_congested_
                                  : num_background_ >= limits_.congestion_threshold;
    }

    /// Appends a request. The limit bites at equality only: forced requests may cross it, and
    /// `blocked` stays as crossing left it.
    void push(Request& request) {
        count();
        request.station = Station::background;
        list_.push_back(request);
    }

    /// A request that waits elsewhere counts here.
    void count() {
        ++num_background_;
        if (num_background_ == limits_.max_background) {
            blocked_ = true;
        }
        if (num_background_ == limits_.congestion_threshold) {
            bdi_congested_ = true;
        }
    }

    /// The oldest that is held back, nullptr if none.
    const Request* front() const { return list_.empty() ? nullptr : &list_.front(); }

    /// One that waited elsewhere goes to the daemon.
    void count_active() { ++active_background_; }

    /// The next request that may go to the pending list now, taken out and counted active;
    /// nullptr if none may.
    Request* start_next() {
        if (active_background_ >= limits_.max_background || list_.empty()) {
            return nullptr;
        }
        Request& request = list_.front();
        list_.pop_front();
        request.station = Station::none;
        ++active_background_;
        return &request;
    }

    /// One active request has ended. True if one caller held at the gate is to be woken.
    bool end() {
        if (num_background_ == limits_.max_background) {
            blocked_ = false;
        }
        if (num_background_ == limits_.congestion_threshold) {
            bdi_congested_ = false;
        }
        --num_background_;
        --active_background_;
        return !blocked_;
    }

    /// Changes the limit while in use. Queued requests stay until the next one comes or ends, as
    /// in the kernel. True if one caller held at the gate is to be woken.
    bool set_max_background(std::uint32_t value) {
        limits_.max_background = value;
        blocked_ = num_background_ >= value;
        return !blocked_;
    }

    void set_congestion_threshold(std::uint32_t value) { limits_.congestion_threshold = value; }

    /// Limits from the INIT reply; zero keeps the old one.
    void negotiate(const BackgroundLimits& limits);

    /// Abort: nothing is held back any more.
    void open_all();

    const RequestList& list() const { return list_; }

  private:
    RequestList list_;
    BackgroundLimits limits_;
    std::uint32_t num_background_ = 0;
    std::uint32_t active_background_ = 0;
    bool blocked_ = false;
    bool bdi_congested_ = false;
    bool congestion_on_bdi_;
};

}  // namespace fusesim::fuse
