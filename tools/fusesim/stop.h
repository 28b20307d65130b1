#pragma once

#include <atomic>
#include <initializer_list>

namespace fusesim::commands {

/// From now on these signals ask to stop instead of ending the program; what is returned tells
/// whether one came.
const std::atomic<bool>& stop_on(std::initializer_list<int> signals);

}  // namespace fusesim::commands
