#pragma once

#include "fuse/request.h"
#include "host/cpu.h"
#include "sim/time.h"
#include "sim/wait_queue.h"

#include <cstdint>

namespace fusesim::transport {

class RequestStatistics;

/// What a handler has to do for a request: time on a core and time asleep.
struct Demand {
    sim::Time cpu;
    sim::Time blocked;
    bool known = false;
};

/// A FUSE request with its caller: what fs/fuse keeps on the caller's stack beside fuse_req.
/// Reused by its owner for one request after another; must stay where it is meanwhile.
class Call final : public fuse::Request, private fuse::Completion {
  public:
    explicit Call(sim::Engine& engine) : done_(engine, "the end of a request") {
        completion = this;
    }

    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    /// Makes it ready for its next request.
    void prepare(fuse::Opcode next) {
        reset();
        opcode = next;
        demand = {};
        error_reply = 0;
        payload_pages = 0;
        subject = 0;
        name = 0;
        upkeep = {};
        entries = 0;
        dots = 0;
        lists_last = false;
        needs_wakeup = false;
    }

    bool finished() const { return has(fuse::Flag::finished); }

    sim::WaitQueue& done() { return done_; }

    /// What the daemon has to do, where the workload knows it (replay of a recording).
    Demand demand;
    std::int32_t error_reply = 0;     ///< the answer is this error
    std::uint32_t reply_bytes = 16;   ///< length of the answer, header included
    std::uint64_t subject = 0;        ///< node that the name in the request stands for; 0: none
    std::uint64_t name = 0;           ///< tells the names of one directory apart
    sim::Time upkeep;                 ///< the daemon's system calls beside its answer
    std::uint32_t payload_pages = 0;  ///< data pages copied page by page, either way
    std::uint32_t entries = 0;        ///< names in the answer; of OPENDIR, in the directory
    std::uint32_t dots = 0;           ///< ... of which "." and ".."
    bool lists_last = false;          ///< the last name is among them
    bool needs_wakeup = false;        ///< ring channels: the caller has stopped polling
    /// Where a request that nobody waits for is counted once it has ended.
    RequestStatistics* count_in = nullptr;
    /// Runs in the daemon's context after all else, e.g. to free the call; may be null.
    void (*on_end)(Call& call, void* context) = nullptr;
    void* on_end_context = nullptr;

  private:
    void request_ended(fuse::Request&) override;

    sim::WaitQueue done_;
};

}  // namespace fusesim::transport
