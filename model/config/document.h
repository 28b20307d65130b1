#pragma once

#include "config/value.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace fusesim::config {

/// What a document may pull in, and what the command line changes in it.
struct LoadOptions {
    /// `key.path=value`, one a --set; number N has the place "command line:N:1".
    std::vector<std::string> overrides;
    /// Folder that `from:` must not leave; empty: the nearest folder named `configs` at or above
    /// the file's own folder, else its own folder.
    std::filesystem::path root;
    bool anywhere = false;  ///< `from:` may name any file
};

/// A configuration file with everything it includes and all overrides, as one tree of values
/// that know where they were written.
class Document {
  public:
    static Document load(const std::string& path, const LoadOptions& options = {});

    /// The same for text that is already in memory; `from:` in it is relative to the folder
    /// part of `name`.
    static Document parse(std::string text,
                          const std::string& name,
                          const LoadOptions& options = {});

    const Value& root() const { return root_; }

    /// Every file read, the top one first.
    const std::vector<std::string>& files() const { return files_; }

    /// Where the value of "mount.max_background" was written; for a value that was not, the place
    /// of the nearest map around it. For rules that look at several sections.
    Place place(std::string_view key_path) const;

    // Limits that keep hostile input harmless.
    static constexpr std::size_t max_bytes = 16u << 20;  // of one file
    static constexpr std::size_t max_values = 200'000;   // in one document, aliases expanded
    static constexpr std::size_t max_depth = 40;         // of maps and lists
    static constexpr std::size_t max_files = 100;        // in one document

  private:
    Value root_;
    std::vector<std::string> files_;
};

/// Folder of the file that `place` names; "" for the command line and for the working directory.
std::filesystem::path folder_of(const Place& place);

/// File name in places of overrides.
inline constexpr std::string_view command_line = "command line";

}  // namespace fusesim::config
