#include "device/ssd.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace fusesim::device {

using sim::Time;

namespace {

Time transfer_time(std::uint32_t bytes, config::Bandwidth bandwidth) {
    return Time::from_seconds(bytes / bandwidth.bytes_per_second);
}

// Writes go into the buffer in pieces of this size, so that several share it.
constexpr std::uint32_t most_chunk_bytes = 128 << 10;

}  // namespace

void SsdCommand::await_suspend(std::coroutine_handle<> handle) {
    process = ssd.engine_.current();
    process->waiting_for = &ssd.name_in_reports_;
    process->since = ssd.engine_.now();
    resumable.suspend(ssd.engine_, handle);
    ssd.submit(*this);
}

void SsdCommand::fire() {
    if (phase == Phase::finished) {
        ssd.complete(*this);
    } else {
        ssd.run(*this);
    }
}

Ssd::Ssd(sim::Engine& engine, std::string name, const SsdConfig& config, std::uint64_t seed)
    : engine_(engine),
      config_(config),
      station_(name, config.queues * config.queue_depth),
      name_in_reports_(engine, std::move(name)),
      array_(engine, config_, seed, *this),
      buffer_(static_cast<std::uint32_t>(config.write_buffer.count / config.unit.count)),
      queues_(config.queues),
      controller_(*this),
      to_host_(*this),
      from_host_(*this),
      row_units_(config.shape().row_units),
      // Half of the buffer at most: a row that is not full may stay in it for ever.
      chunk_units_(std::clamp(static_cast<std::uint32_t>(most_chunk_bytes / config.unit.count),
                              1u,
                              buffer_.capacity() / 2)) {
    row_.resize(row_units_);
}

sim::Task<> Ssd::serve(const Io& io) {
    SsdCommand command(*this, io);
    co_await command;
}

void Ssd::submit(SsdCommand& command) {
    if (command.io.offset + command.io.bytes > config_.capacity.count) {
        throw std::out_of_range(fmt::format("{}: {} bytes at {} are beyond its capacity of {}",
                                            station_.name(),
                                            command.io.bytes,
                                            command.io.offset,
                                            config_.capacity.count));
    }
    array_.ftl().prefetch(static_cast<Ftl::Unit>(command.io.offset / config_.unit.count));
    command.arrived = engine_.now();
    station_.arrive(command.arrived);
    command.queue = command.io.stream % static_cast<std::uint32_t>(queues_.size());
    HostQueue& queue = queues_[command.queue];
    if (queue.in_drive < config_.queue_depth) {
        accept(command);
    } else {
        queue.waiting.push(command);
    }
}

void Ssd::accept(SsdCommand& command) {
    ++queues_[command.queue].in_drive;
    command.began = engine_.now();
    station_.begin_service(command.began, command.arrived);
    if (in_drive_++ == 0 && array_.quiet()) {
        const Time alone = command.began - std::max(left_alone_, array_.quiet_since());
        if (alone > config_.slc_cache.idle) {
            array_.spend_idle(alone - config_.slc_cache.idle);
        }
    }
    // While others wait for the firmware, so does this one.
    if (controller_.turns.empty() && controller_.free <= command.began) {
        fetch(command);
        return;
    }
    HostQueue& queue = queues_[command.queue];
    if (queue.submitted.empty()) {
        controller_.turns.push(queue);
    }
    queue.submitted.push(command);
    if (!controller_.scheduled()) {
        engine_.schedule(controller_, controller_.free);
    }
}

void Ssd::fetch_next() {
    HostQueue& queue = controller_.turns.pop();
    SsdCommand& command = queue.submitted.pop();
    if (!queue.submitted.empty()) {
        controller_.turns.push(queue);
    }
    fetch(command);
    if (!controller_.turns.empty() && !controller_.scheduled()) {
        engine_.schedule(controller_, controller_.free);
    }
}

void Ssd::fetch(SsdCommand& command) {
    const Io& io = command.io;
    const SsdControllerConfig& costs = config_.controller;
    Time cost;
    Time latency;
    if (io.kind == Io::Kind::read) {
        cost = costs.read;
        latency = costs.read_latency;
    } else if (io.kind == Io::Kind::write) {
        const bool continues = io.offset == controller_.write_end || costs.random_write == Time();
        cost = continues ? costs.write : costs.random_write;
        controller_.write_end = io.offset + io.bytes;
    }
    controller_.free = engine_.now() + cost;
    controller_.busy += cost;
    if (cost + latency == Time()) {
        run(command);
    } else {
        engine_.schedule(command, controller_.free + latency);
    }
}

