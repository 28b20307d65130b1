#include "device/hdd.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace fusesim::device {

using sim::Time;

namespace {

constexpr std::uint64_t sector_bytes = 512;

/// `span` rounded up to whole multiples of `unit`.
Time whole(Time span, Time unit) {
    return unit * ((span.ps() + unit.ps() - 1) / unit.ps());
}

Time per_sector(config::Bandwidth rate) {
    return Time::from_seconds(static_cast<double>(sector_bytes) / rate.bytes_per_second);
}

}  // namespace

Hdd::Hdd(sim::Engine& engine, std::string name, const HddConfig& config)
    : engine_(engine),
      config_(config),
      layout_(config),
      seek_(config.seek, layout_.cylinders()),
      read_sector_(per_sector(config.interface.read)),
      write_sector_(per_sector(config.interface.write)),
      segment_sectors_(config.buffer.segment_size.count / sector_bytes),
      most_read_ahead_(config.buffer.most_read_ahead.count / sector_bytes),
      slots_(engine, "a place in the queue of " + name, config.queue.depth),
      station_(std::move(name), 1) {
    const unsigned apart = config.buffer.separate_write_segment ? 1 : 0;
    segments_.resize(std::max(1u, config.buffer.segments - apart));
    for (Segment& segment : segments_) {
        by_use_.push_front(segment);
    }
    dirty_.reserve(config.buffer.write_segments);
}

void Hdd::begin_window(Time now) {
    window_ = now;
    station_.begin_window(now);
}

sim::Task<> Hdd::serve(const Io& io) {
    const Time arrived = engine_.now();
    station_.arrive(arrived);
    co_await slots_.take();
    Command command(*this, io);
    co_await command;
    // The drive is busy from when the arms (or the buffer) turned to this command, but not while
    // it still handed the one before to the host.
    const Time now = engine_.now();
    const Time began = std::max({command.began, last_departure_, window_});
    last_departure_ = now;
    station_.begin_service(began, std::min(arrived, began));
    station_.depart(now, arrived, began);
    slots_.give_back();
}

void Hdd::receive(Command& command, const Io& io) {
    command.received = engine_.now();
    command.began = command.received;
    command.sector = io.offset / sector_bytes;
    const std::uint64_t end = (io.offset + io.bytes + sector_bytes - 1) / sector_bytes;
    command.count = static_cast<std::uint32_t>(end - command.sector);
    if (io.kind == Io::Kind::flush) {
        command.work = Work::flush;
        command.count = 0;
    } else if (io.kind == Io::Kind::trim || command.count == 0) {
        command.work = Work::none;
        command.count = 0;
    } else {
        if (end > layout_.sectors()) {
            throw std::out_of_range(fmt::format(
                "{}: a request ends at sector {} of {}", station_.name(), end, layout_.sectors()));
        }
        command.place = layout_.place(command.sector);
        command.work = io.kind == Io::Kind::read               ? Work::read
                       : config_.buffer.write_cache && !io.fua ? Work::write_cached
                                                               : Work::write_through;
    }
}

/// What the controller does before the arms move, or before the buffer answers.
Hdd::Segment* Hdd::prepare(Command& command) {
    const HddController& controller = config_.controller;
    command.after_write = last_wrote_;
    const Time from = std::max(command.received, controller_free_);
    Segment* segment = nullptr;
    switch (command.work) {
        case Work::none:
        case Work::flush:
            command.ready = from + of(controller.read_hit, command);
            break;
        case Work::read:
            segment = find(command.sector);
            command.ready = from + of(controller.read_miss, command);
            break;
        case Work::write_cached:
            command.ready = from + of(controller.write_cached, command);
            break;
        case Work::write_through:
            command.split = controller.phases.split_writes && command.after_write &&
                            command.sector != last_end_;
            command.ready = from + (command.split ? controller.phases.split_command
                                                  : of(controller.write_through, command));
            break;
    }
    command.answer = segment != nullptr ? from + of(controller.read_hit, command) : command.ready;
    controller_free_ = command.answer;
    if (command.count > 0) {
        last_wrote_ = command.work != Work::read;
        last_end_ = command.sector + command.count;
    }
    return segment;
}

