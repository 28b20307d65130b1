#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace fusesim::config {

/// Where in the user's input something stands. Text files count lines and columns from 1;
/// binary files use `offset` and leave `line` 0; values from the command line name it as file.
struct Place {
    std::string file;
    int line = 0;
    int column = 0;
    std::int64_t offset = -1;

    /// "file:line:col", "file:byte 123" or "file".
    std::string text() const;
};

/// The user's input is wrong. what() is "place: error: message", then the hint on its own line.
/// Caught once, in main; exit code 2.
class Error : public std::runtime_error {
  public:
    Error(const Place& place, const std::string& message, const std::string& hint = "");
};

}  // namespace fusesim::config
