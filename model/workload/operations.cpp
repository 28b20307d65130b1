#include "workload/operations.h"

#include "config/units.h"
#include "sim/distribution_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace fusesim::workload {

using namespace config::literals;

namespace {

using Pattern = OperationConfig::Pattern;

bool has_data(Op op) {
    return op == Op::read || op == Op::write;
}

/// A permutation of the numbers below 2^bits: each step can be undone, and the key differs by pass.
std::uint64_t permuted(std::uint64_t x, unsigned bits, std::uint64_t key) {
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    const unsigned shift = (bits + 1) / 2;
    x = (x ^ key) & mask;
    x = (x * 0x9e3779b97f4a7c15u) & mask;
    x ^= x >> shift;
    x = (x * 0xbf58476d1ce4e5b9u + (key >> 32)) & mask;
    x ^= x >> shift;
    return x;
}

}  // namespace

std::string_view to_text(Op op) {
    switch (op) {
        case Op::stat:
            return "stat";
        case Op::stat_missing:
            return "stat_missing";
        case Op::open:
            return "open";
        case Op::create:
            return "create";
        case Op::unlink:
            return "unlink";
        case Op::readdir:
            return "readdir";
        case Op::read:
            return "read";
        case Op::write:
            return "write";
        case Op::fsync:
            return "fsync";
    }
    return "";
}

void bind(config::Map& map, OperationConfig& operation) {
    map.field("op",
              operation.op,
              {{"stat", Op::stat},
               {"stat_missing", Op::stat_missing},
               {"open", Op::open},
               {"create", Op::create},
               {"unlink", Op::unlink},
               {"readdir", Op::readdir},
               {"read", Op::read},
               {"write", Op::write},
               {"fsync", Op::fsync}},
              "what is called; open and create close the file again");
    map.field("size", operation.size, 1_B, 64_MiB, "bytes of one read or write");
    map.field("pattern",
              operation.pattern,
              {{"random", Pattern::random},
               {"sequential", Pattern::sequential},
               {"uniform", Pattern::uniform}},
              "order of blocks or names; random takes each once before any again, uniform any at "
              "any time");
    map.field("weight", operation.weight, 1e-6, 1e6, "how often, with order: random");
    map.field("times", operation.times, 1, 1'000'000, "how often in its turn, with order: cycle");
}

void bind(config::Map& map, FilesConfig& files) {
    map.field("count", files.count, 1, 10'000'000, "files of each thread");
    map.field("size", files.size, 0_B, config::Bytes{1ull << 50}, "bytes of each");
}

OperationStream::OperationStream(const NativeConfig& config, unsigned thread, std::uint64_t seed)
    : config_(config),
      random_(seed, fmt::format("workload.operations[{}]", thread)),
      pace_(seed, fmt::format("workload.pace[{}]", thread)) {
    for (const OperationConfig& operation : config.operations) {
        Cursor cursor;
        if (has_data(operation.op)) {
            cursor.in_file = std::max<std::uint64_t>(
                1, config.files.size.count / std::max<std::uint64_t>(1, operation.size.count));
        }
        cursor.units = cursor.in_file * config.files.count;
        cursor.bits = std::max<unsigned>(1, std::bit_width(cursor.units - 1));
        cursor.at = std::uint64_t{1} << cursor.bits;  // the first pass has yet to begin
        cursors_.push_back(cursor);
        total_weight_ += operation.weight;
    }
}

std::uint64_t OperationStream::next_unit(const OperationConfig& operation,
                                         Cursor& cursor,
                                         bool& fresh) {
    if (operation.pattern == Pattern::uniform) {
        fresh = cursor.at == std::uint64_t{1} << cursor.bits;
        cursor.at = 0;
        return random_.below(cursor.units);
    }
    if (operation.pattern == Pattern::sequential) {
        fresh = cursor.at >= cursor.units;
        cursor.at = fresh ? 0 : cursor.at;
        return cursor.at++;
    }
    for (;;) {
        const std::uint64_t all = std::uint64_t{1} << cursor.bits;
        if (cursor.at >= all) {
            fresh = true;
            cursor.at = 0;
            cursor.key = random_.bits();
        }
        const std::uint64_t unit = permuted(cursor.at++, cursor.bits, cursor.key);
        if (unit < cursor.units) {
            return unit;
        }
    }
}

std::size_t OperationStream::pick() {
    if (config_.order == NativeConfig::Order::cycle) {
        if (done_in_turn_ == config_.operations[turn_].times) {
            turn_ = (turn_ + 1) % config_.operations.size();
            done_in_turn_ = 0;
        }
        ++done_in_turn_;
        return turn_;
    }
    double at = random_.uniform() * total_weight_;
    for (std::size_t i = 0; i + 1 < config_.operations.size(); ++i) {
        at -= config_.operations[i].weight;
        if (at < 0) {
            return i;
        }
    }
    return config_.operations.size() - 1;
}

Step OperationStream::next() {
    const std::size_t which = pick();
    const OperationConfig& operation = config_.operations[which];
    Cursor& cursor = cursors_[which];
    Step step;
    step.op = operation.op;
    switch (operation.op) {
        case Op::stat_missing:
            step.number = missing_++ % config_.files.count;
            break;
        case Op::create:
            step.number = created_++;
            break;
        case Op::unlink:
            step.number = unlinked_++;
            break;
        case Op::fsync:
            step.file = written_;
            break;
        case Op::readdir:
            break;
        case Op::stat:
        case Op::open:
        case Op::read:
        case Op::write: {
            bool fresh = false;
            const std::uint64_t unit = next_unit(operation, cursor, fresh);
            step.file = static_cast<unsigned>(unit / cursor.in_file);
            if (has_data(operation.op)) {
                step.offset = unit % cursor.in_file * operation.size.count;
                step.size = static_cast<std::uint32_t>(operation.size.count);
            }
            if (operation.op == Op::write) {
                written_ = step.file;
            }
            step.drop_cache =
                fresh && operation.op == Op::read && config_.cache == NativeConfig::Cache::cold;
            break;
        }
    }
    return step;
}

sim::Time OperationStream::think() {
    return config_.think.draw(pace_);
}

sim::Time OperationStream::gap() {
    const double mean = config_.threads / config_.rate->per_second;
    return sim::Time::from_seconds(
        config_.arrival == NativeConfig::Arrival::even ? mean : pace_.exponential(mean));
}

}  // namespace fusesim::workload
