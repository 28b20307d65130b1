#include "assembler.h"

#include "message.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

namespace fusesim::record {

namespace {

/// What is still missing so long after the end is not waited for any longer: a caller that was
/// woken but got no core, a thread that took a request and vanished.
constexpr std::int64_t patience = 500'000'000;
constexpr std::size_t early_limit = 4096;

std::int64_t time_of(std::uint64_t time) {
    return static_cast<std::int64_t>(time);
}

/// What the daemon took; its message follows the event.
void apply(const taken& taken, const std::byte* message, trace::Record& record) {
    const std::uint32_t pid = record.pid;
    const bool known = record.queued != trace::unknown_time;
    read_message({message, taken.message_len}, record);
    if (known) {
        record.pid = pid;
    }
    record.worker = taken.tid;
    record.worker_cpu = static_cast<std::int16_t>(taken.cpu);
    record.taken = time_of(taken.time);
}

std::int64_t demand_of(std::uint64_t demand) {
    return demand == UNKNOWN_DEMAND ? trace::unknown_time : static_cast<std::int64_t>(demand);
}

}  // namespace

Assembler::Assembler(Sink sink, std::size_t limit) : sink_(std::move(sink)), limit_(limit) {}

void Assembler::handle(const event& event) {
    switch (event.kind) {
        case EVENT_SEND:
            send(reinterpret_cast<const send_event&>(event));
            break;
        case EVENT_TAKEN:
            taken(reinterpret_cast<const taken_event&>(event));
            break;
        case EVENT_END:
            end(reinterpret_cast<const end_event&>(event));
            break;
        case EVENT_RESUMED:
            resumed(reinterpret_cast<const resumed_event&>(event));
            break;
        default:
            break;
    }
}

Assembler::Slot Assembler::allocate() {
    if (free_.empty()) {
        slots_.emplace_back();
        return static_cast<Slot>(slots_.size() - 1);
    }
    const Slot slot = free_.back();
    free_.pop_back();
    slots_[slot] = Open{};
    return slot;
}

/// Events come nearly in order, so that the place is found after a step or two from the end.
void Assembler::enqueue(Slot slot) {
    const std::int64_t key = slots_[slot].key;
    auto at = order_.end();
    while (at != order_.begin() && slots_[*std::prev(at)].key > key) {
        --at;
    }
    order_.insert(at, slot);
}

Assembler::Slot* Assembler::find(std::uint64_t unique, std::uint64_t request) {
    if (const auto at = by_unique_.find(unique); at != by_unique_.end()) {
        return &at->second;
    }
    if (const auto at = by_request_.find(request); at != by_request_.end()) {
        return &at->second;
    }
    return nullptr;
}

/// The caller has sent again without having slept: its previous wait ended at once.
void Assembler::ran_on(std::uint32_t caller) {
    const auto at = waits_to_resume_.find(caller);
    if (at == waits_to_resume_.end()) {
        return;
    }
    Open& open = slots_[at->second];
    if (!open.needs_end) {
        open.needs_resume = false;
        open.record.resumed = open.record.ended;
    }
    waits_to_resume_.erase(at);
}

void Assembler::send(const send_event& event) {
    if (event.resumed_time != 0) {
        resume(event.resumed_unique, event.resumed_request, event.e.tid, event.resumed_time);
    }
    if (event.from_daemon == 0) {
        ran_on(event.e.tid);
    }
    const Slot slot = allocate();
    Open& open = slots_[slot];
    trace::Record& record = open.record;
    record.opcode = event.opcode;
    record.unique = event.e.unique;
    record.nodeid = event.nodeid;
    record.bytes_in = event.len;
    record.pid = event.pid;
    record.background = event.background != 0 || event.expects_reply == 0;
    // A request that a reply promoted from the background queue is not the worker's own.
    record.caller = event.from_daemon ? event.pid : event.e.tid;
    record.caller_cpu = static_cast<std::int16_t>(event.from_daemon ? -1 : event.e.cpu);
    record.queued = time_of(event.e.time);
    record.think_cpu = demand_of(event.think_cpu);
    record.think_blocked = demand_of(event.think_blocked);
    open.request = event.e.request;
    open.key = record.queued;
    open.needs_resume = !record.background;
    if (record.unique != 0) {
        by_unique_[record.unique] = slot;
    } else {
        by_request_[open.request] = slot;
    }
    if (open.needs_resume) {
        waits_to_resume_[record.caller] = slot;
    }
    ++in_flight_;
    enqueue(slot);
}

void Assembler::taken(const taken_event& event) {
    const auto* message = reinterpret_cast<const std::byte*>(&event + 1);
    if (Slot* slot = find(event.e.unique, 0)) {
        apply(event.taken, message, slots_[*slot].record);
        slots_[*slot].needs_taken = false;
        return;
    }
    trace::Record record;
    apply(event.taken, message, record);
    if (is_made_at_read(record.opcode)) {
        const Slot slot = allocate();
        Open& open = slots_[slot];
        open.key = record.taken;
        open.record = std::move(record);
        open.record.background = true;
        open.needs_taken = false;
        open.needs_end = false;
        enqueue(slot);
        return;
    }
    // Sent before it had its unique (its end will tell which), or before the recording began.
    if (taken_early_.size() >= early_limit) {
        counts_.without_send += taken_early_.size();
        taken_early_.clear();
    }
    const auto* first = reinterpret_cast<const std::byte*>(&event);
    taken_early_[event.e.unique].assign(first, first + sizeof event + event.taken.message_len);
}

void Assembler::end(const end_event& event) {
    Slot* found = find(event.e.unique, event.e.request);
    const auto early = taken_early_.find(event.e.unique);
    if (found == nullptr) {
        if (early != taken_early_.end()) {
            taken_early_.erase(early);
        }
        ++counts_.without_send;
        return;
    }
    const Slot slot = *found;
    Open& open = slots_[slot];
    trace::Record& record = open.record;
    if (!open.needs_end) {
        return;
    }
    if (record.unique == 0) {
        by_request_.erase(open.request);
        record.unique = event.e.unique;
        by_unique_[record.unique] = slot;
    }
    if (early != taken_early_.end()) {
        const auto& before = *reinterpret_cast<const taken_event*>(early->second.data());
        apply(before.taken, early->second.data() + sizeof before, record);
        open.needs_taken = false;
        taken_early_.erase(early);
    }
    if (event.taken.time != 0) {
        apply(event.taken, reinterpret_cast<const std::byte*>(&event + 1), record);
        open.needs_taken = false;
    }
    record.error = event.error;
    record.bytes_out = event.len;
    record.ended = time_of(event.e.time);
    if (event.replied != 0) {
        record.replied = time_of(event.replied);
        record.service_cpu = demand_of(event.service_cpu);
        record.service_blocked = demand_of(event.service_blocked);
        if (record.worker == 0) {
            record.worker = event.e.tid;
        }
    }
    open.needs_end = false;
    --in_flight_;
    ++ended_;
}

void Assembler::resumed(const resumed_event& event) {
    resume(event.e.unique, event.e.request, event.e.tid, event.e.time);
}

void Assembler::resume(std::uint64_t unique,
                       std::uint64_t request,
                       std::uint32_t tid,
                       std::uint64_t time) {
    Slot* found = find(unique, request);
    // The end of a background READ wakes whoever wants its pages, which may be others as well.
    if (found == nullptr || slots_[*found].record.caller != tid) {
        return;
    }
    Open& open = slots_[*found];
    open.record.resumed = time_of(time);
    open.needs_resume = false;
    if (const auto at = waits_to_resume_.find(tid);
        at != waits_to_resume_.end() && at->second == *found) {
        waits_to_resume_.erase(at);
    }
}

bool Assembler::is_complete(const Open& open, std::int64_t now) const {
    if (open.needs_end) {
        return false;
    }
    const bool wants_more = open.needs_resume || open.needs_taken;
    return !wants_more || now - open.record.ended > patience;
}

void Assembler::write_front() {
    const Slot slot = order_.front();
    order_.pop_front();
    Open& open = slots_[slot];
    trace::Record& record = open.record;
    if (record.unique != 0) {
        by_unique_.erase(record.unique);
    } else {
        by_request_.erase(open.request);
    }
    if (const auto at = waits_to_resume_.find(record.caller);
        at != waits_to_resume_.end() && at->second == slot) {
        waits_to_resume_.erase(at);
    }
    if (open.needs_end) {
        --in_flight_;
        ++counts_.without_end;
    }
    if (open.key < newest_written_) {
        ++counts_.late;
    } else {
        if (base_ == trace::unknown_time) {
            base_ = open.key;
        }
        newest_written_ = open.key;
        // A caller that a signal woke resumed before the end; clocks of cores differ by little.
        std::int64_t latest = base_;
        for (std::int64_t* time :
             {&record.queued, &record.taken, &record.replied, &record.ended, &record.resumed}) {
            if (*time == trace::unknown_time) {
                continue;
            }
            if (*time < latest) {
                *time = trace::unknown_time;
                continue;
            }
            latest = *time;
            *time -= base_;
        }
        ++counts_.written;
        sink_(record);
    }
    free_.push_back(slot);
}

void Assembler::flush(std::int64_t now) {
    while (!order_.empty()) {
        const Open& front = slots_[order_.front()];
        const bool over = order_.size() > limit_;
        if (!over && (now - front.key < slack || !is_complete(front, now))) {
            return;
        }
        write_front();
    }
}

void Assembler::finish() {
    while (!order_.empty()) {
        write_front();
    }
    counts_.without_send += taken_early_.size();
    taken_early_.clear();
}

}  // namespace fusesim::record
