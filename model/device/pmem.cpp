#include "device/pmem.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace fusesim::device {

using namespace sim::literals;
using config::Bytes;
using sim::Time;

void bind(config::Map& map, PmemConfig& config) {
    const Bytes most{std::uint64_t{1} << 50};
    map.field("capacity", config.capacity, Bytes{4096}, most, "bytes of the module");
    map.field(
        "line", config.line, Bytes{64}, Bytes{4096}, "what the medium reads and writes at once");
    map.field("buffer", config.buffer, Bytes{64}, most, "of lines that were read or written last");
    map.field("translation_buffer",
              config.translation_buffer,
              Bytes{4096},
              most,
              "memory whose translated addresses are kept");
    map.field("translation_page",
              config.translation_page,
              Bytes{64},
              Bytes{1u << 30},
              "memory that one of these addresses is for");
    map.field("read", config.read, Time(), 1_s, "load of a cache line that is in the buffer");
    map.field("read_medium", config.read_medium, Time(), 1_s, "more if it is not");
    map.field("read_translation",
              config.read_translation,
              Time(),
              1_s,
              "more if its address must be translated by the medium");
    map.field(
        "read_again", config.read_again, Time(), 1_s, "more for the line that was loaded last");
    map.field("read_bandwidth", config.read_bandwidth, "of the medium");
    map.field("loads", config.loads, 1, 1024, "cache lines a thread has under way at once");
    map.field("write_queue",
              config.write_queue,
              Bytes{64},
              Bytes{1u << 20},
              "stores that the module holds and combines");
    map.field("write_medium", config.write_medium, 1_ps, 1_s, "one line, whole or in part");
    map.field("write_again",
              config.write_again,
              Time(),
              1_s,
              "from a cache line's way to the medium until it may be stored to again");
    map.field("store", config.store, Time(), 1_s, "of a cache line, by the processor");
    map.field("request", config.request, Time(), 1_s, "overhead of a request to the block device");
    map.check(std::has_single_bit(config.line.count), "line", "is no power of 2");
    map.check(
        std::has_single_bit(config.translation_page.count), "translation_page", "is no power of 2");
    map.check(config.buffer >= config.line, "buffer", "is smaller than a line");
    map.check(config.translation_buffer >= config.translation_page,
              "translation_buffer",
              "is smaller than a page");
    map.check(config.write_queue >= config.line, "write_queue", "is smaller than a line");
    map.check(config.read_bandwidth.bytes_per_second > 0, "read_bandwidth", "must be positive");
}

PmemCache::PmemCache(std::uint64_t reach, std::uint64_t block)
    : sets_(std::max<std::uint64_t>(1, reach / block / 16)),
      ways_(std::max<std::uint64_t>(1, reach / block / sets_)),
      blocks_(sets_ * ways_, UINT64_MAX) {}

bool PmemCache::touch(std::uint64_t block, sim::Random& random) {
    const auto set = blocks_.begin() + static_cast<std::ptrdiff_t>(block % sets_ * ways_);
    const auto end = set + static_cast<std::ptrdiff_t>(ways_);
    if (std::find(set, end, block) != end) {
        return true;
    }
    auto place = std::find(set, end, UINT64_MAX);
    if (place == end) {
        place = set + static_cast<std::ptrdiff_t>(random.below(ways_));
    }
    *place = block;
    return false;
}

Pmem::Pmem(sim::Engine& engine, std::string name, const PmemConfig& config, std::uint64_t seed)
    : engine_(engine),
      config_(config),
      words_per_line_(config.line.count / word_bytes),
      queue_words_(config.write_queue.count / word_bytes),
      read_line_(Time::from_seconds(static_cast<double>(config.line.count) /
                                    config.read_bandwidth.bytes_per_second)),
      random_(seed, "device." + name),
      buffer_(config.buffer.count, config.line.count),
      translation_(config.translation_buffer.count, config.translation_page.count),
      station_(std::move(name), 1) {
    slots_.resize(std::bit_ceil(queue_words_));
}

void Pmem::begin_window(Time now) {
    window_ = now;
    station_.begin_window(now);
}

void Pmem::check(std::uint64_t offset, std::uint64_t bytes) const {
    if (offset + bytes > config_.capacity.count) {
        throw std::out_of_range(fmt::format("{}: a request ends at byte {} of {}",
                                            station_.name(),
                                            offset + bytes,
                                            config_.capacity.count));
    }
}

sim::Task<> Pmem::serve(const Io& io) {
    const Time arrived = engine_.now();
    station_.arrive(arrived);
    const Time start = arrived + config_.request;
    Time done = start;
    if (io.kind == Io::Kind::read) {
        done = load(start, io.offset, io.bytes);
    } else if (io.kind == Io::Kind::write) {
        done = store(start, io.offset, io.bytes);
    }
    co_await engine_.delay(done - arrived);
    // Requests overlap; the station is busy as long as the last one to leave had it for itself.
    const Time began = std::max({arrived, last_departure_, window_});
    last_departure_ = done;
    station_.begin_service(began, arrived);
    station_.depart(done, arrived, began);
}

