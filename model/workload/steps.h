#pragma once

#include <cstdint>

namespace fusesim::workload {

/// Steps, or records, between two words about progress.
inline constexpr std::uint64_t progress_every = 16'384;

/// Calls that never wait run on the simulator's own stack, each above the last where the compiler
/// makes no tail calls; after so many the thread waits for nothing.
inline constexpr std::uint64_t stacked_steps = 64;

}  // namespace fusesim::workload