void Ssd::run(SsdCommand& command) {
    const Io& io = command.io;
    const std::uint64_t unit_bytes = config_.unit.count;
    command.unit = static_cast<WriteBuffer::Unit>(io.offset / unit_bytes);
    command.bytes = io.bytes;
    command.units = io.bytes == 0 ? 0
                                  : static_cast<std::uint32_t>(
                                        (io.offset + io.bytes - 1) / unit_bytes - command.unit + 1);
    if (io.kind == Io::Kind::flush) {
        flush(command);
    } else if (command.units == 0) {
        finish(command, Time());
    } else if (io.kind == Io::Kind::trim) {
        trim(command);
    } else if (io.kind == Io::Kind::read) {
        read_units(command);
    } else if (!read_partial_units(command)) {
        write_chunk(command);
    }
}

FlashTransfer& Ssd::new_transfer(SsdCommand& command) {
    FlashTransfer& transfer =
        free_transfers_.empty() ? transfers_.emplace_back() : free_transfers_.pop();
    transfer.command = &command;
    transfer.units = 0;
    return transfer;
}

/// Asks the dies for what lies on flash, a row at a time; what does not goes to the host at once.
void Ssd::read_units(SsdCommand& command) {
    command.phase = SsdCommand::Phase::transfer;
    FlashTransfer* row = nullptr;
    FlashTransfer* at_hand = nullptr;
    Ftl::Place last;
    for (std::uint32_t i = 0; i < command.units; ++i) {
        const WriteBuffer::Unit unit = command.unit + i;
        Ftl::Place place;
        if (buffer_.holds(unit) || !array_.ftl().find(unit, place)) {
            if (at_hand == nullptr) {
                at_hand = &new_transfer(command);
                ++command.outstanding;
            }
            ++at_hand->units;
            continue;
        }
        if (row == nullptr || place.die != last.die || place.row != last.row) {
            if (row != nullptr) {
                array_.read(*row);
            }
            row = &new_transfer(command);
            row->die = place.die;
            row->slc = place.slc;
            ++command.outstanding;
            last = place;
        }
        ++row->units;
    }
    if (row != nullptr) {
        array_.read(*row);
    }
    if (at_hand != nullptr) {
        carry(*at_hand);
    }
}

/// A unit of which a write changes only part is read first. True if there is one.
bool Ssd::read_partial_units(SsdCommand& command) {
    const std::uint64_t begin = command.io.offset;
    const std::uint64_t end = begin + command.io.bytes;
    const std::uint32_t last = command.units - 1;
    const bool head = begin % config_.unit.count != 0;
    const bool tail = end % config_.unit.count != 0 && (last > 0 || !head);
    command.phase = SsdCommand::Phase::partial_units;
    for (const auto& [partial, unit] :
         {std::pair(head, command.unit), std::pair(tail, command.unit + last)}) {
        Ftl::Place place;
        if (partial && !buffer_.holds(unit) && array_.ftl().find(unit, place)) {
            FlashTransfer& transfer = new_transfer(command);
            transfer.die = place.die;
            transfer.slc = place.slc;
            transfer.units = 1;
            ++command.outstanding;
            array_.read(transfer);
        }
    }
    return command.outstanding > 0;
}

void Ssd::was_read(FlashTransfer& transfer) {
    SsdCommand& command = *transfer.command;
    if (command.phase == SsdCommand::Phase::transfer) {
        carry(transfer);
        return;
    }
    free_transfers_.push(transfer);
    if (--command.outstanding == 0) {
        write_chunk(command);
    }
}

void Ssd::carry(FlashTransfer& transfer) {
    SsdCommand& command = *transfer.command;
    transfer.bytes = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(transfer.units * config_.unit.count, command.bytes));
    command.bytes -= transfer.bytes;
    const bool both = config_.interface == SsdConfig::Interface::nvme;
    Link& link = both && command.io.kind == Io::Kind::write ? from_host_ : to_host_;
    if (link.current != nullptr) {
        link.queue.push(transfer);
    } else {
        start_carrying(link, transfer);
    }
}

void Ssd::start_carrying(Link& link, FlashTransfer& transfer) {
    SsdCommand& command = *transfer.command;
    const bool read = command.io.kind == Io::Kind::read;
    Time span = transfer_time(transfer.bytes, read ? config_.link.read : config_.link.write);
    if (command.first_transfer) {
        command.first_transfer = false;
        span += read ? config_.link.read_command : config_.link.write_command;
    }
    link.current = &transfer;
    link.busy += span;
    engine_.schedule(link, engine_.now() + span);
}

void Ssd::carried(Link& link) {
    FlashTransfer& transfer = *link.current;
    SsdCommand& command = *transfer.command;
    link.current = nullptr;
    if (!link.queue.empty()) {
        start_carrying(link, link.queue.pop());
    }
    if (command.io.kind == Io::Kind::write) {
        write_arrived(command);
        return;
    }
    free_transfers_.push(transfer);
    if (--command.outstanding == 0) {
        complete(command);
    }
}