Time Pmem::load(Time now, std::uint64_t offset, std::uint64_t bytes) {
    check(offset, bytes);
    if (bytes == 0) {
        return now;
    }
    const std::uint64_t line_bytes = config_.line.count;
    const std::uint64_t first = offset / line_bytes;
    const std::uint64_t last = (offset + bytes - 1) / line_bytes;
    const std::uint64_t last_word = (offset + bytes - 1) / word_bytes;
    const std::uint64_t words = last_word - offset / word_bytes + 1;
    const std::uint64_t lines = last - first + 1;
    // Of a long read only the end stays in the buffer, and no line of it was there by chance.
    const std::uint64_t kept = config_.buffer.count / line_bytes;
    const std::uint64_t unseen = lines > 2 * kept ? lines - kept : 0;
    std::uint64_t from_medium = unseen;
    std::uint64_t translated = 0;
    Time slowest;
    for (std::uint64_t line = first + unseen; line <= last; ++line) {
        from_medium += buffer_.touch(line, random_) ? 0 : 1;
    }
    if (from_medium > 0) {
        slowest = config_.read_medium;
        const std::uint64_t page_bytes = config_.translation_page.count;
        for (std::uint64_t page = offset / page_bytes; page <= (offset + bytes - 1) / page_bytes;
             ++page) {
            translated += translation_.touch(page, random_) ? 0 : 1;
        }
        slowest += translated > 0 ? config_.read_translation : Time();
    }
    slowest += config_.read;
    if (words == 1 && last_word == last_word_) {
        slowest += config_.read_again;
    }
    last_word_ = last_word;
    // The thread keeps so many cache lines under way; the medium serves all threads in turn.
    const Time sum = config_.read * static_cast<std::int64_t>(lines) +
                     config_.read_medium * static_cast<std::int64_t>(from_medium) +
                     config_.read_translation * static_cast<std::int64_t>(translated);
    const Time mean = sum / static_cast<std::int64_t>(lines);
    const Time alone = slowest + mean * static_cast<std::int64_t>(words - 1) / config_.loads;
    const Time begun = std::max(now, reads_free_);
    if (from_medium > 0) {
        reads_free_ = begun + read_line_ * static_cast<std::int64_t>(from_medium);
        return std::max(now + alone, reads_free_ - read_line_ + slowest);
    }
    return now + alone;
}

Time Pmem::store(Time now, std::uint64_t offset, std::uint64_t bytes) {
    check(offset, bytes);
    if (bytes == 0) {
        return now;
    }
    const std::uint64_t first = offset / word_bytes;
    const std::uint64_t last = (offset + bytes - 1) / word_bytes;
    const std::uint64_t queue_lines = queue_words_ / words_per_line_;
    for (std::uint64_t word = first; word <= last;) {
        const std::uint64_t in_line = word % words_per_line_;
        const std::uint64_t lines_left = (last - word + 1) / words_per_line_;
        if (in_line == 0 && lines_left > 2 * queue_lines) {
            const std::uint64_t lines = lines_left - queue_lines;
            now = store_long(now, lines);
            word += lines * words_per_line_;
            continue;
        }
        const std::uint64_t count = std::min(words_per_line_ - in_line, last - word + 1);
        const std::uint64_t bits =
            (count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1) << in_line;
        now = store_line(
            now + config_.store * static_cast<std::int64_t>(count), word / words_per_line_, bits);
        word += count;
    }
    return now;
}

/// Many whole lines one after the other: the queue is full all the time, the medium never waits.
Time Pmem::store_long(Time now, std::uint64_t lines) {
    while (write_next(Time::max())) {
    }
    writes_free_ =
        std::max(now, writes_free_) + config_.write_medium * static_cast<std::int64_t>(lines);
    line_in_hand_ = UINT64_MAX;
    catch_up(writes_free_);
    return writes_free_;
}

/// When the queue has taken these words of a line.
Time Pmem::store_line(Time now, std::uint64_t line, std::uint64_t words) {
    const auto count = static_cast<std::uint32_t>(std::popcount(words));
    catch_up(now);
    for (;;) {
        if (line_in_hand_ == line && (words_in_hand_ & words) != 0 && again_ > now) {
            now = again_;
        } else if (words_ + count > queue_words_) {
            if (written_ == 0) {
                write_next(Time::max());
            }
            now = std::max(now, slot(0).free);
        } else {
            bool same = false;
            for (std::size_t i = written_; i < used_ && !same; ++i) {
                same = slot(i).line == line && (slot(i).words & words) != 0 &&
                       slot(i).free == Time::max();
            }
            if (!same) {
                break;
            }
            // What is to be written first must not change any more.
            write_next(Time::max());
            now = std::max(now, writes_free_);
        }
        catch_up(now);
    }
    Slot& taken = slot(used_++);
    taken = {line, words, count, now, Time::max()};
    words_ += count;
    return now;
}

/// Writes what could be begun before `now`, and takes back the places that are free by then.
void Pmem::catch_up(Time now) {
    while (write_next(now)) {
    }
    while (used_ > 0 && slot(0).free <= now) {
        words_ -= slot(0).count;
        first_ = (first_ + 1) & (slots_.size() - 1);
        --used_;
        written_ -= written_ > 0 ? 1 : 0;
    }
}

/// Begins to write the line that has waited longest, with all that has come for it, if that is
/// possible before `until`.
bool Pmem::write_next(Time until) {
    while (written_ < used_ && slot(written_).free != Time::max()) {
        ++written_;
    }
    if (written_ == used_) {
        return false;
    }
    const Slot& oldest = slot(written_);
    const Time begin = std::max(writes_free_, oldest.since);
    if (begin >= until) {
        return false;
    }
    line_in_hand_ = oldest.line;
    words_in_hand_ = 0;
    writes_free_ = begin + config_.write_medium;
    again_ = begin + config_.write_again;
    for (std::size_t i = written_; i < used_; ++i) {
        Slot& one = slot(i);
        if (one.line == line_in_hand_ && one.free == Time::max() && one.since <= begin) {
            one.free = writes_free_;
            words_in_hand_ |= one.words;
        }
    }
    buffer_.touch(line_in_hand_, random_);
    return true;
}

}  // namespace fusesim::device
