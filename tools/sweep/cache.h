#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace fusesim::sweep {

/// Results that need not be computed again, one file each, named by what they depend on.
class Cache {
  public:
    /// Makes the folder if it is not there. Throws config::Error if it cannot.
    explicit Cache(std::filesystem::path folder);

    /// $XDG_CACHE_HOME/fusesim/sweep or ~/.cache/fusesim/sweep.
    static std::filesystem::path default_folder();

    std::optional<std::string> find(const std::string& key) const;
    /// All or nothing, whoever else writes the same.
    void store(const std::string& key, const std::string& text) const;
    void forget(const std::string& key) const;

    const std::filesystem::path& folder() const { return folder_; }

  private:
    std::filesystem::path file_of(const std::string& key) const {
        return folder_ / (key + ".json");
    }

    std::filesystem::path folder_;
};

/// 128 bits of a text, of a file's content, as 32 hexadecimal digits.
std::string hash_of(const std::string& text);
std::string hash_of_file(const std::filesystem::path& file);

}  // namespace fusesim::sweep
