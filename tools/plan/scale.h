#pragma once

#include <optional>
#include <string>
#include <vector>

namespace fusesim::plan {

/// The values of one setting as numbers that can be searched: its own if it has numbers, else
/// places in a list of words.
class Scale {
  public:
    /// Of a setting of scenarios. `range` is `LO..HI`, a list `a,b,c`, or empty for all that the
    /// setting may be. Throws config::Error.
    Scale(const std::string& key, const std::string& range);

    const std::string& key() const { return key_; }

    bool whole() const { return !words_.empty() || unit_ == Unit::count; }

    double low() const { return low_; }

    double high() const { return high_; }

    /// As --set takes it.
    std::string text(double value) const;

    /// Nothing for what is not on the scale.
    std::optional<double> value(const std::string& text) const;

    /// Of results: "iops", "bytes", "s", "" for plain numbers and words.
    std::string unit() const;

    /// The value in that unit.
    double in_unit(double value) const;

  private:
    enum class Unit { count, real, rate, bytes, nanoseconds };

    std::optional<double> parse(const std::string& text) const;

    std::string key_;
    Unit unit_ = Unit::count;
    std::vector<std::string> words_;
    double low_ = 0;
    double high_ = 0;
};

}  // namespace fusesim::plan
