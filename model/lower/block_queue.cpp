#include "lower/block_queue.h"

#include <fmt/format.h>

namespace fusesim::lower {

using sim::Time;

namespace {

/// block/blk-mq.c: BLK_MAX_REQUEST_COUNT, requests that a plug holds back.
constexpr std::size_t plugged_requests = 32;

}  // namespace

BlockQueue::BlockQueue(host::Cpu& cpu, device::Device& device, const BlockSettings& settings)
    : cpu_(cpu),
      device_(device),
      settings_(settings),
      room_(cpu.engine(), "room for a request"),
      station_("block layer", settings.queue_depth) {
    if (settings.scheduler == Scheduler::mq_deadline) {
        elevator_ = std::make_unique<Deadline>();
    } else {
        elevator_ = std::make_unique<NoElevator>();
    }
}

BlockRequest& BlockQueue::new_request(host::Thread& thread, Bio& bio) {
    if (free_requests_.empty()) {
        requests_.push_back(std::make_unique<BlockRequest>());
        free_requests_.push_back(requests_.back().get());
    }
    BlockRequest& request = *free_requests_.back();
    free_requests_.pop_back();
    request.io = bio.io;
    if (const host::Core* core = thread.core()) {
        request.io.stream = static_cast<std::uint16_t>(core->id());
    }
    bio.next_ = nullptr;
    request.first = request.last = &bio;
    ++alive_;
    thread.charge(cpu_.costs().block_request);
    return request;
}

void BlockQueue::Plug::add(Bio& bio) {
    bio.next_ = nullptr;
    if (!requests_.empty() && requests_.back()->back_merges(bio, queue_.settings_.most_bytes)) {
        requests_.back()->add_back(bio);
        return;
    }
    if (requests_.size() == plugged_requests) {
        finish();
    }
    requests_.push_back(&queue_.new_request(thread_, bio));
}

void BlockQueue::Plug::finish() {
    for (BlockRequest* request : requests_) {
        queue_.insert(*request);
    }
    requests_.clear();
    queue_.dispatch();
}

void BlockQueue::add(host::Thread& thread, Bio& bio) {
    bio.next_ = nullptr;
    if (elevator_->merge(bio, settings_.most_bytes)) {
        return;
    }
    insert(new_request(thread, bio));
    dispatch();
}

void BlockQueue::insert(BlockRequest& request) {
    request.arrived = now();
    // A request of one bio may still join one that waits.
    if (request.first == request.last && elevator_->merge(*request.first, settings_.most_bytes)) {
        free_requests_.push_back(&request);
        --alive_;
        return;
    }
    station_.arrive(now());
    if (request.io.kind == device::Io::Kind::flush) {
        flushes_.add(request);
    } else {
        elevator_->add(request);
    }
}

BlockRequest* BlockQueue::next() {
    BlockRequest* const flush = flushes_.next(now());
    return flush != nullptr ? flush : elevator_->next(now());
}

sim::Task<> BlockQueue::wait_for_room(host::Thread& thread) {
    while (alive_ >= settings_.nr_requests) {
        co_await thread.sleep(room_);
    }
}

void BlockQueue::dispatch() {
    while (!idle_.empty() || slots_.size() < settings_.queue_depth) {
        BlockRequest* const request = next();
        if (request == nullptr) {
            return;
        }
        if (idle_.empty()) {
            slots_.push_back(std::make_unique<Slot>(cpu_.engine()));
            give(*slots_.back(), *request);
            cpu_.engine().spawn("block device", serve(*slots_.back()), sim::Role::server);
            continue;
        }
        Slot& slot = *idle_.back();
        idle_.pop_back();
        give(slot, *request);
        slot.work.wake_one();
    }
}

void BlockQueue::give(Slot& slot, BlockRequest& request) {
    slot.request = &request;
    station_.begin_service(now(), request.arrived);
}

sim::Task<> BlockQueue::serve(Slot& slot) {
    for (;;) {
        while (slot.request == nullptr) {
            co_await slot.work.sleep();
        }
        BlockRequest& request = *slot.request;
        const Time began = now();
        co_await device_.serve(request.io);
        station_.depart(now(), request.arrived, began);
        // The end of a bio may make room for, and ask for, the next.
        Bio* bio = request.first;
        slot.request = nullptr;
        idle_.push_back(&slot);
        free_requests_.push_back(&request);
        --alive_;
        room_.wake_one();
        while (bio != nullptr) {
            Bio* const next = bio->next_;
            bio->ended();
            bio = next;
        }
        dispatch();
    }
}

}  // namespace fusesim::lower
