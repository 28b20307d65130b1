#pragma once

#include "ladder.h"

#include <string>

namespace fusesim::commands {

/// How this machine is calibrated in full: with every reference daemon that is there and can run.
/// `nullfs`: that program instead of the one that belongs to this one; empty: none. Throws
/// Unavailable where it cannot be calibrated.
calibrate::Plan plan_of_calibration(const std::string& nullfs = "");

}  // namespace fusesim::commands
