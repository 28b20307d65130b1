#include "device/hdd_mechanics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fusesim::device {

using sim::Time;

std::uint64_t HddLayout::sectors_without_data(const HddConfig& config, const HddZone& zone) {
    switch (config.sparing) {
        case HddConfig::Sparing::none:
            return zone.unused + zone.slipped.size();
        case HddConfig::Sparing::zone:
            return std::uint64_t{zone.unused} + zone.spares;
        case HddConfig::Sparing::range:
            return zone.unused +
                   std::uint64_t{zone.spares} * (zone.cylinders / config.sparing_range);
        case HddConfig::Sparing::track:
            return zone.unused + std::uint64_t{zone.spares} * zone.sectors_per_track;
    }
    return 0;
}

HddLayout::HddLayout(const HddConfig& config)
    : sparing_(config.sparing),
      order_(config.order),
      heads_(config.heads),
      revolution_(Time::from_seconds(60 / config.rpm).ps()) {
    for (const HddZone& zone : config.zones) {
        Zone made{};
        made.first = sectors_;
        made.first_cylinder = zone.first_cylinder.value_or(cylinders_);
        made.sectors_per_track = zone.sectors_per_track;
        made.sector = (revolution_ << HddPlace::fraction_bits) / zone.sectors_per_track;
        made.track_skew = zone.track_skew;
        made.cylinder_skew = zone.cylinder_skew;
        made.angle = zone.angle;
        made.unused = zone.unused;
        made.per_range = std::uint64_t{config.sparing_range} * heads_ * zone.sectors_per_track;
        made.data_per_range = made.per_range - std::min<std::uint64_t>(zone.spares, made.per_range);
        for (std::size_t i = 0; i < zone.slipped.size(); ++i) {
            const bool plain = sparing_ == HddConfig::Sparing::range;
            made.slipped.push_back(zone.slipped[i] - (plain ? 0 : i));
        }
        sectors_ += std::uint64_t{zone.cylinders} * heads_ * zone.sectors_per_track -
                    sectors_without_data(config, zone);
        cylinders_ = made.first_cylinder + zone.cylinders;
        zones_.push_back(std::move(made));
    }
    const std::uint64_t all = sectors_;
    if (config.sectors) {
        sectors_ = std::min(sectors_, *config.sectors);
    }
    constexpr std::uint64_t most_parts = 4096;
    while ((all >> part_bits_) >= most_parts) {
        ++part_bits_;
    }
    std::uint16_t zone = 0;
    for (std::uint64_t begin = 0; begin < all; begin += std::uint64_t{1} << part_bits_) {
        while (zone + 1u < zones_.size() && zones_[zone + 1u].first <= begin) {
            ++zone;
        }
        parts_.push_back(zone);
    }
}

const HddLayout::Zone& HddLayout::zone_of(std::uint64_t sector) const {
    std::size_t zone = parts_[sector >> part_bits_];
    while (zone + 1 < zones_.size() && zones_[zone + 1].first <= sector) {
        ++zone;
    }
    return zones_[zone];
}

/// From the number of a sector (or track) with data to its position on the medium.
std::uint64_t HddLayout::skip_slipped(const Zone& zone, std::uint64_t position) {
    const auto above = std::upper_bound(zone.slipped.begin(), zone.slipped.end(), position);
    return position + static_cast<std::uint64_t>(above - zone.slipped.begin());
}

HddPlace HddLayout::place(std::uint64_t sector) const {
    const Zone& zone = zone_of(sector);
    const std::uint32_t per_track = zone.sectors_per_track;
    std::uint64_t position = sector - zone.first + zone.unused;
    switch (sparing_) {
        case HddConfig::Sparing::none:
        case HddConfig::Sparing::zone:
            if (!zone.slipped.empty()) {
                position = skip_slipped(zone, position);
            }
            break;
        case HddConfig::Sparing::range: {
            const std::uint64_t range = position / zone.data_per_range;
            const std::uint64_t begin = range * zone.per_range;
            position = begin + position % zone.data_per_range;
            for (auto slipped = std::lower_bound(zone.slipped.begin(), zone.slipped.end(), begin);
                 slipped != zone.slipped.end() && *slipped <= position;
                 ++slipped) {
                ++position;
            }
            break;
        }
        case HddConfig::Sparing::track: {
            const std::uint64_t track = skip_slipped(zone, position / per_track);
            position = track * per_track + position % per_track;
            break;
        }
    }
    HddPlace place;
    std::uint32_t cylinder = 0;
    std::uint32_t head = 0;
    if (position <= std::numeric_limits<std::uint32_t>::max()) {
        const auto small = static_cast<std::uint32_t>(position);  // divides twice as fast
        const std::uint32_t track = small / per_track;
        place.in_track = small % per_track;
        cylinder = track / heads_;
        head = track % heads_;
    } else {
        const std::uint64_t track = position / per_track;
        place.in_track = static_cast<std::uint32_t>(position % per_track);
        cylinder = static_cast<std::uint32_t>(track / heads_);
        head = static_cast<std::uint32_t>(track % heads_);
    }
    const std::uint64_t switches = head + std::uint64_t{heads_ - 1} * cylinder;
    const std::uint64_t turned = zone.angle + switches * zone.track_skew +
                                 std::uint64_t{cylinder} * zone.cylinder_skew + place.in_track;
    place.cylinder = zone.first_cylinder + cylinder;
    place.head =
        order_ == HddConfig::Order::alternating && cylinder % 2 == 1 ? heads_ - 1 - head : head;
    place.left = per_track - place.in_track;
    place.sector = zone.sector;
    place.angle = place.pass(turned % per_track);
    place.exact = zone.slipped.empty();
    return place;
}

