#pragma once

#include "fuse/opcode.h"

#include <boost/intrusive/list.hpp>

#include <cstdint>
#include <limits>

namespace fusesim::fuse {

struct Request;

/// Told when the kernel has ended a request: fuse_request_end, in the context of whoever ended it
/// (the daemon's write, as a rule). The owner may use the request again from then on, unless a
/// caller waits for it.
struct Completion {
    virtual void request_ended(Request& request) = 0;

  protected:
    ~Completion() = default;
};

/// The kernel's request flags, FR_*.
enum class Flag : std::uint16_t {
    isreply = 1U << 0U,      ///< an answer is awaited; ends at the daemon's read without it
    force = 1U << 1U,        ///< passes every gate
    background = 1U << 2U,   ///< counted and limited by the background queue
    waiting = 1U << 3U,      ///< counted in num_waiting
    aborted = 1U << 4U,      ///< the connection went away while the request was being copied
    interrupted = 1U << 5U,  ///< its caller got a signal
    locked = 1U << 6U,       ///< its data are being copied
    pending = 1U << 7U,      ///< not yet taken by the daemon
    sent = 1U << 8U,         ///< the daemon has it
    finished = 1U << 9U,     ///< ended
    async = 1U << 10U,       ///< its completion does work of its own in the daemon's time
    caller = 1U << 11U,      ///< a caller sleeps in request_wait_answer (kernel: its reference)
    interrupt_queued = 1U << 12U,  ///< on the interrupt queue (kernel: intr_entry linked)
};

/// A set of Flag.
class Flags {
  public:
    bool has(Flag flag) const { return (bits_ & static_cast<std::uint16_t>(flag)) != 0; }

    void set(Flag flag) { bits_ = static_cast<std::uint16_t>(bits_ | static_cast<unsigned>(flag)); }

    void clear(Flag flag) {
        bits_ = static_cast<std::uint16_t>(bits_ & ~static_cast<unsigned>(flag));
    }

    void assign(Flag flag, bool on) { on ? set(flag) : clear(flag); }

  private:
    std::uint16_t bits_ = 0;
};

/// The one list a request is in.
enum class Station : std::uint8_t {
    none,        ///< with its owner
    background,  ///< background queue
    pending,     ///< pending list of the input queue
    io,          ///< being copied to or from the daemon
    processing,  ///< the daemon works on it
};

/// A time stamp not taken.
inline constexpr std::int64_t never = std::numeric_limits<std::int64_t>::min();

/// One message that waits for the daemon (the kernel's fuse_req). Plain data, owned and reused by
/// whoever created it; it is in at most one list, and moving it never allocates. A transport may
/// derive its own type from it.
struct Request
    : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::safe_link>> {
    // As in fuse_in_header and fuse_out_header.
    std::uint64_t unique = 0;
    std::uint64_t nodeid = 0;
    Opcode opcode = Opcode::lookup;
    std::int32_t error = 0;       ///< 0 or a negative errno, once ended
    std::uint32_t bytes_in = 0;   ///< length of the whole request
    std::uint32_t bytes_out = 0;  ///< length of the whole reply, once replied
    std::uint32_t pid = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;

    // What file systems look at in the arguments.
    std::uint32_t size = 0;
    std::uint64_t fh = 0;
    std::uint64_t offset = 0;

    // Where it stands; written by Connection only.
    std::uint64_t intr_unique = 0;  ///< id of its last INTERRUPT where that has an id of its own
    std::uint32_t fd = 0;           ///< the descriptor that took it
    std::uint32_t channel = 0;      ///< set by its sender: a Connection::add_channel(), or 0
    Flags flags;
    Station station = Station::none;

    Completion* completion = nullptr;

    // Picoseconds, or never. Nobody in this folder reads or writes them.
    std::int64_t created = never;
    std::int64_t queued = never;   ///< put on the pending list
    std::int64_t sent = never;     ///< the daemon's read returned with it
    std::int64_t replied = never;  ///< the daemon entered its write
    std::int64_t ended = never;    ///< fuse_request_end
    std::int64_t resumed = never;  ///< the waiting caller runs again

    bool has(Flag flag) const { return flags.has(flag); }

    /// Makes an ended request ready for its next use. Keeps nothing but the completion.
    void reset();
};

/// A FIFO of requests that knows its length.
using RequestList = boost::intrusive::list<Request, boost::intrusive::constant_time_size<true>>;

inline void Request::reset() {
    Completion* const keep = completion;
    *this = Request{};
    completion = keep;
}

}  // namespace fusesim::fuse
