#pragma once

#include <string>

namespace fusesim::commands {

/// Replaces the file by `text`; what goes wrong is a config::Error.
void write_file(const std::string& path, const std::string& text);

}  // namespace fusesim::commands