void Hdd::submit(Command& command, const Io& io) {
    receive(command, io);
    catch_up(command.received);
    Segment* segment = prepare(command);
    if (command.work == Work::none) {
        command.done = command.ready;
    } else if (segment != nullptr && segment->end >= command.sector + command.count) {
        hit(command, *segment);
    } else if (command.work == Work::write_cached && room_for(command)) {
        write_cached(command);
    } else if (pending_.empty() && (arms_free_ <= command.received || config_.queue.depth == 1)) {
        dispatch(command, segment);
    } else {
        wait_for_arms(command);
        return;
    }
    engine_.schedule(command, command.done);
}

void Hdd::wait_for_arms(Command& command) {
    pending_.push_back(command);
    if (!arms_free_at_.scheduled()) {
        engine_.schedule(arms_free_at_, std::max(arms_free_, engine_.now()));
    }
}

void Hdd::next_command() {
    const Time now = engine_.now();
    while (!pending_.empty() && arms_free_ <= now) {
        Command& command = choose();
        pending_.erase(pending_.iterator_to(command));
        command.began = now;
        Segment* segment = command.work == Work::read ? find(command.sector) : nullptr;
        if (segment != nullptr && segment->end >= command.sector + command.count) {
            hit(command, *segment);
        } else {
            dispatch(command, segment);
        }
        engine_.schedule(command, command.done);
    }
    if (!pending_.empty()) {
        engine_.schedule(arms_free_at_, arms_free_);
    }
}

/// The command whose first sector passes under its head soonest, or the one that came first.
Hdd::Command& Hdd::choose() {
    if (config_.queue.scheduling == HddQueue::Scheduling::fcfs ||
        &pending_.front() == &pending_.back()) {
        return pending_.front();
    }
    const Time now = engine_.now();
    phase_ = layout_.phase(now);
    Command* best = nullptr;
    Time least;
    for (Command& command : pending_) {
        const bool writes_back = command.work == Work::flush || command.work == Work::write_cached;
        const HddPlace* place = &command.place;
        Time wait = std::max(Time(), command.ready - now);
        if (writes_back && !dirty_.empty()) {
            place = &dirty_[nearest_dirty(now)].place;  // at the same phase
            wait = Time();
        }
        const Time time = positioning(*place, command.work != Work::read, wait);
        if (best == nullptr || time < least) {
            best = &command;
            least = time;
        }
    }
    return *best;
}

/// From phase_ on, after waiting so long, until the place passes under its head.
Time Hdd::positioning(const HddPlace& place, bool write, Time wait) const {
    const Time span = wait + move(place, write, true);
    const Time revolution = layout_.revolution();
    Time phase = phase_ + span;
    if (phase >= revolution) {
        phase -= revolution;
        if (phase >= revolution) {
            phase = layout_.phase(phase);
        }
    }
    return span + layout_.latency(place, phase);
}

/// Does what the command needs the arms for; they are free.
void Hdd::dispatch(Command& command, Segment* segment) {
    switch (command.work) {
        case Work::read:
            read(command, segment);
            break;
        case Work::write_through:
            write_through(command);
            break;
        case Work::write_cached:
            // The buffer is full of cached writes: one of them must be on the medium first.
            if (dirty_.size() >= config_.buffer.write_segments) {
                reading_ahead_ = false;
                write_back_next(engine_.now());
            }
            if (!room_for(command)) {
                command.ready = std::max(command.ready, written_back_);
            }
            write_cached(command);
            break;
        case Work::flush:
            reading_ahead_ = false;
            while (!dirty_.empty()) {
                write_back_next(engine_.now());
            }
            command.done = std::max(command.ready, arms_free_);
            break;
        case Work::none:
            command.done = command.ready;
            break;
    }
}