/// Fetches the next piece of a write from the host as soon as the buffer has room for it.
void Ssd::write_chunk(SsdCommand& command) {
    command.phase = SsdCommand::Phase::transfer;
    const std::uint32_t wanted = std::min(command.units, chunk_units_);
    if (!waiting_for_buffer_.empty() || buffer_.room() < wanted) {
        waiting_for_buffer_.push(command);
    } else {
        start_chunk(command);
    }
}

void Ssd::start_chunk(SsdCommand& command) {
    const std::uint32_t wanted = std::min(command.units, chunk_units_);
    buffer_.reserve(wanted);
    command.chunk.command = &command;
    command.chunk.units = wanted;
    carry(command.chunk);
}

void Ssd::write_arrived(SsdCommand& command) {
    const bool durable = command.io.fua && config_.volatile_buffer;
    for (std::uint32_t i = 0; i < command.chunk.units; ++i) {
        buffer_.insert(command.unit++, durable ? &command : nullptr);
    }
    command.units -= command.chunk.units;
    command.outstanding += durable ? command.chunk.units : 0;
    if (command.units > 0) {
        write_chunk(command);
    } else if (!durable) {
        finish(command, config_.controller.write_latency);
    }
    dispatch();
}

/// Sends full rows from the buffer to the dies, and others when somebody waits for them.
void Ssd::dispatch() {
    std::uint32_t die = 0;
    while ((buffer_.pending() >= row_units_ || buffer_.urgent() > 0) && array_.choose(die)) {
        WriteBuffer::Index entries = WriteBuffer::none;
        const unsigned count = buffer_.take(row_.data(), row_units_, entries);
        if (count > 0) {
            array_.write(die, row_.data(), count, entries);
        }
    }
    while (!waiting_for_buffer_.empty() &&
           buffer_.room() >= std::min(waiting_for_buffer_.front().units, chunk_units_)) {
        start_chunk(waiting_for_buffer_.pop());
    }
    end_flushes();
}

void Ssd::was_written(FlashRow& row) {
    for (WriteBuffer::Index entry = row.entries; entry != WriteBuffer::none;) {
        SsdCommand* durable = nullptr;
        entry = buffer_.release(entry, durable);
        if (durable != nullptr && --durable->outstanding == 0 && durable->units == 0) {
            finish(*durable, config_.controller.write_latency);
        }
    }
}

void Ssd::flush(SsdCommand& command) {
    if (!config_.volatile_buffer) {
        finish(command, config_.controller.flush_latency);
        return;
    }
    command.flush_ticket = buffer_.flush();
    flushes_.push(command);
    dispatch();
}

void Ssd::end_flushes() {
    while (!flushes_.empty() && buffer_.done(flushes_.front().flush_ticket)) {
        finish(flushes_.pop(), config_.controller.flush_latency);
    }
}

/// Only whole units are forgotten.
void Ssd::trim(SsdCommand& command) {
    const std::uint64_t unit = config_.unit.count;
    const std::uint64_t end = command.io.offset + command.io.bytes;
    const std::uint64_t first = (command.io.offset + unit - 1) / unit;
    const std::uint64_t behind = end == config_.capacity.count ? config_.units() : end / unit;
    if (behind > first) {
        buffer_.drop(static_cast<WriteBuffer::Unit>(first), behind - first);
        array_.ftl().trim(static_cast<WriteBuffer::Unit>(first), behind - first);
    }
    finish(command, config_.controller.trim_latency);
}

void Ssd::finish(SsdCommand& command, Time latency) {
    if (latency == Time()) {
        complete(command);
        return;
    }
    command.phase = SsdCommand::Phase::finished;
    engine_.schedule(command, engine_.now() + latency);
}

void Ssd::complete(SsdCommand& command) {
    const Time now = engine_.now();
    station_.depart(now, command.arrived, command.began);
    if (--in_drive_ == 0) {
        left_alone_ = now;
    }
    HostQueue& queue = queues_[command.queue];
    --queue.in_drive;
    engine_.make_ready(command.resumable);
    if (!queue.waiting.empty()) {
        accept(queue.waiting.pop());
    }
}

void Ssd::begin_window(Time now) {
    station_.begin_window(now);
    array_.begin_window(now);
    controller_.busy = Time();
    to_host_.busy = Time();
    from_host_.busy = Time();
    window_ = now;
}

std::vector<Usage> Ssd::usage(Time now) const {
    const double span = (now - window_).seconds();
    const auto share = [span](Time busy) { return span > 0 ? busy.seconds() / span : 0; };
    std::vector<Usage> parts;
    parts.push_back({"controller", share(controller_.busy)});
    if (config_.interface == SsdConfig::Interface::nvme) {
        parts.push_back({"link to host", share(to_host_.busy)});
        parts.push_back({"link from host", share(from_host_.busy)});
    } else {
        parts.push_back({"link", share(to_host_.busy)});
    }
    parts.push_back({"channels", array_.channel_utilisation(now)});
    parts.push_back({"dies", array_.die_utilisation(now)});
    return parts;
}

}  // namespace fusesim::device
