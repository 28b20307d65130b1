#pragma once

#include "null_mount.h"

#include <cstddef>
#include <functional>
#include <vector>

namespace fusesim::calibrate {

/// What the application does, and the opcode that it makes.
struct Call {
    enum class Kind { getattr, fsync, read, write };
    Kind kind = Kind::getattr;
    std::size_t size = 0;

    unsigned opcode() const;
};

/// Medians of one kind of call on one core with the daemon, in nanoseconds; the pieces
/// follow each other and add up to the whole.
struct Pieces {
    double whole = 0;       ///< call to call, as the application sees it
    double go = 0;          ///< call made -> daemon's read(2) has returned
    double library = 0;     ///< -> daemon calls writev(2)
    double reply = 0;       ///< -> it has returned
    double loop = 0;        ///< -> daemon calls read(2) again
    double back = 0;        ///< -> the application's call has returned
    double ready_read = 0;  ///< read(2) of a request that was waiting already
    double ordered = 0;     ///< share of requests in which nobody preempted
};

/// The same core for application and daemon. `mount` must be stamped and on `core`.
Pieces measure_pieces(NullMount& mount, int core, const Call& call, double seconds);

/// What one call takes, and how often one of the two goes to sleep meanwhile.
struct RoundTrip {
    double time = 0;  ///< nanoseconds, mean
    /// A daemon that does not found the next request waiting; a caller that does not was preempted
    /// when it was about to wait, and found its answer there.
    double sleeps = 0;
    double daemon_cpu = 0;  ///< nanoseconds of the daemon on its core, as the kernel counts them
};

/// As above without stamps, of a daemon with one thread.
RoundTrip measure_round_trip(NullMount& mount, int core, const Call& call, double seconds);

}  // namespace fusesim::calibrate
