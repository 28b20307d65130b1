#pragma once

#include "host/cpu.h"
#include "host/readahead.h"
#include "sim/task.h"
#include "vfs/inode.h"

#include <algorithm>
#include <cstdint>

namespace fusesim::vfs {

/// An open file.
struct File {
    Inode* inode = nullptr;
    bool o_direct = false;
    host::Readahead readahead{0};

    // Opened by a path.
    bool append = false;
    bool path_only = false;    ///< O_PATH: the daemon knows nothing of it
    std::uint64_t listed = 0;  ///< of a directory: the place listed last
    bool listed_dots = false;  ///< ... "." and ".." have been listed
    bool listed_all = false;   ///< ... the last listing came back empty
};

/// What applications call: a mount of FUSE, or a file system of the kernel itself. Calls work on a
/// directory that the caller holds open, by a name in it, and return 0 or a negative errno.
class FileTree {
  public:
    virtual ~FileTree() = default;

    // --- the content before the run, outside of simulated time

    virtual Inode& root() = 0;
    virtual Inode& add_directory(Inode& parent, Name name) = 0;
    virtual Inode& add_file(Inode& directory, Name name, std::uint64_t size) = 0;
    /// The share of so many bytes of files that fits into memory.
    virtual double share_that_fits(std::uint64_t bytes) const = 0;
    /// As after open(2) and after that share of it, from its beginning, has been read.
    virtual File open_quietly(Inode& file, bool o_direct, double cached) = 0;

    // --- calls

    virtual sim::Task<int> stat(host::Thread& thread, Inode& directory, Name name) = 0;
    virtual sim::Task<int> open(
        host::Thread& thread, Inode& directory, Name name, bool o_direct, File& out) = 0;
    virtual sim::Task<int> create(host::Thread& thread, Inode& directory, Name name, File& out) = 0;
    virtual sim::Task<> close(host::Thread& thread, File& file) = 0;
    virtual sim::Task<int> unlink(host::Thread& thread, Inode& directory, Name name) = 0;
    /// Opens the directory, reads all names, closes it.
    virtual sim::Task<int> list(host::Thread& thread, Inode& directory) = 0;
    virtual sim::Task<> read(host::Thread& thread,
                             File& file,
                             std::uint64_t offset,
                             std::uint32_t bytes) = 0;
    virtual sim::Task<> write(host::Thread& thread,
                              File& file,
                              std::uint64_t offset,
                              std::uint32_t bytes) = 0;
    virtual sim::Task<> fsync(host::Thread& thread, File& file) = 0;
    /// posix_fadvise(POSIX_FADV_DONTNEED) of the whole file.
    virtual sim::Task<> drop_cache(host::Thread& thread, File& file) = 0;

    /// Memory is short, as after `echo 2 > /proc/sys/vm/drop_caches`: the kernel gives up all it
    /// knows of files that nobody has open. Simplified: but for directories, and for files whose
    /// pages are dirty or on their way.
    virtual sim::Task<> reclaim(host::Thread&) { co_return; }

    virtual std::uint64_t cached_pages() const = 0;
    /// Files and directories that a daemon remembers for the kernel.
    virtual std::uint64_t cached_inodes() const { return 0; }

    /// The daemon went away under a call of that thread: it has got, or would get, an error.
    virtual bool lost(const host::Thread&) const { return false; }

  protected:
    /// With so many copies of each page.
    static double share_that_fits(const host::PageCache& cache,
                                  std::uint64_t bytes,
                                  unsigned copies) {
        // Some is left for what is not data.
        return cache.limit() && bytes > 0
                   ? std::min(1.0,
                              0.98 * 4096 * static_cast<double>(*cache.limit()) / copies /
                                  static_cast<double>(bytes))
                   : 1;
    }
};

}  // namespace fusesim::vfs
