#pragma once

#include "fuse/opcode.h"
#include "fuse/request.h"
#include "sim/statistics.h"

#include <cstdint>
#include <map>
#include <memory>

namespace fusesim::transport {

/// What is known of all requests of one opcode within the window. The phases of a request add up
/// to its latency to the picosecond.
struct OpcodeStatistics {
    std::uint64_t count = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    sim::Tally latency;
    sim::Wide background = 0;  ///< ps: created until it leaves the background queue
    sim::Wide queue = 0;       ///< until the daemon has it
    sim::Wide processing = 0;  ///< until the daemon replies
    sim::Wide reply = 0;       ///< until the caller runs again, or the request has ended
};

class RequestStatistics {
  public:
    /// A request is over: its caller runs again, or nobody waited and it has ended.
    void finished(const fuse::Request& request);
    /// A message without an answer (FORGET, INTERRUPT) was taken after `waited`.
    void taken(fuse::Opcode opcode, std::uint32_t bytes, sim::Time waited);

    void begin_window();

    const std::map<fuse::Opcode, OpcodeStatistics>& by_opcode() const { return by_opcode_; }

    std::uint64_t total() const;

  private:
    OpcodeStatistics& of(fuse::Opcode opcode);

    std::map<fuse::Opcode, OpcodeStatistics> by_opcode_;
    fuse::Opcode last_{};
    OpcodeStatistics* last_statistics_ = nullptr;
};

}  // namespace fusesim::transport
