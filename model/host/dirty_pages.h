#pragma once

#include "sim/time.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>

namespace fusesim::host {

class Thread;

/// How many dirty pages a machine may have. Models the domain of mm/page-writeback.c with the
/// default ratios of memory that can be dirty.
class DirtyPages {
  public:
    /// Without a limit of memory there is none of dirty pages.
    explicit DirtyPages(std::optional<std::uint64_t> memory_pages) : memory_(memory_pages) {}

    bool limited() const { return memory_.has_value(); }

    std::uint64_t background() const { return *memory_ / 10; }  // dirty_background_ratio 10 %

    std::uint64_t threshold() const { return *memory_ / 5; }  // dirty_ratio 20 %

    /// Dirty or being written.
    std::uint64_t pages() const { return pages_; }

  private:
    friend class BackingDevice;

    std::optional<std::uint64_t> memory_;
    /// Pages written, halved each period, as fprop_new_period() does; here evenly.
    struct Completions {
        double value = 0;
        sim::Time at;

        void fade(sim::Time now);
    };

    std::uint64_t pages_ = 0;
    Completions completions_;  // of all backing devices
};

/// What the pages of one file system are written to, and how fast writers may make more of them
/// (models struct bdi_writeback and balance_dirty_pages()). All rates are pages per second.
class BackingDevice {
  public:
    /// `strict`: BDI_CAP_STRICTLIMIT with a max_ratio of 1 %, as FUSE mounts have.
    BackingDevice(DirtyPages& domain, bool strict) : domain_(domain), strict_(strict) {}

    void dirtied(std::uint64_t pages) {
        dirty_ += pages;
        total_dirtied_ += pages;
        domain_.pages_ += pages;
    }

    /// Pages that vanish before they are written.
    void cancelled(std::uint64_t pages) {
        dirty_ -= pages;
        domain_.pages_ -= pages;
    }

    void write_began(std::uint64_t pages) {
        dirty_ -= pages;
        writing_ += pages;
    }

    void write_ended(std::uint64_t pages, sim::Time now);

    std::uint64_t dirty() const { return dirty_; }

    std::uint64_t writing() const { return writing_; }

    /// Whether the flusher has to write until it is below the background threshold.
    bool over_background(sim::Time now);

    /// After `thread` made so many pages dirty: how long it has to sleep before it may go on; zero
    /// if it runs free. Asked again after each pause that was the longest possible.
    sim::Time pause(const Thread& thread, std::uint64_t pages, sim::Time now);

    /// Beyond half of the way between the thresholds, writers want the flusher to run.
    bool wants_flusher(sim::Time now) { return domain_.limited() && !free_run(now); }

    double write_bandwidth() const { return average_bandwidth_; }

  private:
    struct Limits {
        double dirty;
        double background;
        double threshold;
    };

    /// What a thread did since its last pause.
    struct Task {
        std::uint64_t pages = 0;
        sim::Time paused;  // when its last pause ended
    };

    double own_threshold(sim::Time now);
    Limits limits(sim::Time now);
    bool free_run(sim::Time now);
    double position_ratio(sim::Time now);
    void update_rates(sim::Time now);

    DirtyPages& domain_;
    bool strict_;
    std::uint64_t dirty_ = 0;
    std::uint64_t writing_ = 0;
    std::uint64_t total_dirtied_ = 0;
    std::uint64_t total_written_ = 0;
    DirtyPages::Completions completions_;

    // Of the last update.
    sim::Time updated_;
    std::uint64_t dirtied_then_ = 0;
    std::uint64_t written_then_ = 0;
    static constexpr double initial_bandwidth = 25'600;  // INIT_BW: 100 MiB/s
    double bandwidth_ = initial_bandwidth;
    double average_bandwidth_ = initial_bandwidth;
    double rate_limit_ = initial_bandwidth;
    double balanced_rate_limit_ = initial_bandwidth;
    std::unordered_map<const Thread*, Task> tasks_;  // never iterated
};

}  // namespace fusesim::host
