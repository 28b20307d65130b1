#pragma once

#include "config/map.h"
#include "config/units.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::device {

/// A zone: neighbouring cylinders whose tracks hold equally many sectors.
struct HddZone {
    std::optional<unsigned> first_cylinder;  ///< default: next to the zone before
    unsigned cylinders = 1;
    unsigned sectors_per_track = 1;
    unsigned track_skew = 0;     ///< sectors
    unsigned cylinder_skew = 0;  ///< sectors
    unsigned angle = 0;          ///< of the zone's first sector, in sectors
    unsigned unused = 0;         ///< sectors at the front
    unsigned spares = 0;
    std::vector<unsigned> slipped;
};

/// One measured point of a seek curve.
struct HddSeekPoint {
    unsigned cylinders = 1;
    sim::Time time;
};

/// Either a measured curve, or the three numbers of a data sheet, between which runs
/// a + b sqrt(distance) + c distance.
struct HddSeek {
    std::vector<HddSeekPoint> curve;
    std::optional<sim::Time> track_to_track;
    std::optional<sim::Time> average;  ///< over all pairs of cylinders
    std::optional<sim::Time> full_stroke;
    sim::Time head_switch;
    sim::Time settle;            ///< least time to another head at the start of a command
    sim::Time write_settle;      ///< more for writes, after any move
    sim::Time least_write_seek;  ///< even if the head is where it must be
};

/// What the controller needs before anything moves; it depends on the command before.
struct HddOverhead {
    sim::Time after_read;
    sim::Time after_write;
};

/// The phases of a SCSI bus that a drive lets go of while it seeks.
struct HddBusPhases {
    HddOverhead read_disconnect;
    sim::Time write_disconnect;
    sim::Time reselect;
    sim::Time reselect_again;  ///< at the end of a split write
    /// A write that follows a write to another place disconnects before its data as well.
    bool split_writes = false;
    sim::Time split_command;
    sim::Time split_disconnect;
    sim::Time split_pause;
    sim::Time split_second_disconnect;
    sim::Time split_seek_delay;
};

struct HddController {
    HddOverhead read_hit;
    HddOverhead read_miss;
    HddOverhead write_cached;
    HddOverhead write_through;
    sim::Time data_preparation;
    sim::Time read_completion;
    sim::Time write_completion;
    HddBusPhases phases;
};

struct HddInterface {
    config::Bandwidth read{300e6};
    config::Bandwidth write{300e6};
};

struct HddBuffer {
    enum class ReadAhead { none, track, segment };

    unsigned segments = 8;
    config::Bytes segment_size{512u << 10};
    bool separate_write_segment = false;  ///< written data are no read hits
    ReadAhead read_ahead = ReadAhead::segment;
    config::Bytes most_read_ahead;  ///< 0: until the segment is full
    bool read_ahead_on_hit = false;
    bool almost_hits = true;  ///< the sector that is being read ahead is in the buffer already
    bool free_reads = false;
    bool zero_latency = false;
    config::Probability read_watermark;
    bool write_cache = false;
    unsigned write_segments = 1;
    unsigned write_start = 1;       ///< sectors in the buffer before the medium is written
    unsigned long_write = 0;        ///< sectors from which on a write is long; 0: never
    unsigned long_write_start = 1;  ///< write_start of long writes
};

struct HddQueue {
    enum class Scheduling { fcfs, sptf };

    unsigned depth = 1;
    Scheduling scheduling = Scheduling::sptf;
};

/// A hard disk: geometry, mechanics, controller, buffer, queue.
struct HddConfig {
    enum class Sparing { none, zone, range, track };
    enum class Order { forward, alternating };

    double rpm = 7200;
    unsigned heads = 1;
    std::optional<std::uint64_t> sectors;  ///< of 512 bytes; default: all that the zones have
    Order order = Order::forward;
    Sparing sparing = Sparing::none;
    unsigned sparing_range = 1;
    std::vector<HddZone> zones;
    HddSeek seek;
    HddController controller;
    HddInterface interface;
    HddBuffer buffer;
    HddQueue queue;
};

void bind(config::Map& map, HddZone& zone);
void bind(config::Map& map, HddSeekPoint& point);
void bind(config::Map& map, HddSeek& seek);
void bind(config::Map& map, HddOverhead& overhead);
void bind(config::Map& map, HddBusPhases& phases);
void bind(config::Map& map, HddController& controller);
void bind(config::Map& map, HddInterface& interface);
void bind(config::Map& map, HddBuffer& buffer);
void bind(config::Map& map, HddQueue& queue);
void bind(config::Map& map, HddConfig& config);

/// Everything that cannot be, as sentences: what bind() reports, and what a drive that a program
/// describes must pass too.
std::vector<std::string> defects(const HddConfig& config);

}  // namespace fusesim::device
