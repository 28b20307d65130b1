#pragma once

#include "points.h"
#include "system/scenario.h"

#include <string>
#include <vector>

namespace fusesim::plan {

/// A change that somebody who runs a mount could make.
struct Knob {
    sweep::Settings settings;
    std::string reason;  ///< why it may help
    std::string risk;    ///< what it takes, or may break
};

/// What is worth a try in a scenario, given with all its settings as the simulator would use them.
/// Whether kernel, host and the other settings allow it is not looked at here.
std::vector<Knob> knobs(const system::Scenario& effective);

}  // namespace fusesim::plan
