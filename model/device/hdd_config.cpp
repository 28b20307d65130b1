#include "device/hdd_config.h"

#include "device/hdd_mechanics.h"

#include <fmt/format.h>

#include <algorithm>

namespace fusesim::device {

using namespace sim::literals;
using sim::Time;

void bind(config::Map& map, HddZone& zone) {
    map.field("first_cylinder",
              zone.first_cylinder,
              0,
              100'000'000,
              "cylinder where the zone begins; default: after the zone before");
    map.field("cylinders", zone.cylinders, 1, 100'000'000, "cylinders of the zone");
    map.field("sectors_per_track", zone.sectors_per_track, 1, 100'000, "sectors on each track");
    map.field("track_skew",
              zone.track_skew,
              0,
              100'000,
              "sectors a track begins later than its "
              "neighbour in the cylinder");
    map.field("cylinder_skew", zone.cylinder_skew, 0, 100'000, "sectors a cylinder begins later");
    map.field("angle", zone.angle, 0, 100'000, "sectors the zone's first one lies from the index");
    map.field("unused", zone.unused, 0, 1'000'000'000, "sectors at the zone's front");
    map.field("spares",
              zone.spares,
              0,
              1'000'000'000,
              "spare sectors of the zone or of each range, or spare tracks of the zone");
    map.field("slipped", zone.slipped, "bad sectors (or tracks) of the zone, which are skipped");
}

void bind(config::Map& map, HddSeekPoint& point) {
    map.field("cylinders", point.cylinders, 1, 100'000'000, "distance");
    map.field("time", point.time, Time(), 4_s, "until the head may read there");
}

void bind(config::Map& map, HddSeek& seek) {
    map.section("curve", seek.curve, "measured seek times, by rising distance");
    map.field("track_to_track", seek.track_to_track, 1_ns, 4_s, "seek to the next cylinder");
    map.field("average", seek.average, 1_ns, 4_s, "mean seek between two random cylinders");
    map.field("full_stroke", seek.full_stroke, 1_ns, 4_s, "seek across all cylinders");
    map.field("head_switch", seek.head_switch, Time(), 1_s, "to another head of the cylinder");
    map.field("settle",
              seek.settle,
              Time(),
              1_s,
              "least time to another head of the cylinder at the start of a command");
    map.field("write_settle", seek.write_settle, Time(), 1_s, "what a write needs after a move");
    map.field("least_write_seek",
              seek.least_write_seek,
              Time(),
              1_s,
              "of a write's first sector, even on the same track");
}

void bind(config::Map& map, HddOverhead& overhead) {
    map.field("after_read", overhead.after_read, Time(), 1_s, "if the last command was a read");
    map.field("after_write", overhead.after_write, Time(), 1_s, "if the last command was a write");
}

void bind(config::Map& map, HddBusPhases& phases) {
    map.section("read_disconnect", phases.read_disconnect, "letting go of the bus, reads");
    map.field("write_disconnect",
              phases.write_disconnect,
              Time(),
              1_s,
              "the same after the data "
              "of a write");
    map.field("reselect", phases.reselect, Time(), 1_s, "getting the bus back");
    map.field("reselect_again",
              phases.reselect_again,
              Time(),
              1_s,
              "the same, for a split "
              "write's completion");
    map.field("split_writes",
              phases.split_writes,
              "a write after a write elsewhere lets go of the bus before its data, too");
    map.field("split_command", phases.split_command, Time(), 1_s, "overhead of such a write");
    map.field("split_disconnect", phases.split_disconnect, Time(), 1_s, "its first disconnect");
    map.field("split_pause", phases.split_pause, Time(), 1_s, "between disconnect and reselection");
    map.field("split_second_disconnect",
              phases.split_second_disconnect,
              Time(),
              1_s,
              "its disconnect after the data");
    map.field("split_seek_delay",
              phases.split_seek_delay,
              Time(),
              1_s,
              "from the command's "
              "overhead to the seek");
}

void bind(config::Map& map, HddController& controller) {
    map.section("read_hit", controller.read_hit, "overhead of a read from the buffer");
    map.section("read_miss", controller.read_miss, "overhead of a read before the seek");
    map.section("write_cached", controller.write_cached, "overhead of a write into the buffer");
    map.section("write_through", controller.write_through, "overhead of a write to the medium");
    map.field("data_preparation", controller.data_preparation, Time(), 1_s, "before data move");
    map.field("read_completion", controller.read_completion, Time(), 1_s, "status of a read");
    map.field("write_completion", controller.write_completion, Time(), 1_s, "status of a write");
    map.section("phases", controller.phases, "disconnection from a SCSI bus");
}

void bind(config::Map& map, HddInterface& interface) {
    map.field("read", interface.read, "rate to the host, in whole sectors");
    map.field("write", interface.write, "rate from the host, in whole sectors");
    map.check(interface.read.bytes_per_second > 0, "read", "must be positive");
    map.check(interface.write.bytes_per_second > 0, "write", "must be positive");
}

void bind(config::Map& map, HddBuffer& buffer) {
    using ReadAhead = HddBuffer::ReadAhead;
    map.field("segments", buffer.segments, 1, 1024, "streams the buffer keeps apart");
    map.field("segment_size",
              buffer.segment_size,
              config::Bytes{512},
              config::Bytes{1u << 30},
              "of each");
    map.field("separate_write_segment",
              buffer.separate_write_segment,
              "written data have a segment of their own, where no read looks");
    map.field(
        "read_ahead",
        buffer.read_ahead,
        {{"none", ReadAhead::none}, {"track", ReadAhead::track}, {"segment", ReadAhead::segment}},
        "what an idle drive reads beyond a request: nothing, to the end of the track, until "
        "the segment is full");
    map.field("most_read_ahead",
              buffer.most_read_ahead,
              config::Bytes{0},
              config::Bytes{1u << 30},
              "beyond a request; 0: until the segment is full");
    map.field("read_ahead_on_hit", buffer.read_ahead_on_hit, "a hit starts the read-ahead again");
    map.field("almost_hits",
              buffer.almost_hits,
              "a read of the sector that is just being read ahead counts as a hit");
    map.field("free_reads",
              buffer.free_reads,
              "sectors that pass under the head before the wanted one are kept");
    map.field("zero_latency",
              buffer.zero_latency,
              "a head that lands within the wanted sectors of a track begins at once");
    map.field("read_watermark",
              buffer.read_watermark,
              "share of a read in the buffer before the bus is asked for");
    map.field("write_cache", buffer.write_cache, "writes end when their data are in the buffer");
    map.field("write_segments", buffer.write_segments, 1, 1024, "cached writes at once");
    map.field("write_start",
              buffer.write_start,
              1,
              1'000'000,
              "sectors of a write in the buffer before the first goes to the medium");
    map.field("long_write",
              buffer.long_write,
              0,
              1'000'000,
              "sectors from which a write is long; "
              "0: never");
    map.field("long_write_start",
              buffer.long_write_start,
              1,
              1'000'000,
              "write_start of long "
              "writes");
}

void bind(config::Map& map, HddQueue& queue) {
    map.field("depth", queue.depth, 1, 1024, "commands inside the drive (TCQ, NCQ)");
    map.field("scheduling",
              queue.scheduling,
              {{"fcfs", HddQueue::Scheduling::fcfs}, {"sptf", HddQueue::Scheduling::sptf}},
              "fcfs: in order of arrival; sptf: shortest positioning time first");
}

void bind(config::Map& map, HddConfig& config) {
    map.field("rpm", config.rpm, 1.0, 1e6, "revolutions a minute");
    map.field("heads", config.heads, 1, 1024, "surfaces with data");
    map.field("sectors", config.sectors, "capacity in sectors of 512 bytes; default: the zones'");
    map.field(
        "order",
        config.order,
        {{"forward", HddConfig::Order::forward}, {"alternating", HddConfig::Order::alternating}},
        "in which each cylinder's heads follow: forward, or every other cylinder of a zone "
        "backwards");
    map.field("sparing",
              config.sparing,
              {{"none", HddConfig::Sparing::none},
               {"zone", HddConfig::Sparing::zone},
               {"range", HddConfig::Sparing::range},
               {"track", HddConfig::Sparing::track}},
              "spare sectors at the end of each zone, or of each range of cylinders, or spare "
              "tracks at the end of each zone");
    map.field("sparing_range", config.sparing_range, 1, 1'000'000, "cylinders of a range");
    map.section("zones", config.zones, "from the outermost in");
    map.section("seek", config.seek, "moving the heads");
    map.section("controller", config.controller, "overheads");
    map.section("interface", config.interface, "the way to the host");
    map.section("buffer", config.buffer, "track buffer and caching");
    map.section("queue", config.queue, "commands at once");
    if (map.mode() == config::Map::Mode::read) {
        for (const std::string& defect : defects(config)) {
            map.check(false, "zones", defect);
        }
    }
}

std::vector<std::string> defects(const HddConfig& config) {
    std::vector<std::string> found;
    constexpr std::size_t most_zones = 10'000;
    if (config.zones.empty()) {
        return {"are missing"};
    }
    if (config.zones.size() > most_zones) {
        return {fmt::format("are more than {}", most_zones)};
    }
    const HddSeek& seek = config.seek;
    const bool three = seek.track_to_track && seek.average && seek.full_stroke;
    const bool any = seek.track_to_track || seek.average || seek.full_stroke;
    if (seek.curve.empty() ? !three : any) {
        found.emplace_back(
            "need a seek: either a curve, or track_to_track, average and full_stroke");
        return found;
    }
    for (std::size_t i = 1; i < seek.curve.size(); ++i) {
        if (seek.curve[i].cylinders <= seek.curve[i - 1].cylinders) {
            found.emplace_back("have a seek curve whose distances do not rise");
            return found;
        }
    }
    std::uint64_t next = 0;
    for (std::size_t i = 0; i < config.zones.size(); ++i) {
        const HddZone& zone = config.zones[i];
        const std::uint64_t first = zone.first_cylinder.value_or(static_cast<unsigned>(next));
        if (first < next) {
            found.push_back(fmt::format("overlap: number {} begins before {} ends", i + 1, i));
        }
        next = first + zone.cylinders;
        const std::uint64_t tracks = std::uint64_t{zone.cylinders} * config.heads;
        const std::uint64_t lost = HddLayout::sectors_without_data(config, zone);
        if (lost >= tracks * zone.sectors_per_track ||
            (config.sparing == HddConfig::Sparing::range &&
             zone.spares >=
                 std::uint64_t{config.heads} * zone.sectors_per_track * config.sparing_range)) {
            found.push_back(fmt::format("have more spares than sectors in number {}", i + 1));
        }
        const bool enough = config.sparing == HddConfig::Sparing::none ||
                            config.sparing == HddConfig::Sparing::range ||
                            zone.slipped.size() <= zone.spares;
        if (!enough) {
            found.push_back(fmt::format("have fewer spares than slipped ones in number {}", i + 1));
        }
        if (!std::is_sorted(zone.slipped.begin(), zone.slipped.end())) {
            found.push_back(
                fmt::format("have a slipped list that does not rise in number {}", i + 1));
        }
    }
    if (!found.empty()) {
        return found;
    }
    const HddLayout layout(config);
    if (config.sectors && *config.sectors > layout.sectors()) {
        found.push_back(
            fmt::format("hold {} sectors, fewer than `sectors` says", layout.sectors()));
    }
    if (seek.curve.empty() && !SeekCurve::possible(seek, layout.cylinders())) {
        found.emplace_back(
            "with these seek times give a curve that falls: check track_to_track, average and "
            "full_stroke");
    }
    return found;
}

}  // namespace fusesim::device