HddPlace HddLayout::beyond(const HddPlace& place, std::uint64_t sector, std::uint32_t count) const {
    if (count >= place.left || !place.exact) {
        return this->place(sector + count);
    }
    HddPlace next = place;
    next.in_track += count;
    next.left -= count;
    next.angle += place.pass(count);
    if (next.angle.ps() >= revolution_) {
        next.angle -= revolution();
    }
    return next;
}

namespace {

/// t(d) = one + b (sqrt(d) - 1) + c (d - 1), in seconds.
struct Curve {
    double one;
    double b;
    double c;
};

/// The curve through track-to-track and full stroke whose mean over two cylinders drawn evenly is
/// the average. With x = distance / n the density of distances is 2 (1 - x), so that the mean of
/// sqrt(d) is 8/15 sqrt(n) and that of d is n/3.
Curve through(const HddSeek& seek, std::uint32_t cylinders) {
    const double one = seek.track_to_track->seconds();
    const double most = cylinders > 1 ? cylinders - 1 : 1;
    const double root_full = std::sqrt(most) - 1;
    const double line_full = most - 1;
    const double root_mean = 8.0 / 15 * std::sqrt(most) - 1;
    const double line_mean = most / 3 - 1;
    const double full = seek.full_stroke->seconds() - one;
    const double mean = seek.average->seconds() - one;
    const double determinant = root_full * line_mean - line_full * root_mean;
    if (determinant == 0) {
        return {one, 0, 0};
    }
    return {one,
            (full * line_mean - line_full * mean) / determinant,
            (root_full * mean - full * root_mean) / determinant};
}

std::uint32_t to_ns(double seconds) {
    return static_cast<std::uint32_t>(std::lround(std::min(seconds, 4.0) * 1e9));
}

}  // namespace

bool SeekCurve::possible(const HddSeek& seek, std::uint32_t cylinders) {
    if (cylinders < 4) {
        return true;
    }
    // The slope is b / (2 sqrt(d)) + c: it changes sign at most once, so both ends tell.
    const Curve curve = through(seek, cylinders);
    return curve.b / 2 + curve.c >= 0 &&
           curve.b / (2 * std::sqrt(static_cast<double>(cylinders))) + curve.c >= 0;
}

SeekCurve::SeekCurve(const HddSeek& seek, std::uint32_t cylinders) : times_(cylinders, 0) {
    if (seek.curve.empty()) {
        const Curve curve = through(seek, cylinders);
        for (std::uint32_t d = 1; d < cylinders; ++d) {
            times_[d] = to_ns(curve.one + curve.b * (std::sqrt(d) - 1) + curve.c * (d - 1.0));
        }
        return;
    }
    // Straight between two points; beyond the last as between the last two.
    const std::vector<HddSeekPoint>& points = seek.curve;
    std::size_t above = 0;
    for (std::uint32_t d = 1; d < cylinders; ++d) {
        while (above + 1 < points.size() && points[above].cylinders < d) {
            ++above;
        }
        const HddSeekPoint& high = points[above];
        if (above == 0 || high.cylinders == d) {
            times_[d] = to_ns(high.time.seconds());
            continue;
        }
        const HddSeekPoint& low = points[above - 1];
        const double share = (static_cast<double>(d) - low.cylinders) /
                             (static_cast<double>(high.cylinders) - low.cylinders);
        times_[d] = to_ns(low.time.seconds() + share * (high.time.seconds() - low.time.seconds()));
    }
}

}  // namespace fusesim::device