void Hdd::hit(Command& command, Segment& segment) {
    ++counters_.read_hits;
    use(segment);
    const HddController& controller = config_.controller;
    if (!segment.written) {
        const bool ongoing = reading_ahead_ && &segments_[ahead_] == &segment;
        if (ongoing || (config_.buffer.read_ahead_on_hit && pending_.empty())) {
            const std::uint64_t stop = read_ahead_end(command.sector, command.count, segment.first);
            segment.stop = std::max(segment.stop, stop);
            if (!ongoing && segment.stop > segment.end && arms_free_ <= engine_.now() &&
                dirty_.empty()) {
                reading_ahead_ = true;
                ahead_ = static_cast<std::size_t>(&segment - segments_.data());
                ahead_at_ = engine_.now() + of(controller.read_miss, command);
                ahead_place_ = layout_.place(segment.end);
            }
        }
    }
    const Time from =
        std::max({command.answer + controller.data_preparation, host_free_, segment.complete});
    host_free_ = from + read_sector_ * command.count;
    command.done = host_free_ + controller.read_completion;
}

/// A read of which not all is in the buffer; `segment` holds its first part, if any does.
void Hdd::read(Command& command, Segment* segment) {
    ++counters_.read_misses;
    const HddController& controller = config_.controller;
    const std::uint64_t end = command.sector + command.count;
    const Time start = std::max(command.ready, arms_free_);
    Time from;
    std::uint32_t there = 0;  // sectors in the buffer already
    if (segment != nullptr) {
        there = static_cast<std::uint32_t>(segment->end - command.sector);
        const bool ongoing = reading_ahead_ && &segments_[ahead_] == segment;
        read_medium(ongoing ? ahead_at_ : start,
                    ongoing ? ahead_place_ : layout_.place(segment->end),
                    segment->end,
                    command.count - there,
                    !ongoing);
        from = std::max(command.answer + controller.data_preparation, segment->complete);
    } else {
        read_medium(start, command.place, command.sector, command.count, true);
        const auto share = static_cast<std::uint32_t>(
            config_.buffer.read_watermark.value *
            static_cast<double>(std::min<std::uint64_t>(segment_sectors_, command.count)));
        const Time disconnected = command.ready + of(controller.phases.read_disconnect, command);
        from = std::max(available(std::max(1u, share)), disconnected) + controller.phases.reselect +
               controller.data_preparation;
        segment = &add_segment(false);
        segment->first = command.sector;
        if (config_.buffer.free_reads) {
            segment->first -= std::min<std::uint64_t>(passed_, segment_sectors_ - 1);
        }
    }
    host_free_ = to_host(std::max(from, host_free_), there);
    command.done = host_free_ + controller.read_completion;

    segment->end = end;
    segment->complete = arms_free_;
    segment->written = false;
    if (segment->end - segment->first > segment_sectors_) {
        segment->first = segment->end - segment_sectors_;
    }
    segment->stop = read_ahead_end(command.sector, command.count, segment->first);
    use(*segment);
    reading_ahead_ = segment->stop > end;
    ahead_ = static_cast<std::size_t>(segment - segments_.data());
    ahead_at_ = arms_free_;
    ahead_place_ = behind_;
}

bool Hdd::room_for(const Command& command) const {
    const std::size_t on_its_way = written_back_ > engine_.now() ? 1 : 0;
    if (dirty_.size() + on_its_way < config_.buffer.write_segments) {
        return true;
    }
    if (dirty_.empty()) {
        return false;
    }
    const Dirty& last = dirty_.back();
    return last.first + last.count == command.sector &&
           last.count + command.count <= segment_sectors_;
}

/// The host's data go into the buffer, and to the medium some time later.
void Hdd::write_cached(Command& command) {
    ++counters_.cached_writes;
    const HddController& controller = config_.controller;
    const std::uint64_t end = command.sector + command.count;
    const Time from = std::max(command.ready + controller.data_preparation, host_free_);
    host_free_ = from + write_sector_ * command.count;
    command.done = host_free_ + controller.write_completion;

    Dirty* last = dirty_.empty() ? nullptr : &dirty_.back();
    if (last != nullptr && last->first <= command.sector && last->first + last->count >= end) {
        // The same sectors again: one write of them is enough.
    } else if (last != nullptr && last->first + last->count == command.sector &&
               last->count + command.count <= segment_sectors_) {
        last->count += command.count;
    } else {
        Dirty dirty;
        dirty.first = command.sector;
        dirty.count = command.count;
        dirty.ready = command.ready;
        dirty.data_from = from;
        dirty.place = command.place;
        dirty_.push_back(dirty);
    }
    reading_ahead_ = false;
    drop_overlapping(command.sector, end);
    if (!config_.buffer.separate_write_segment) {
        Segment* before = command.sector > 0 ? find(command.sector - 1) : nullptr;
        if (before == nullptr || !before->written || before->end != command.sector) {
            before = &add_segment(true);
            before->first = command.sector;
        }
        before->end = end;
        if (before->end - before->first > segment_sectors_) {
            before->first = before->end - segment_sectors_;
        }
        use(*before);
    }
}

