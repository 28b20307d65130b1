#pragma once

#include "vfs.h"

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::calibrate {

/// Whole calls on a file system, system call included, as the stackfs daemon makes them.
struct LowerTimes {
    Times calls;
    std::vector<std::pair<std::size_t, double>> read;   ///< of cached data, by size
    std::vector<std::pair<std::size_t, double>> write;  ///< over cached pages, by size
    double far = 0;  ///< what a large read costs more, of far_bytes read in turns
    std::vector<double> fsync_blocked;  ///< nanoseconds asleep, call by call
    std::vector<double> fdatasync_blocked;
};

/// A directory with files to call on, in the file system of `parent`; goes with this object.
class LowerBench {
  public:
    explicit LowerBench(const std::filesystem::path& parent);
    ~LowerBench();
    LowerBench(const LowerBench&) = delete;
    LowerBench& operator=(const LowerBench&) = delete;

    /// As in mount(8): tmpfs, ext4, ...
    const std::string& filesystem() const { return filesystem_; }

    LowerTimes measure(double seconds) const;

    static constexpr std::size_t far_bytes = std::size_t{32} << 20;  ///< beyond most caches
    static constexpr std::size_t far_read = VfsMounts::large_pages * 4096;

  private:
    std::filesystem::path directory_;
    std::string filesystem_;
};

}  // namespace fusesim::calibrate
