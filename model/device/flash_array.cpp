#include "device/flash_array.h"

#include <utility>

namespace fusesim::device {

using sim::Time;

namespace {

// One row being programmed and one behind it keep a die busy; more would only wait.
constexpr std::uint32_t rows_per_die = 2;

}  // namespace

FlashArray::FlashArray(sim::Engine& engine,
                       const SsdConfig& config,
                       std::uint64_t seed,
                       Client& client)
    : engine_(engine),
      config_(config),
      client_(client),
      ftl_(config.shape(), config.units(), config.precondition, seed),
      dies_(config.shape().dies),
      channels_(config.flash.channels),
      rows_(dies_.size() * rows_per_die),
      unit_transfer_(Time::from_seconds(static_cast<double>(config.unit.count) /
                                        config.flash.channel.bytes_per_second)) {
    for (std::uint32_t i = 0; i < dies_.size(); ++i) {
        dies_[i].array = this;
        dies_[i].number = i;
    }
    for (Channel& channel : channels_) {
        channel.array = this;
    }
    for (FlashRow& row : rows_) {
        free_rows_.push(row);
    }
}

void FlashArray::read(FlashTransfer& transfer) {
    Die& die = dies_[transfer.die];
    die.reads.push(transfer);
    if (die.work == Work::none) {
        start(die);
    }
}

bool FlashArray::choose(std::uint32_t& number) {
    for (std::size_t tried = 0; tried < dies_.size(); ++tried) {
        const std::uint32_t candidate = next_die_;
        next_die_ = next_die_ + 1 == dies_.size() ? 0 : next_die_ + 1;
        if (dies_[candidate].waiting_rows < rows_per_die && ftl_.accepts(candidate)) {
            number = candidate;
            return true;
        }
    }
    return false;
}

void FlashArray::write(std::uint32_t number,
                       const Ftl::Unit* units,
                       unsigned count,
                       WriteBuffer::Index entries) {
    Die& die = dies_[number];
    FlashRow& row = free_rows_.pop();
    row.entries = entries;
    row.units = count;
    row.slc = ftl_.write(number, units, count);
    if (!row.slc && ftl_.low(number)) {
        die.debt += ftl_.pace(number).valid;
    }
    die.rows.push(row);
    ++die.waiting_rows;
    if (die.work == Work::none) {
        start(die);
    }
}

void FlashArray::begin(Die& die, Work work) {
    die.work = work;
    die.began = engine_.now();
    die.passed = work == Work::read ? die.passed : 0;
    ++working_dies_;
}

void FlashArray::on_cells(Die& die, Time span) {
    engine_.schedule(die, engine_.now() + span);
}

// Simplified: a die has one register, so it neither reads ahead nor takes in the next row while it
// works on its cells.
void FlashArray::on_channel(Die& die, std::uint32_t units) {
    Channel& channel = channels_[die.number % channels_.size()];
    die.transfer = unit_transfer_ * units;
    if (channel.current != nullptr) {
        channel.queue.push(die);
        return;
    }
    channel.current = &die;
    channel.busy += die.transfer;
    engine_.schedule(channel, engine_.now() + die.transfer);
}

void FlashArray::transferred(Channel& channel) {
    Die& die = *channel.current;
    channel.current = nullptr;
    if (!channel.queue.empty()) {
        Die& next = channel.queue.pop();
        channel.current = &next;
        channel.busy += next.transfer;
        engine_.schedule(channel, engine_.now() + next.transfer);
    }
    if (die.work == Work::read || die.work == Work::move_out) {
        finish(die);
    } else {
        program(die);
    }
}

void FlashArray::program(Die& die) {
    const bool slc = die.work == Work::write && die.writing->slc;
    on_cells(die, slc ? config_.slc_cache.program : config_.flash.program);
}

/// What an idle die does next.
void FlashArray::start(Die& die) {
    const bool writes =
        !die.rows.empty() || die.move.units > 0 || die.erases > 0 || ftl_.exhausted(die.number);
    if (!die.reads.empty() && (!writes || die.passed < config_.flash.reads_first)) {
        die.passed += writes ? 1 : 0;
        start_read(die);
    } else if (start_move(die)) {
        return;
    } else if (!die.rows.empty() && take_power(die)) {
        begin(die, Work::write);
        die.writing = &die.rows.pop();
        on_channel(die, die.writing->units);
    } else if (!die.reads.empty()) {
        start_read(die);
    }
}

void FlashArray::start_read(Die& die) {
    begin(die, Work::read);
    die.reading = &die.reads.pop();
    on_cells(die, die.reading->slc ? config_.slc_cache.read : config_.flash.read);
}

/// Garbage collection: a row of valid data is read, then programmed elsewhere; the blocks that this
/// emptied are erased.
bool FlashArray::start_move(Die& die) {
    if (die.move.units == 0 && die.erases == 0) {
        if (!ftl_.low(die.number)) {
            return false;
        }
        const Ftl::Pace pace = ftl_.pace(die.number);
        const bool owed = die.debt >= pace.invalid;
        if (!owed && !ftl_.exhausted(die.number)) {
            return false;
        }
        die.debt -= owed ? pace.invalid : 0;
        die.move = ftl_.collect(die.number);
        if (die.move.units > 0) {
            // Simplified: all rows are read before the channel is asked for, and no host read
            // comes in between.
            begin(die, Work::move_out);
            on_cells(die, config_.flash.read * die.move.rows_read);
            return true;
        }
        die.erases = std::exchange(die.move.erased, 0);
    }
    if (die.move.units > 0) {
        if (!take_power(die)) {
            return false;
        }
        begin(die, Work::move_in);
        on_channel(die, die.move.units);
        return true;
    }
    if (die.erases > 0) {
        begin(die, Work::erase);
        on_cells(die, config_.flash.erase);
        return true;
    }
    return false;
}

void FlashArray::cells_done(Die& die) {
    switch (die.work) {
        case Work::read:
            on_channel(die, die.reading->units);
            break;
        case Work::move_out:
            on_channel(die, die.move.units);
            break;
        default:
            finish(die);
            break;
    }
}

void FlashArray::finish(Die& die) {
    const Work work = std::exchange(die.work, Work::none);
    const Time now = engine_.now();
    die_busy_ += now - die.began;
    if (--working_dies_ == 0) {
        quiet_since_ = now;
    }
    switch (work) {
        case Work::read:
            client_.was_read(*die.reading);
            break;
        case Work::write:
            give_power();
            --die.waiting_rows;
            client_.was_written(*die.writing);
            free_rows_.push(*die.writing);
            client_.can_write();
            break;
        case Work::move_in:
            give_power();
            die.erases += die.move.erased;
            die.move = {};
            break;
        case Work::erase:
            --die.erases;
            client_.can_write();
            break;
        case Work::move_out:
        case Work::none:
            break;
    }
    if (die.work == Work::none) {
        start(die);
    }
}

bool FlashArray::take_power(Die& die) {
    if (config_.flash.programming_dies == 0 || programming_ < config_.flash.programming_dies) {
        ++programming_;
        return true;
    }
    if (!die.waits_for_power) {
        die.waits_for_power = true;
        power_.push(die);
    }
    return false;
}

void FlashArray::give_power() {
    --programming_;
    // A die that was busy meanwhile asks again when it is done.
    while (!power_.empty() && programming_ < config_.flash.programming_dies) {
        Die& die = power_.pop();
        die.waits_for_power = false;
        if (die.work == Work::none) {
            start(die);
        }
    }
}

Time FlashArray::time_of(const Ftl::Move& move) const {
    const Time program =
        move.units > 0 ? config_.flash.program + unit_transfer_ * (2 * move.units) : Time();
    return program + config_.flash.read * move.rows_read + config_.flash.erase * move.erased;
}

// Simplified: what the firmware tidies up in a pause is done when the pause is over, as far as it
// would have got; no command ever finds it at work.
void FlashArray::spend_idle(Time span) {
    for (const Die& die : dies_) {
        for (Time spent; spent < span;) {
            const Ftl::Move move =
                ftl_.low(die.number) ? ftl_.collect(die.number) : ftl_.evict(die.number);
            if (move.units == 0 && move.erased == 0) {
                break;
            }
            spent += time_of(move);
        }
    }
}

void FlashArray::begin_window(Time now) {
    window_ = now;
    die_busy_ = Time();
    for (Channel& channel : channels_) {
        channel.busy = Time();
    }
    ftl_.reset_counters();
}

double FlashArray::die_utilisation(Time now) const {
    const double span = (now - window_).seconds() * static_cast<double>(dies_.size());
    return span > 0 ? die_busy_.seconds() / span : 0;
}

double FlashArray::channel_utilisation(Time now) const {
    double busy = 0;
    for (const Channel& channel : channels_) {
        busy += channel.busy.seconds();
    }
    const double span = (now - window_).seconds() * static_cast<double>(channels_.size());
    return span > 0 ? busy / span : 0;
}

}  // namespace fusesim::device
