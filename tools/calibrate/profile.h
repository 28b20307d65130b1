#pragma once

#include "ladder.h"

#include <string>

namespace fusesim::calibrate {

/// The host profile as the simulator reads it.
std::string profile_yaml(const Profile& profile,
                         const std::string& command,
                         const std::string& version);

/// The closing check as a table.
std::string check_table(const Profile& profile);

/// The largest error of the closing check, relative and without its sign.
double worst_error(const Profile& profile);

}  // namespace fusesim::calibrate
