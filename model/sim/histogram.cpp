#include "sim/histogram.h"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace fusesim::sim {

std::int64_t Histogram::low(unsigned octave, unsigned index) {
    if (octave == 0) {
        return index;
    }
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(row_size + index) << (octave - 1));
}

void Histogram::add(std::int64_t value, std::uint64_t times) {
    if (value < 0) {
        throw std::logic_error("a histogram counts no negative values");
    }
    const auto v = static_cast<std::uint64_t>(value);
    const unsigned width = static_cast<unsigned>(std::bit_width(v));
    const unsigned octave = width <= row_bits ? 0 : width - row_bits;
    const std::uint64_t index = octave == 0 ? v : (v >> (octave - 1)) - row_size;
    if (!rows_[octave]) {
        rows_[octave] = std::make_unique<std::array<std::uint64_t, row_size>>();
    }
    (*rows_[octave])[index] += times;
    min_ = count_ == 0 ? value : std::min(min_, value);
    max_ = std::max(max_, value);
    count_ += times;
}

void Histogram::merge(const Histogram& other) {
    if (other.count_ == 0) {
        return;
    }
    for (unsigned octave = 0; octave < octaves; ++octave) {
        if (!other.rows_[octave]) {
            continue;
        }
        if (!rows_[octave]) {
            rows_[octave] = std::make_unique<std::array<std::uint64_t, row_size>>();
        }
        for (unsigned i = 0; i < row_size; ++i) {
            (*rows_[octave])[i] += (*other.rows_[octave])[i];
        }
    }
    min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
    count_ += other.count_;
}

void Histogram::clear() {
    *this = Histogram();
}

double Histogram::quantile(double q) const {
    if (count_ == 0) {
        return 0;
    }
    const double rank = q * static_cast<double>(count_);
    double below = 0;
    double result = static_cast<double>(max_);
    bool found = false;
    for_each([&](std::int64_t from, std::int64_t to, std::uint64_t n) {
        if (!found && below + static_cast<double>(n) >= rank) {
            const double share = (rank - below) / static_cast<double>(n);
            result = static_cast<double>(from) + share * static_cast<double>(to - from);
            found = true;
        }
        below += static_cast<double>(n);
    });
    return std::clamp(result, static_cast<double>(min_), static_cast<double>(max_));
}

}  // namespace fusesim::sim
