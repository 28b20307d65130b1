#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

namespace fusesim::commands {

/// Runs a shell command in the guest (kernel-ref/guest/run), with this program and the daemons
/// beside it. `add` are files and folders for its working directory; what it leaves there goes into
/// `out`. Throws Unavailable if the guest cannot be booted, or the command fails.
void run_in_guest(const std::string& command,
                  const std::vector<std::filesystem::path>& add,
                  const std::filesystem::path& out,
                  const std::atomic<bool>& stop_asked);

}  // namespace fusesim::commands