/// A write that ends when the medium has it.
void Hdd::write_through(Command& command) {
    const HddController& controller = config_.controller;
    const HddBusPhases& phases = controller.phases;
    reading_ahead_ = false;
    Time start = std::max(command.ready, arms_free_);
    Time data = std::max(command.ready + controller.data_preparation, host_free_);
    Time disconnect = phases.write_disconnect;
    Time reselect = phases.reselect;
    if (command.split) {
        start = std::max(command.ready + phases.split_seek_delay, arms_free_);
        data = std::max(command.ready + phases.split_disconnect + phases.split_pause +
                            phases.reselect + controller.data_preparation,
                        host_free_);
        disconnect = phases.split_second_disconnect;
        reselect = phases.reselect_again;
    }
    host_free_ = data + write_sector_ * command.count;
    arms_free_ = write_medium(start, command.place, command.sector, command.count, data);
    command.done =
        std::max(arms_free_, host_free_ + disconnect) + reselect + controller.write_completion;
    drop_overlapping(command.sector, command.sector + command.count);
    if (!config_.buffer.separate_write_segment) {
        Segment& segment = add_segment(true);
        segment.end = command.sector + command.count;
        segment.first = segment.end - std::min<std::uint64_t>(command.count, segment_sectors_);
        use(segment);
    }
}

/// How long the arms take to another track; `first` of a command, not along the way.
Time Hdd::move(const HddPlace& to, bool write, bool first) const {
    const HddSeek& seek = config_.seek;
    const std::uint32_t distance =
        to.cylinder > cylinder_ ? to.cylinder - cylinder_ : cylinder_ - to.cylinder;
    const bool other_head = to.head != head_;
    Time time = distance > 0 ? seek_.time(distance) : Time();
    if (other_head) {
        time = std::max(time, seek.head_switch);
        if (first && distance == 0) {
            time = std::max(time, seek.settle);
        }
    }
    if (write) {
        if (time > Time()) {
            time += seek.write_settle;
        }
        if (first) {
            time = std::max(time, seek.least_write_seek);
        }
    }
    return time;
}

/// Moves to the sectors and reads them: fills pieces_, and moves the arms on in place and time.
void Hdd::read_medium(
    Time at, HddPlace place, std::uint64_t sector, std::uint32_t count, bool first_of_command) {
    pieces_.clear();
    for (;;) {
        const std::uint32_t sectors = std::min(count, place.left);
        const Time landed = at + move(place, false, first_of_command);
        const Time wait = layout_.latency(place, layout_.phase(landed));
        if (config_.buffer.free_reads && pieces_.empty()) {
            passed_ = std::min(place.passed_in(wait), place.in_track);
        }
        Piece piece;
        piece.begin = landed + wait;
        piece.one = place.pass(1);
        piece.sectors = sectors;
        piece.late = sectors;
        if (config_.buffer.zero_latency) {
            const Time ago = layout_.revolution() - wait;
            if (ago < place.pass(sectors)) {
                // It landed within: the rest of the track's part first, its beginning afterwards.
                piece.late = std::min(sectors, place.passed_in(ago) + 1);
            }
        }
        piece.last = piece.begin + place.pass(piece.late);
        pieces_.push_back(piece);
        at = piece.last;
        cylinder_ = place.cylinder;
        head_ = place.head;
        place = layout_.beyond(place, sector, sectors);
        sector += sectors;
        count -= sectors;
        first_of_command = false;
        if (count == 0) {
            break;
        }
    }
    arms_free_ = at;
    behind_ = place;
}

