#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace fusesim::config {

/// Where in the user's input something stands. Text files count lines and columns (bytes) from 1;
/// binary files use `offset` and leave `line` 0; values from the command line name it as file.
struct Place {
    std::string file;
    int line = 0;
    int column = 0;
    std::int64_t offset = -1;
    std::shared_ptr<const std::string> source = nullptr;  ///< whole text, to show the line

    /// "file:line:col", "file:byte 123" or "file".
    std::string text() const;
};

/// One thing that is wrong with the user's input.
struct Problem {
    Place place;
    std::string message;
    std::string hint;

    /// "place: error: message", the offending line with a caret where it is known, the hint.
    std::string text() const;
};

/// The user's input is wrong. what() holds the text of each problem, the first one first.
/// Caught once, in main; exit code 2.
class Error : public std::runtime_error {
  public:
    Error(const Place& place, const std::string& message, const std::string& hint = "");

    /// Sorts by place and shows the first `max_shown`; `problems` must not be empty.
    explicit Error(std::vector<Problem> problems);

    static constexpr std::size_t max_shown = 20;

    const std::vector<Problem>& problems() const { return problems_; }

  private:
    std::vector<Problem> problems_;
};

/// Collects problems so that one run reports all of them.
class Problems {
  public:
    void add(const Place& place, const std::string& message, const std::string& hint = "") {
        all_.push_back({place, message, hint});
    }

    bool empty() const { return all_.empty(); }

    std::size_t size() const { return all_.size(); }

    /// Throws an Error of all problems, if there is any.
    void raise() const;

  private:
    std::vector<Problem> all_;
};

/// Input as it may stand in a message: control characters replaced, cut after some 60 bytes.
std::string shown(std::string_view text);

}  // namespace fusesim::config
