#pragma once

#include "device/hdd_config.h"
#include "sim/time.h"

#include <cstdint>
#include <vector>

namespace fusesim::device {

/// Where a sector lies.
struct HddPlace {
    std::uint32_t cylinder = 0;
    std::uint32_t head = 0;
    std::uint32_t sectors_per_track = 1;
    std::uint32_t left = 1;  ///< sectors from this one to the end of its track
    sim::Time angle;         ///< when it begins to pass under its head, within each revolution
};

/// Which sector lies where: zones, skews, spare and slipped sectors.
class HddLayout {
  public:
    explicit HddLayout(const HddConfig& config);

    std::uint64_t sectors() const { return sectors_; }

    std::uint32_t cylinders() const { return cylinders_; }

    sim::Time revolution() const { return sim::Time::from_ps(revolution_); }

    HddPlace place(std::uint64_t sector) const;

    /// Time in which `count` sectors of a track pass.
    sim::Time pass(std::uint64_t count, std::uint32_t sectors_per_track) const {
        return sim::Time::from_ps(static_cast<std::int64_t>(count) * revolution_ /
                                  sectors_per_track);
    }

    /// Until the sector begins to pass, from `now` on. A sector that began to pass less than a
    /// rounding error ago is passing now.
    sim::Time latency(const HddPlace& place, sim::Time now) const {
        std::int64_t wait = place.angle.ps() - now.ps() % revolution_;
        if (wait < 0) {
            wait += revolution_;
        }
        return sim::Time::from_ps(wait > revolution_ - rounding_ps ? 0 : wait);
    }

    /// Sectors of a zone that hold no data: unused, spare, or slipped for those.
    static std::uint64_t sectors_without_data(const HddConfig& config, const HddZone& zone);

  private:
    static constexpr std::int64_t rounding_ps = 10'000;

    struct Zone {
        std::uint64_t first;  // sector
        std::uint32_t first_cylinder;
        std::uint32_t sectors_per_track;
        std::uint32_t track_skew;
        std::uint32_t cylinder_skew;
        std::uint32_t angle;
        std::uint32_t unused;
        std::uint64_t per_range;  // sectors of a range on the medium, and with data
        std::uint64_t data_per_range;
        std::vector<std::uint64_t> slipped;  // less the number of slipped ones before
    };

    std::uint64_t skip_slipped(const Zone& zone, std::uint64_t position) const;

    HddConfig::Sparing sparing_;
    HddConfig::Order order_;
    std::uint32_t heads_;
    std::int64_t revolution_;  // ps
    std::uint64_t sectors_ = 0;
    std::uint32_t cylinders_ = 0;
    std::vector<std::uint64_t> firsts_;
    std::vector<Zone> zones_;
};

/// Seek time by distance.
class SeekCurve {
  public:
    SeekCurve(const HddSeek& seek, std::uint32_t cylinders);

    sim::Time time(std::uint32_t distance) const {
        return sim::Time::from_ps(times_[distance < times_.size() ? distance : times_.size() - 1]);
    }

    /// Whether the three numbers of a data sheet give a curve that never falls.
    static bool possible(const HddSeek& seek, std::uint32_t cylinders);

  private:
    std::vector<std::int64_t> times_;
};

}  // namespace fusesim::device