/// When the first `count` sectors of pieces_ are in the buffer.
Time Hdd::available(std::uint32_t count) const {
    Time at;
    for (const Piece& piece : pieces_) {
        const std::uint32_t wanted = std::min(count, piece.sectors);
        at = std::max(at, wanted < piece.late ? piece.begin + piece.one * wanted : piece.last);
        count -= wanted;
        if (count == 0) {
            break;
        }
    }
    return at;
}

/// The end of a transfer that begins at `from`: `there` sectors are in the buffer, the others come
/// as pieces_ say; each crosses when it is there and the one before has crossed.
Time Hdd::to_host(Time from, std::uint32_t there) const {
    Time end = from + read_sector_ * there;
    for (const Piece& piece : pieces_) {
        // The later of three: the way was busy, or waited for the first sector, or for the last.
        end = std::max({end + read_sector_ * piece.sectors,
                        piece.begin + piece.one + read_sector_ * piece.sectors,
                        piece.last + read_sector_ * (piece.sectors - piece.late + 1)});
    }
    return end;
}

/// Moves to the sectors and writes them; their data arrive one after the other from `data_from`
/// on. A sector whose data are late waits for the next revolution.
Time Hdd::write_medium(
    Time at, HddPlace place, std::uint64_t sector, std::uint32_t count, Time data_from) {
    ++counters_.media_writes;
    const HddBuffer& buffer = config_.buffer;
    const bool is_long = buffer.long_write > 0 && count >= buffer.long_write;
    const std::uint32_t enough =
        std::min(count, is_long ? buffer.long_write_start : buffer.write_start);
    const Time revolution = layout_.revolution();
    const Time all_data = data_from + write_sector_ * count;
    std::uint32_t written = 0;
    for (;;) {
        std::uint32_t here = std::min(count - written, place.left);
        const std::uint32_t end = written + here;
        const Time landed = at + move(place, true, written == 0);
        const Time wait = layout_.latency(place, layout_.phase(landed));
        at = landed + wait;
        cylinder_ = place.cylinder;
        head_ = place.head;
        const Time ago = revolution - wait;
        if (at >= all_data) {
            const bool within = buffer.zero_latency && landed >= all_data && ago < place.pass(here);
            at += place.pass(within ? std::min(here, place.passed_in(ago) + 1) : here);
            here = 0;
        }
        while (here > 0) {
            const Time needed =
                data_from + write_sector_ * std::max<std::int64_t>(enough, end - here + 1);
            if (at < needed) {
                at += whole(needed - at, revolution);
            }
            std::uint32_t now = here;
            if (write_sector_ > place.pass(1) && at < all_data) {
                const Time ahead = at - (data_from + write_sector_ * (end - here + 1));
                const std::int64_t in_time = ahead.ps() / (write_sector_ - place.pass(1)).ps() + 1;
                now = static_cast<std::uint32_t>(std::min<std::int64_t>(here, in_time));
            }
            at += place.pass(now);
            here -= now;
        }
        if (end == count) {
            return at;
        }
        place = layout_.beyond(place, sector + written, end - written);
        written = end;
    }
}

/// What the drive did by itself until now.
void Hdd::catch_up(Time now) {
    while (!dirty_.empty()) {
        if (write_back_time() >= now || !pending_.empty()) {
            return;
        }
        write_back_next(Time());
    }
    read_ahead(now);
}

/// When the arms could begin with a cached write: the first one came first.
Time Hdd::write_back_time() const {
    return std::max(dirty_.front().ready, arms_free_);
}

/// The cached write that is nearest goes to the medium, not before `earliest`.
void Hdd::write_back_next(Time earliest) {
    const Time at = std::max(earliest, write_back_time());
    const auto nearest = dirty_.begin() + static_cast<std::ptrdiff_t>(nearest_dirty(at));
    const Dirty dirty = *nearest;
    dirty_.erase(nearest);
    arms_free_ = write_medium(at, dirty.place, dirty.first, dirty.count, dirty.data_from);
    written_back_ = arms_free_;
}

