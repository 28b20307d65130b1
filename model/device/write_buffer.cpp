#include "device/write_buffer.h"

#include <algorithm>
#include <bit>

namespace fusesim::device {

WriteBuffer::WriteBuffer(std::uint32_t units) : entries_(units) {
    const std::uint64_t slots = std::bit_ceil(std::uint64_t{units} * 2);
    table_.assign(slots, none);
    table_shift_ = 64 - static_cast<unsigned>(std::bit_width(slots - 1));
    for (Index i = units; i-- > 0;) {
        entries_[i].next = free_;
        free_ = i;
    }
}

/// The slot of the unit, or the empty one where it would be.
std::uint32_t WriteBuffer::find(Unit unit) const {
    const auto mask = static_cast<std::uint32_t>(table_.size() - 1);
    std::uint32_t slot = slot_of(unit);
    while (table_[slot] != none && entries_[table_[slot]].unit != unit) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

/// Empties the unit's slot and moves up what had been pushed past it.
void WriteBuffer::forget(Unit unit) {
    const auto mask = static_cast<std::uint32_t>(table_.size() - 1);
    std::uint32_t hole = find(unit);
    for (std::uint32_t slot = (hole + 1) & mask; table_[slot] != none; slot = (slot + 1) & mask) {
        const std::uint32_t home = slot_of(entries_[table_[slot]].unit);
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            table_[hole] = table_[slot];
            hole = slot;
        }
    }
    table_[hole] = none;
}

void WriteBuffer::insert(Unit unit, SsdCommand* durable) {
    --reserved_;
    const std::uint32_t slot = find(unit);
    if (table_[slot] != none && entries_[table_[slot]].pending && durable == nullptr) {
        entries_[table_[slot]].dropped = false;
        return;  // the new data goes to flash in place of the old
    }
    ++used_;
    const Index index = free_;
    Entry& entry = entries_[index];
    free_ = entry.next;
    entry = Entry{unit, none, first_epoch_ + epochs_.size() - 1, durable, true, false};
    ++epochs_.back();
    table_[slot] = index;
    (head_ == none ? head_ : entries_[tail_].next) = index;
    tail_ = index;
    ++pending_;
    if (durable != nullptr) {
        urgent_ = pending_;
    }
}

void WriteBuffer::drop(Unit first, std::uint64_t count) {
    const auto drop_one = [](Entry& entry) {
        entry.dropped = entry.pending && entry.durable == nullptr;
    };
    if (count > pending_) {
        for (Index index = head_; index != none; index = entries_[index].next) {
            if (entries_[index].unit - first < count) {
                drop_one(entries_[index]);
            }
        }
        return;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
        const Index index = table_[find(first + static_cast<Unit>(i))];
        if (index != none) {
            drop_one(entries_[index]);
        }
    }
}

unsigned WriteBuffer::take(Unit* units, unsigned most, Index& head) {
    head = none;
    Index tail = none;
    unsigned count = 0;
    while (count < most && pending_ > 0) {
        const Index index = head_;
        Entry& entry = entries_[index];
        head_ = entry.next;
        --pending_;
        urgent_ -= urgent_ > 0 ? 1 : 0;
        if (entry.dropped) {
            free(index);
            continue;
        }
        entry.pending = false;
        units[count++] = entry.unit;
        (head == none ? head : entries_[tail].next) = index;
        tail = index;
        entry.next = none;
    }
    return count;
}

WriteBuffer::Index WriteBuffer::release(Index index, SsdCommand*& durable) {
    durable = entries_[index].durable;
    const Index next = entries_[index].next;
    free(index);
    return next;
}

void WriteBuffer::free(Index index) {
    Entry& entry = entries_[index];
    if (table_[find(entry.unit)] == index) {
        forget(entry.unit);
    }
    leave_epoch(entry.epoch);
    entry.next = free_;
    free_ = index;
    --used_;
}

void WriteBuffer::leave_epoch(std::uint64_t epoch) {
    --epochs_[epoch - first_epoch_];
    end_epochs();
}

void WriteBuffer::end_epochs() {
    while (epochs_.size() > 1 && epochs_.front() == 0) {
        epochs_.pop_front();
        ++first_epoch_;
    }
}

std::uint64_t WriteBuffer::flush() {
    const std::uint64_t ticket = first_epoch_ + epochs_.size() - 1;
    urgent_ = pending_;
    epochs_.push_back(0);
    end_epochs();
    return ticket;
}

}  // namespace fusesim::device
