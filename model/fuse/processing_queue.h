#pragma once

#include "fuse/kernel.h"
#include "fuse/request.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fusesim::fuse {

/// What one open descriptor of /dev/fuse has taken and not yet answered (models struct
/// fuse_pqueue): requests being copied and requests the daemon works on, found by their id.
class ProcessingQueue {
  public:
    explicit ProcessingQueue(const KernelBehaviour& kernel)
        : lists_(kernel.processing_lists),
          mask_(kernel.processing_lists - 1U),
          shift_(kernel.interrupt_bit() ? 1U : 0U) {}

    ProcessingQueue(const ProcessingQueue&) = delete;
    ProcessingQueue& operator=(const ProcessingQueue&) = delete;

    /// Requests the daemon works on.
    std::size_t processing() const { return processing_; }

    /// Requests being copied.
    std::size_t io() const { return io_.size(); }

    /// Starts to copy a request that is in no list.
    void begin_copy(Request& request) {
        request.station = Station::io;
        io_.push_back(request);
    }

    /// A copied request is now the daemon's.
    void begin_processing(Request& request) {
        io_.erase(io_.iterator_to(request));
        request.station = Station::processing;
        list_of(request.unique).push_back(request);
        ++processing_;
    }

    /// The request whose own id, or whose interrupt's id, is `unique`; nullptr if it is not here.
    /// `steps` gets the number of list entries looked at.
    Request* find(std::uint64_t unique, unsigned& steps) {
        steps = 0;
        for (Request& request : list_of(unique)) {
            ++steps;
            if (request.unique == unique || request.intr_unique == unique) {
                return &request;
            }
        }
        return nullptr;
    }

    /// The reply to a request arrives: it is copied once more.
    void begin_reply(Request& request) {
        List& list = list_of(request.unique);
        list.erase(list.iterator_to(request));
        --processing_;
        begin_copy(request);
    }

    /// Takes a copied request out.
    void remove_io(Request& request) {
        io_.erase(io_.iterator_to(request));
        request.station = Station::none;
    }

    /// Takes out any request the daemon works on, in the order of the lists; nullptr once empty.
    Request* pop_processing();

    RequestList& io_list() { return io_; }

    const RequestList& io_list() const { return io_; }

    template <typename Visit>
    void for_each_processing(Visit visit) const {
        for (const List& list : lists_) {
            for (const Request& request : list) {
                visit(request);
            }
        }
    }

  private:
    using List = boost::intrusive::list<Request, boost::intrusive::constant_time_size<false>>;

    // Simplified: the kernel's hash_long() spreads ids the same way that taking them in turn does,
    // and nobody can see which list an id is in.
    List& list_of(std::uint64_t unique) { return lists_[(unique >> shift_) & mask_]; }

    RequestList io_;
    std::vector<List> lists_;
    std::uint64_t mask_;
    unsigned shift_;
    std::size_t processing_ = 0;
};

}  // namespace fusesim::fuse
