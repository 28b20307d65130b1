#pragma once

#include "sim/time.h"

#include <array>
#include <cstdint>
#include <memory>

namespace fusesim::sim {

/// Counts non-negative integers (picoseconds, bytes) in buckets whose width is at most 1/128 of
/// their value: exact below 256, to 0.4 % above. Memory grows with the range seen, never with the
/// number of values.
class Histogram {
  public:
    void add(std::int64_t value, std::uint64_t times = 1);
    void merge(const Histogram& other);
    void clear();

    std::uint64_t count() const { return count_; }

    std::int64_t min() const { return min_; }  ///< 0 if empty

    std::int64_t max() const { return max_; }  ///< 0 if empty

    /// The value below which a share `q` in [0, 1] of all values lies, interpolated within its
    /// bucket and never outside [min, max]; 0 if empty.
    double quantile(double q) const;

    /// Calls visit(low, high, count) for each non-empty bucket [low, high), lowest first.
    template <class Visit>
    void for_each(Visit visit) const {
        for (unsigned octave = 0; octave < octaves; ++octave) {
            if (!rows_[octave]) {
                continue;
            }
            for (unsigned i = 0; i < row_size; ++i) {
                if (const std::uint64_t n = (*rows_[octave])[i]; n > 0) {
                    visit(low(octave, i), low(octave, i + 1), n);
                }
            }
        }
    }

  private:
    static constexpr unsigned row_bits = 7;
    static constexpr unsigned row_size = 1u << row_bits;
    static constexpr unsigned octaves = 64 - row_bits;

    // Row 0 holds 0..127 one by one, row k > 0 holds [128 << (k-1), 256 << (k-1)) in 128 steps.
    static std::int64_t low(unsigned octave, unsigned index);

    std::array<std::unique_ptr<std::array<std::uint64_t, row_size>>, octaves> rows_;
    std::uint64_t count_ = 0;
    std::int64_t min_ = 0;
    std::int64_t max_ = 0;
};

}  // namespace fusesim::sim
