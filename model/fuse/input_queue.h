#pragma once

#include "fuse/kernel.h"
#include "fuse/request.h"
#include "fuse/ring.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fusesim::fuse {

/// Lookups the kernel gives back for one inode. Not a request: messages are made of it when the
/// daemon reads.
struct Forget {
    std::uint64_t nodeid = 0;
    std::uint64_t nlookup = 0;
    std::int64_t queued = 0;  ///< time stamp of whoever queued it; not read here
    /// Forgets of one recorded message stay together, apart from all others; 0: as they come.
    std::uint32_t message = 0;
};

/// What the daemon's next read gets.
enum class Turn : std::uint8_t { nothing, interrupt, forget, request };

/// All that waits for the daemon of one connection (models struct fuse_iqueue): pending requests,
/// interrupts and forgets. Every descriptor of the connection reads from this one queue.
class InputQueue {
  public:
    explicit InputQueue(const KernelBehaviour& kernel) : unique_step_(kernel.unique_step) {}

    InputQueue(const InputQueue&) = delete;
    InputQueue& operator=(const InputQueue&) = delete;

    bool empty() const { return pending_.empty() && interrupts_.empty() && forgets_.empty(); }

    std::size_t pending() const { return pending_.size(); }

    std::size_t interrupts() const { return interrupts_.size(); }

    std::size_t forgets() const { return forgets_.size(); }

    /// True if the next message holds more than one forget.
    bool several_forgets() const {
        return forgets_.size() > 1 && forgets_.front().message == forgets_[1].message;
    }

    /// The kernel's forget_batch.
    int forget_batch() const { return forget_batch_; }

    std::uint64_t next_unique() { return last_unique_ += unique_step_; }

    /// Puts a request at the tail; its id must have been given.
    void push(Request& request) {
        request.station = Station::pending;
        request.flags.set(Flag::pending);
        pending_.push_back(request);
    }

    /// Puts requests before all others, in their order; they keep their ids.
    void push_front(RequestList& requests);

    void push_forget(const Forget& forget) { forgets_.push_back(forget); }

    /// False if the request's interrupt is queued already.
    bool push_interrupt(Request& request);

    void remove_interrupt(Request& request);

    /// Takes a request out that no daemon has read yet.
    void remove(Request& request) {
        pending_.erase(pending_.iterator_to(request));
        leave(request);
    }

    /// Decides what is read next and counts it. Interrupts go first. Forgets and requests take
    /// turns while both wait, so that neither a burst of forgets nor a busy mount starves the
    /// other: 8 requests, then 16 forget messages and 8 requests by turns. The count stands still
    /// while one of the two is empty.
    Turn next_turn() {
        if (!interrupts_.empty()) {
            return Turn::interrupt;
        }
        if (!forgets_.empty()) {
            if (pending_.empty() || forget_batch_-- > 0) {
                return Turn::forget;
            }
            if (forget_batch_ <= -8) {
                forget_batch_ = 16;
            }
        }
        return pending_.empty() ? Turn::nothing : Turn::request;
    }

    /// The oldest pending request; there must be one.
    Request& take_request() {
        Request& request = pending_.front();
        pending_.pop_front();
        leave(request);
        return request;
    }

    /// The request whose interrupt is oldest; there must be one.
    Request& take_interrupt();

    /// Up to `most` forgets of one message, oldest first. Valid until the next call.
    std::span<const Forget> take_forgets(std::size_t most);

    /// The oldest pending request, nullptr if none.
    Request* front() { return pending_.empty() ? nullptr : &pending_.front(); }

    void drop_forgets() { forgets_.clear(); }

    const RequestList& pending_list() const { return pending_; }

  private:
    static void leave(Request& request) {
        request.station = Station::none;
        request.flags.clear(Flag::pending);
    }

    RequestList pending_;
    Ring<Request*> interrupts_;
    Ring<Forget> forgets_;
    std::vector<Forget> taken_forgets_;
    std::uint64_t last_unique_ = 0;
    unsigned unique_step_;
    int forget_batch_ = 0;
};

}  // namespace fusesim::fuse
