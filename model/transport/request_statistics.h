#pragma once

#include "fuse/opcode.h"
#include "fuse/request.h"
#include "sim/statistics.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

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

/// When one request was where, in ps; `never` where it did not get there.
struct LoggedRequest {
    std::uint64_t unique = 0;
    fuse::Opcode opcode{};
    std::int64_t created = 0;
    std::int64_t queued = 0;
    std::int64_t sent = 0;
    std::int64_t replied = 0;
    std::int64_t over = 0;  ///< its caller runs again, or nobody waited and it has ended
};

class RequestStatistics {
  public:
    /// Keeps the first so many requests of the window that end.
    void keep(std::size_t requests) { most_kept_ = requests; }

    const std::vector<LoggedRequest>& kept() const { return kept_; }

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
    std::size_t most_kept_ = 0;
    std::vector<LoggedRequest> kept_;
};

}  // namespace fusesim::transport
