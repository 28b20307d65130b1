#pragma once

#include "system/scenario.h"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace fusesim::measure {

// Names within a thread's directory. The simulated threads use names of the same length.
std::string thread_name(unsigned thread);        ///< the directory itself
std::string file_name(std::uint64_t number);     ///< lies there before the run
std::string missing_name(std::uint64_t number);  ///< never exists
std::string created_name(std::uint64_t number);  ///< made by the run

/// Makes every thread's directory and files below `root`: with their data, or with their size alone
/// where nothing keeps data anyway. Throws std::system_error.
void lay_out(const system::Scenario& scenario,
             const std::filesystem::path& root,
             bool with_data,
             const std::function<bool()>& stopped);

/// A folder with a fresh name that is gone when this object is, and also when the process dies
/// without a word: a child of its own sees to that. To be made before other threads are.
class TemporaryFolder {
  public:
    explicit TemporaryFolder(const std::filesystem::path& parent);
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
    int alive_ = -1;  ///< its end tells the child
    int cleaner_ = -1;
};

}  // namespace fusesim::measure
