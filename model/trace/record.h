#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::trace {

/// Where a trace was taken; everything above that border is fixed by the trace.
enum class Layer : std::uint8_t { fuse, syscall, block };

/// A point in time that the tracer could not see.
inline constexpr std::int64_t unknown_time = std::numeric_limits<std::int64_t>::min();

constexpr bool known(std::int64_t time) {
    return time != unknown_time;
}

/// What is true of a whole trace. Times in a trace are nanoseconds since its first record.
struct Header {
    unsigned version = 1;
    Layer layer = Layer::fuse;
    std::string tool;     ///< program and version that wrote or imported it
    std::string kernel;   ///< release of the recorded machine, "" if unknown
    std::string clock;    ///< clock of the time stamps, e.g. "monotonic"; "none" if order only
    std::string started;  ///< wall-clock start, ISO 8601 UTC, "" if unknown
    unsigned cpus = 0;    ///< online CPUs of the recorded machine, 0 if unknown
    unsigned protocol_minor = 0;  ///< negotiated FUSE protocol 7.minor, 0 if unknown
    std::uint64_t lost = 0;       ///< events the tracer knows it lost
    bool anonymised = false;      ///< names are hashes
    /// Facts about mount, daemon and probes, e.g. {"mount.fstype","fuse.bindfs"},
    /// {"mount.max_background","12"}, {"missing","background phase"}. Keys are unique.
    std::vector<std::pair<std::string, std::string>> facts;
};

/// One FUSE request (layer fuse) or one application call (layer syscall).
/// Every time is ns since the start of the trace, or unknown_time.
struct Record {
    // What. For layer fuse `opcode` is the protocol's number; for layer syscall it is a
    // trace::Call.
    std::uint32_t opcode = 0;
    std::int32_t error = 0;    ///< 0 or a negative errno
    std::uint64_t unique = 0;  ///< as in fuse_in_header; syscall layer: running number
    std::uint64_t nodeid = 0;
    std::uint64_t fh = 0;  ///< file handle or descriptor, 0 if it has none
    std::uint64_t offset = 0;
    std::uint64_t size = 0;       ///< bytes asked for; FORGET: nlookup; BATCH_FORGET: entries
    std::uint32_t flags = 0;      ///< open flags, INTERRUPT's low half of the victim's unique, ...
    std::uint32_t bytes_in = 0;   ///< fuse_in_header.len
    std::uint32_t bytes_out = 0;  ///< fuse_out_header.len, 0 where there is no reply
    std::string name;             ///< component or path, "" if none
    std::string name2;            ///< second name of RENAME, LINK, SYMLINK

    // Who.
    std::uint32_t pid = 0;     ///< fuse_in_header.pid (0 for kernel-made requests)
    std::uint32_t caller = 0;  ///< thread that made the request, 0 if unknown
    std::uint32_t worker = 0;  ///< daemon thread that served it, 0 if unknown
    std::int16_t caller_cpu = -1;
    std::int16_t worker_cpu = -1;
    bool background = false;  ///< nobody waits in request_wait_answer for it

    // When.
    std::int64_t queued = unknown_time;   ///< put on the pending queue; syscall layer: call entered
    std::int64_t taken = unknown_time;    ///< the daemon's read returned
    std::int64_t replied = unknown_time;  ///< the daemon entered its write
    std::int64_t ended = unknown_time;    ///< fuse_request_end; syscall layer: call returned
    std::int64_t resumed = unknown_time;  ///< the waiting caller runs again

    // Demand, free of waiting for a core: what a model may replay. unknown_time if not seen.
    std::int64_t think_cpu = unknown_time;        ///< caller on a core since its previous request
    std::int64_t think_blocked = unknown_time;    ///< caller asleep since then, other than in FUSE
    std::int64_t service_cpu = unknown_time;      ///< worker on a core between taken and replied
    std::int64_t service_blocked = unknown_time;  ///< worker asleep between taken and replied
};

}  // namespace fusesim::trace
