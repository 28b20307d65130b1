#include "device/hdd_mechanics.h"

#include <algorithm>
#include <cmath>

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
        firsts_.push_back(made.first);
        zones_.push_back(std::move(made));
    }
    if (config.sectors) {
        sectors_ = std::min(sectors_, *config.sectors);
    }
}

/// From the number of a sector (or track) with data to its position on the medium.
std::uint64_t HddLayout::skip_slipped(const Zone& zone, std::uint64_t position) const {
    const auto above = std::upper_bound(zone.slipped.begin(), zone.slipped.end(), position);
    return position + static_cast<std::uint64_t>(above - zone.slipped.begin());
}

HddPlace HddLayout::place(std::uint64_t sector) const {
    const auto above = std::upper_bound(firsts_.begin(), firsts_.end(), sector);
    const Zone& zone = zones_[static_cast<std::size_t>(above - firsts_.begin()) - 1];
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
    const std::uint64_t track = position / per_track;
    const auto in_track = static_cast<std::uint32_t>(position % per_track);
    const auto cylinder = static_cast<std::uint32_t>(track / heads_);
    const auto head = static_cast<std::uint32_t>(track % heads_);
    const std::uint64_t switches = head + std::uint64_t{heads_ - 1} * cylinder;
    const std::uint64_t turned = zone.angle + switches * zone.track_skew +
                                 std::uint64_t{cylinder} * zone.cylinder_skew + in_track;
    HddPlace place;
    place.cylinder = zone.first_cylinder + cylinder;
    place.head =
        order_ == HddConfig::Order::alternating && cylinder % 2 == 1 ? heads_ - 1 - head : head;
    place.sectors_per_track = per_track;
    place.left = per_track - in_track;
    place.angle = pass(turned % per_track, per_track);
    return place;
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
            times_[d] =
                Time::from_seconds(curve.one + curve.b * (std::sqrt(d) - 1) + curve.c * (d - 1.0))
                    .ps();
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
            times_[d] = high.time.ps();
            continue;
        }
        const HddSeekPoint& low = points[above - 1];
        const double share = (static_cast<double>(d) - low.cylinders) /
                             (static_cast<double>(high.cylinders) - low.cylinders);
        times_[d] =
            low.time.ps() + std::llround(share * static_cast<double>((high.time - low.time).ps()));
    }
}

}  // namespace fusesim::device