std::size_t Hdd::nearest_dirty(Time at) {
    phase_ = layout_.phase(at);
    std::size_t best = 0;
    Time least = Time::max();
    for (std::size_t i = 0; i < dirty_.size() && dirty_[i].ready <= at; ++i) {
        const Time time = positioning(dirty_[i].place, true, Time());
        if (time < least) {
            least = time;
            best = i;
        }
    }
    return best;
}

/// Fills the segment that is read ahead with what passed under the head until then.
void Hdd::read_ahead(Time until) {
    if (!reading_ahead_ || until <= ahead_at_) {
        return;
    }
    Segment& segment = segments_[ahead_];
    for (;;) {
        const HddPlace& place = ahead_place_;
        const Time landed = ahead_at_ + move(place, false, false);
        const Time begin = landed + layout_.latency(place, layout_.phase(landed));
        const auto wanted = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(place.left, segment.stop - segment.end));
        std::uint32_t read = wanted;
        if (begin + place.pass(wanted) > until) {
            read = begin < until ? place.passed_in(until - begin) : 0;
        }
        if (read == 0) {
            return;
        }
        cylinder_ = place.cylinder;
        head_ = place.head;
        ahead_at_ = begin + place.pass(read);
        const std::uint64_t from = segment.end;
        segment.end += read;
        if (segment.end - segment.first > segment_sectors_) {
            segment.first = segment.end - segment_sectors_;
        }
        if (segment.end == segment.stop) {
            reading_ahead_ = false;
            return;
        }
        ahead_place_ = layout_.beyond(place, from, read);
        if (read < wanted) {
            return;
        }
    }
}

/// Where the read-ahead after a read ends; `first` is the first sector of its segment.
std::uint64_t Hdd::read_ahead_end(std::uint64_t sector,
                                  std::uint64_t count,
                                  std::uint64_t first) const {
    const std::uint64_t end = sector + count;
    std::uint64_t stop = end;
    switch (config_.buffer.read_ahead) {
        case HddBuffer::ReadAhead::none:
            break;
        case HddBuffer::ReadAhead::track:
            if (end < layout_.sectors()) {
                // A stream that came from the track before gets the next one as well.
                const HddPlace place = layout_.place(end);
                const std::uint64_t track = end - place.in_track;
                stop = end + place.left + (first < track ? place.in_track + place.left : 0);
            }
            break;
        case HddBuffer::ReadAhead::segment:
            // A request that fills the segment leaves all of it free once the host has it.
            stop = most_read_ahead_ > 0       ? end + most_read_ahead_
                   : count < segment_sectors_ ? sector + segment_sectors_
                                              : end + segment_sectors_;
            break;
    }
    return std::min(stop, layout_.sectors());
}

/// The segment that holds the sector, or is about to; the one used last if several do.
Hdd::Segment* Hdd::find(std::uint64_t sector) {
    if (reading_ahead_ && config_.buffer.almost_hits && segments_[ahead_].end == sector) {
        return &segments_[ahead_];
    }
    for (Segment& segment : by_use_) {
        // One comparison: below `first` the difference is enormous.
        if (sector - segment.first < segment.end - segment.first) {
            return &segment;
        }
    }
    return nullptr;
}

/// A segment for something new: the one that has not been used for longest.
Hdd::Segment& Hdd::add_segment(bool written) {
    Segment& segment = by_use_.back();
    segment.first = 0;
    segment.end = 0;
    segment.stop = 0;
    segment.complete = Time();
    segment.written = written;
    return segment;
}

void Hdd::drop_overlapping(std::uint64_t first, std::uint64_t end) {
    for (Segment& segment : segments_) {
        if (segment.first < end && first < segment.end) {
            segment.end = segment.first;
            by_use_.splice(by_use_.end(), by_use_, by_use_.iterator_to(segment));
        }
    }
}

void Hdd::use(Segment& segment) {
    by_use_.splice(by_use_.begin(), by_use_, by_use_.iterator_to(segment));
}

}  // namespace fusesim::device
