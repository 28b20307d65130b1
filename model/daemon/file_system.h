#pragma once

#include "host/cpu.h"
#include "sim/random.h"
#include "sim/task.h"
#include "transport/message.h"

#include <cstdint>
#include <map>
#include <memory>

namespace fusesim::daemon {

/// What a daemon does for a request: the handlers behind the library.
class FileSystem {
  public:
    virtual ~FileSystem() = default;

    /// Serves one request on the worker's thread and fills in its answer.
    virtual sim::Task<> handle(host::Thread& worker, transport::Call& call) = 0;
    /// Gives back `count` lookups; no answer is expected.
    virtual void forget(host::Thread&, std::size_t) {}

    /// True if the service times already hold the library's own time, as those that were measured
    /// between the daemon's read and its write do.
    virtual bool includes_library() const = 0;
};

/// Answers at once: what remains is the price of FUSE itself.
class NullFs : public FileSystem {
  public:
    sim::Task<> handle(host::Thread& worker, transport::Call& call) override;

    bool includes_library() const override { return false; }
};

/// Service times of one opcode: on a core, then asleep.
struct ServiceTime {
    sim::Distribution cpu;
    sim::Distribution blocked;
};

/// Per-opcode service times, as fitted from a recording or given by hand.
struct ServiceTimes {
    std::map<fuse::Opcode, ServiceTime> by_opcode;
    ServiceTime other;  ///< opcodes not named
};

/// Takes as long as it is told: a draw from the opcode's distribution, or what the request itself
/// demands where a recording knows it and is to be followed.
class ServiceTimeFs : public FileSystem {
  public:
    ServiceTimeFs(ServiceTimes times,
                  bool follow_recording,
                  std::uint64_t seed,
                  bool includes_library = true)
        : times_(std::move(times)),
          follow_recording_(follow_recording),
          includes_library_(includes_library),
          random_(seed, "daemon.service_time") {}

    sim::Task<> handle(host::Thread& worker, transport::Call& call) override;

    bool includes_library() const override { return includes_library_; }

  private:
    ServiceTimes times_;
    bool follow_recording_;
    bool includes_library_;
    sim::Random random_;
};

}  // namespace fusesim::daemon
