#pragma once

#include "null_mount.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::calibrate {

/// Nanoseconds by name of call.
using Times = std::map<std::string, double>;

/// Null mounts for calls that the first rungs do not make, all on the caller's core. Daemons are
/// batch tasks and the caller must be one: then nobody preempts, and a request always finds the
/// daemon asleep unless another one, that nobody waits for, has just woken it.
class VfsMounts {
  public:
    VfsMounts(const std::filesystem::path& daemon,
              const std::filesystem::path& directory,
              int core);

    /// Whole calls that change or ask names: cached_lookup, lookup, lookup_missing, open, close,
    /// create, unlink, mkdir, rmdir, opendir, closedir; readdir (of nothing), list and list_plus
    /// (of listed_entries); reclaim, of one unused inode and its name.
    Times time_names(double seconds) const;

    /// Whole calls through the page cache, each of small and of large size: rewrite, write (of
    /// pages that are not in the cache), write_back (fsync after it), write_clean
    /// (of pages that are in the cache, but not dirty), of a writeback cache, on the
    /// same pages; read (of pages that are not in the cache), hit, write_through, through files
    /// that lie in the caches of a core. "rewrite 1" and "rewrite 32". Then drop, of a page, and
    /// odirect, a read of one page.
    Times time_cache(double seconds) const;

    /// Reads of cached pages by how many there are: of one, in no order, and of large_pages, one
    /// after the other.
    struct Reads {
        std::size_t pages = 0;
        double one = 0;  ///< nanoseconds
        double run = 0;
    };

    std::vector<Reads> time_memory(double seconds) const;

    static constexpr int listed_entries = 102;  ///< 100 files, "." and ".."
    /// 256 KiB, and a copy of them; where there are no caches more than the kernel keeps pages at
    /// hand for on each core.
    static std::size_t walked_pages() { return exact_clock() ? 1024 : 64; }

    static constexpr std::size_t small_pages = 1;
    static constexpr std::size_t large_pages = 32;

  private:
    std::unique_ptr<NullMount> expired_;    ///< every name is looked up again
    std::unique_ptr<NullMount> known_;      ///< names and attributes stay valid
    std::unique_ptr<NullMount> plus_;       ///< lists with READDIRPLUS
    std::unique_ptr<NullMount> writeback_;  ///< with a writeback cache
    std::unique_ptr<Descriptor> large_;     ///< a file, all of it in the page cache
};

}  // namespace fusesim::calibrate
