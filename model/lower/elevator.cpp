#include "lower/elevator.h"

#include <iterator>

namespace fusesim::lower {

using sim::Time;

bool BlockRequest::back_merges(const Bio& bio, std::uint32_t most) const {
    return io.kind == bio.io.kind && !io.fua && !bio.io.fua && end() == bio.io.offset &&
           io.bytes + bio.io.bytes <= most;
}

bool BlockRequest::front_merges(const Bio& bio, std::uint32_t most) const {
    return io.kind == bio.io.kind && !io.fua && !bio.io.fua &&
           bio.io.offset + bio.io.bytes == io.offset && io.bytes + bio.io.bytes <= most;
}

void BlockRequest::add_back(Bio& bio) {
    last->next_ = &bio;
    last = &bio;
    io.bytes += bio.io.bytes;
}

void BlockRequest::add_front(Bio& bio) {
    bio.next_ = first;
    first = &bio;
    io.offset = bio.io.offset;
    io.bytes += bio.io.bytes;
}

BlockRequest* NoElevator::next(Time) {
    if (requests_.empty()) {
        return nullptr;
    }
    BlockRequest* const request = requests_.front();
    requests_.pop_front();
    return request;
}

bool Deadline::merge(Bio& bio, std::uint32_t most_bytes) {
    Sorted& sorted = direction_of(bio.io).sorted;
    const auto after = sorted.lower_bound(bio.io.offset);
    if (after != sorted.begin()) {
        BlockRequest& before = *std::prev(after)->second->request;
        if (before.back_merges(bio, most_bytes)) {
            before.add_back(bio);
            return true;
        }
    }
    if (after != sorted.end()) {
        const Fifo::iterator waiting = after->second;
        if (waiting->request->front_merges(bio, most_bytes)) {
            waiting->request->add_front(bio);
            sorted.erase(after);
            waiting->place = sorted.emplace(waiting->request->io.offset, waiting);
            return true;
        }
    }
    return false;
}

void Deadline::add(BlockRequest& request) {
    const bool read = request.io.kind == device::Io::Kind::read;
    Direction& direction = direction_of(request.io);
    const Time expire = read ? tunables_.read_expire : tunables_.write_expire;
    direction.fifo.push_back({&request, request.arrived + expire, {}});
    const auto waiting = std::prev(direction.fifo.end());
    waiting->place = direction.sorted.emplace(request.io.offset, waiting);
}

BlockRequest* Deadline::take(Direction& direction, Fifo::iterator waiting) {
    BlockRequest* const request = waiting->request;
    direction.last_end = request->end();
    direction.sorted.erase(waiting->place);
    direction.fifo.erase(waiting);
    ++in_batch_;
    return request;
}

// dd_dispatch_request(): go on in order of place while the batch lasts; else reads, unless writes
// have starved; a new batch begins with what has expired, or where the last one ended.
BlockRequest* Deadline::next(Time now) {
    Direction& reads = directions_[0];
    Direction& writes = directions_[1];
    if (batch_ != nullptr && in_batch_ < tunables_.fifo_batch) {
        const auto following = batch_->sorted.lower_bound(batch_->last_end);
        if (following != batch_->sorted.end()) {
            return take(*batch_, following->second);
        }
    }
    if (reads.fifo.empty() && writes.fifo.empty()) {
        return nullptr;
    }
    const bool write =
        reads.fifo.empty() || (!writes.fifo.empty() && starved_++ >= tunables_.writes_starved);
    if (write) {
        starved_ = 0;
    }
    batch_ = write ? &writes : &reads;
    in_batch_ = 0;
    const auto following = batch_->sorted.lower_bound(batch_->last_end);
    const bool expired = batch_->fifo.front().deadline <= now;
    return take(
        *batch_,
        expired || following == batch_->sorted.end() ? batch_->fifo.begin() : following->second);
}

}  // namespace fusesim::lower
