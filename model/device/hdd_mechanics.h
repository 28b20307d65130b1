#pragma once

#include "device/hdd_config.h"
#include "sim/time.h"

#include <cstdint>
#include <vector>

namespace fusesim::device {

/// Where a sector lies, and how fast its track passes.
struct HddPlace {
    std::uint32_t cylinder = 0;
    std::uint32_t head = 0;
    std::uint32_t in_track = 0;  ///< from the track's first sector
    std::uint32_t left = 1;      ///< sectors from this one to the end of its track
    sim::Time angle;             ///< when it begins to pass under its head, in each revolution
    std::int64_t sector = 0;     ///< time of one, in units of 2^-20 ps
    bool exact = false;          ///< no sector of the zone is slipped

    /// Time in which `count` sectors of the track pass.
    sim::Time pass(std::uint64_t count) const {
        return sim::Time::from_ps(static_cast<std::int64_t>(count) * sector >> fraction_bits);
    }

    /// How many pass in that time, at most a revolution.
    std::uint32_t passed_in(sim::Time span) const {
        return static_cast<std::uint32_t>((span.ps() << fraction_bits) / sector);
    }

    static constexpr int fraction_bits = 20;
};

/// Which sector lies where: zones, skews, spare and slipped sectors.
class HddLayout {
  public:
    explicit HddLayout(const HddConfig& config);

    std::uint64_t sectors() const { return sectors_; }

    std::uint32_t cylinders() const { return cylinders_; }

    sim::Time revolution() const { return sim::Time::from_ps(revolution_); }

    HddPlace place(std::uint64_t sector) const;

    /// The place of `sector` + `count`, where `place` is that of `sector`.
    HddPlace beyond(const HddPlace& place, std::uint64_t sector, std::uint32_t count) const;

    /// How far a revolution is at that time.
    sim::Time phase(sim::Time now) const { return sim::Time::from_ps(now.ps() % revolution_); }

    /// From `phase` on until the sector begins to pass. A sector that began to pass less than a
    /// rounding error ago is passing now.
    sim::Time latency(const HddPlace& place, sim::Time phase) const {
        std::int64_t wait = (place.angle - phase).ps();
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
        std::int64_t sector;  // time of one, as in HddPlace
        std::uint32_t track_skew;
        std::uint32_t cylinder_skew;
        std::uint32_t angle;
        std::uint32_t unused;
        std::uint64_t per_range;  // sectors of a range on the medium, and with data
        std::uint64_t data_per_range;
        std::vector<std::uint64_t> slipped;  // less the number of slipped ones before
    };

    static std::uint64_t skip_slipped(const Zone& zone, std::uint64_t position);
    const Zone& zone_of(std::uint64_t sector) const;

    HddConfig::Sparing sparing_;
    HddConfig::Order order_;
    std::uint32_t heads_;
    std::int64_t revolution_;  // ps
    std::uint64_t sectors_ = 0;
    std::uint32_t cylinders_ = 0;
    std::vector<Zone> zones_;
    int part_bits_ = 0;                 // the disk in parts of 2^part_bits_ sectors,
    std::vector<std::uint16_t> parts_;  // and the zone in which each of them begins
};

/// Seek time by distance.
class SeekCurve {
  public:
    SeekCurve(const HddSeek& seek, std::uint32_t cylinders);

    sim::Time time(std::uint32_t distance) const {
        return sim::Time::from_ns(times_[distance < times_.size() ? distance : times_.size() - 1]);
    }

    /// Whether the three numbers of a data sheet give a curve that never falls.
    static bool possible(const HddSeek& seek, std::uint32_t cylinders);

  private:
    std::vector<std::uint32_t> times_;  // ns: half the memory of ps, and nothing measures finer
};

}  // namespace fusesim::device
