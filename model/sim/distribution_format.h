#pragma once

#include "config/units.h"
#include "sim/random.h"

namespace fusesim::config {

/// A distribution of times in one line: `20 us` (constant), `uniform(1 us, 9 us)`,
/// `exponential(5 us)`, `normal(5 us, 1 us)`, `lognormal(20 us, cv 1.5)`, `erlang(5 us, 4)`,
/// `hyperexponential(0.9, 1 us, 20 us)`, `quantiles(0: 1 us, 0.5: 2 us, 1: 50 us)`.
template <>
struct Format<sim::Distribution> {
    static constexpr std::string_view type = "time or distribution of times";
    static sim::Distribution parse(std::string_view text);
    static std::string text(const sim::Distribution& value);

    static Json json(const sim::Distribution& value) { return text(value); }

    static Json schema() { return {{"type", "string"}}; }
};

}  // namespace fusesim::config
