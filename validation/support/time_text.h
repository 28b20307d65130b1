#pragma once

#include "config/units.h"

#include <catch2/catch.hpp>

#include <string>

/// Failed checks print simulated times.
template <>
struct Catch::StringMaker<fusesim::sim::Time> {
    static std::string convert(fusesim::sim::Time time) {
        return fusesim::config::Format<fusesim::sim::Time>::text(time);
    }
};
