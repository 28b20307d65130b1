#pragma once

#include "collector.h"
#include "events.h"
#include "mount.h"

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

namespace fusesim::record {

/// What the recorder's own programs cost the machine while they were measured.
struct Overhead {
    double seconds = 0;         ///< CPU time of the programs
    double window_seconds = 0;  ///< elapsed while it was counted
    std::uint64_t runs = 0;
};

/// The BPF programs of one layer, attached to one mount.
class Probe {
  public:
    /// The kernel does not take the programs.
    class Refused : public std::runtime_error {
        using std::runtime_error::runtime_error;
    };

    virtual ~Probe() = default;

    /// Hands on what has come since the last call.
    virtual void consume(Collector& collector) = 0;

    /// Nothing new from here on; what is in flight is still followed.
    virtual void stop_new() = 0;
    virtual void detach() = 0;

    /// The programs' run time is counted between these two. Counting costs time itself, so that a
    /// recorder does it for a part of the time only.
    virtual void start_measuring() = 0;
    virtual void stop_measuring() = 0;
    virtual bool is_measuring() const = 0;

    virtual Overhead overhead() const = 0;
    virtual recorder_counts counts() const = 0;

    virtual connection_facts facts() const { return {}; }

    /// Processes seen to serve the mount.
    virtual std::vector<std::uint32_t> daemons() const { return {}; }
};

/// Requests of layer fuse; `daemons` are processes known to serve the mount.
std::unique_ptr<Probe> probe_requests(const Mount& mount,
                                      const std::vector<std::uint32_t>& daemons);

/// Application calls of layer syscall.
std::unique_ptr<Probe> probe_calls(const Mount& mount);

}  // namespace fusesim::record
