#pragma once

#include <string>

namespace fusesim::commands {

/// Throws config::Error if the file cannot be written.
void write_file(const std::string& path, const std::string& text);

/// The same, but for "-", which is standard output.
void write_or_print(const std::string& path, const std::string& text);

/// What --json asks for: nothing but the JSON on standard output for "-"; else the text there, and
/// the JSON in the file, if one is named.
void deliver(const std::string& json_path, const std::string& json, const std::string& text);

}  // namespace fusesim::commands
