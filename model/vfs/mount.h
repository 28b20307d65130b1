#pragma once

#include "fuse/kernel.h"
#include "fuse/sizes.h"
#include "host/cpu.h"
#include "lower/ext4.h"
#include "sim/task.h"
#include "transport/transport.h"
#include "vfs/extfuse.h"
#include "vfs/file_tree.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace fusesim::vfs {

/// How the daemon and mount(8) set up the caches of one mount.
struct MountSettings {
    sim::Time entry_timeout;
    sim::Time attr_timeout;
    sim::Time negative_timeout;
    bool direct_io = false;            ///< FOPEN_DIRECT_IO
    bool keep_cache = false;           ///< FOPEN_KEEP_CACHE
    bool writeback_cache = false;      ///< FUSE_WRITEBACK_CACHE
    bool readdirplus = true;           ///< FUSE_DO_READDIRPLUS and FUSE_READDIRPLUS_AUTO
    bool parallel_dirops = false;      ///< FUSE_PARALLEL_DIROPS
    bool passthrough = false;          ///< FOPEN_PASSTHROUGH
    bool default_permissions = false;  ///< the kernel checks modes and owners
    /// FUSE_AUTO_INVAL_DATA as far as the mount's own writes go: the changed time that the daemon
    /// tells later drops what is cached.
    bool auto_inval_data = false;
    bool extended_attributes = false;    ///< the daemon has some; else it answers ENOSYS, once
    bool reuse_inodes = true;            ///< nobody works on a file while its name is removed
    std::uint32_t max_write = 1u << 20;  ///< bytes of one WRITE
    std::uint32_t max_pages = 256;       ///< pages of one READ or WRITE
    std::uint64_t readahead_pages = 32;  ///< ra_pages
    bool cached_below = false;           ///< the daemon's file system keeps all data in memory, too
    bool knows_capabilities = true;      ///< that there are none was answered before
    std::uint64_t dirty_limit = 8192;    ///< pages that may wait to be written, strict limit
    std::uint32_t protocol_minor = 45;
    std::optional<ExtfuseSettings> extfuse;
};

/// What reading and writing a backing file costs its caller (passthrough).
class Backing {
  public:
    virtual ~Backing() = default;
    virtual sim::Task<> read(host::Thread& thread,
                             std::uint64_t nodeid,
                             std::uint64_t offset,
                             std::uint64_t bytes) = 0;
    virtual sim::Task<> write(host::Thread& thread,
                              std::uint64_t nodeid,
                              std::uint64_t offset,
                              std::uint64_t bytes) = 0;
};

/// A file by the path that leads to it from a directory or file that the caller holds.
struct Path {
    Inode* from = nullptr;
    std::span<const Name> names;  ///< empty: `from` itself
};

/// How a path is opened.
struct OpenFlags {
    bool create = false;
    bool exclusive = false;
    bool truncate = false;
    bool append = false;
    bool direct = false;
    bool path_only = false;
};

/// What SETATTR sets.
enum class Change { mode, owner, times, size };

/// One FUSE mount as the VFS sees it: which requests a call makes, what the caches answer, and what
/// the caller pays (models fs/fuse/{dir,file,readdir,inode}.c with fs/namei.c and mm/filemap.c
/// around them).
class Mount final : public FileTree {
  public:
    Mount(transport::Transport& dev,
          const fuse::KernelBehaviour& kernel,
          const MountSettings& settings,
          Backing* backing,
          lower::Ext4* disk);
    ~Mount() override;

    // --- the file system's content before the run, outside of simulated time

    Inode& root() override { return *inodes_.front(); }

    Inode& add_directory(Inode& parent, Name name) override;
    Inode& add_file(Inode& directory, Name name, std::uint64_t size) override;
    double share_that_fits(std::uint64_t bytes) const override;
    File open_quietly(Inode& file, bool o_direct, double cached) override;

    // --- calls

    sim::Task<int> stat(host::Thread& thread, Inode& directory, Name name) override;
    sim::Task<int> open(
        host::Thread& thread, Inode& directory, Name name, bool o_direct, File& out) override;
    sim::Task<int> create(host::Thread& thread, Inode& directory, Name name, File& out) override;
    sim::Task<> close(host::Thread& thread, File& file) override;
    sim::Task<int> unlink(host::Thread& thread, Inode& directory, Name name) override;
    sim::Task<int> list(host::Thread& thread, Inode& directory) override;
    sim::Task<> read(host::Thread& thread,
                     File& file,
                     std::uint64_t offset,
                     std::uint32_t bytes) override;
    sim::Task<> write(host::Thread& thread,
                      File& file,
                      std::uint64_t offset,
                      std::uint32_t bytes) override;
    sim::Task<> fsync(host::Thread& thread, File& file) override;
    sim::Task<> drop_cache(host::Thread& thread, File& file) override;

    sim::Task<> reclaim(host::Thread& thread) override;

    /// Null without one.
    Extfuse* extfuse() { return extfuse_ ? &*extfuse_ : nullptr; }

    std::uint64_t cached_pages() const override;
    std::uint64_t cached_inodes() const override;

    bool lost(const host::Thread& thread) const override {
        return !lost_.empty() && lost_.count(&thread) > 0;
    }

    // --- calls by paths (mount_paths.cpp)

    Inode& add_symlink(Inode& directory, Name name);
    /// As if somebody else had removed it, outside of simulated time.
    void remove_quietly(Inode& directory, Name name);

    sim::Task<int> stat(host::Thread& thread, Path path);
    sim::Task<int> open(host::Thread& thread, Path path, OpenFlags flags, File& out);
    /// close() of a descriptor that has duplicates.
    sim::Task<> flush(host::Thread& thread, File& file);
    /// One getdents64(); returns how many names came.
    sim::Task<std::uint64_t> list(host::Thread& thread, File& directory, std::uint32_t buffer);
    /// MKDIR, MKNOD or SYMLINK, whose target has that length.
    sim::Task<int> make(host::Thread& thread,
                        Path path,
                        fuse::Opcode opcode,
                        std::uint32_t target = 0);
    /// UNLINK or RMDIR.
    sim::Task<int> remove(host::Thread& thread, Path path, fuse::Opcode opcode);
    sim::Task<int> rename(host::Thread& thread, Path from, Path to, bool no_replace);
    sim::Task<int> link(host::Thread& thread, Path from, Path to);
    sim::Task<int> readlink(host::Thread& thread, Path path);
    sim::Task<int> set(host::Thread& thread, Path path, Change change, std::uint64_t size = 0);
    sim::Task<int> access(host::Thread& thread, Path path);
    sim::Task<int> statfs(host::Thread& thread, Path path);
    /// GETXATTR, SETXATTR, LISTXATTR or REMOVEXATTR.
    sim::Task<int> xattr(host::Thread& thread, Path path, fuse::Opcode opcode, std::uint32_t value);
    sim::Task<> fallocate(host::Thread& thread, File& file, std::uint64_t end);
    /// lseek(): `asks` with SEEK_DATA and SEEK_HOLE, `to_end` with SEEK_END.
    sim::Task<> seek(host::Thread& thread, File& file, bool asks, bool to_end);
    sim::Task<> ioctl(host::Thread& thread, File& file);
    /// copy_file_range(): refused by the daemon, so that the kernel copies.
    sim::Task<> copy_range(host::Thread& thread,
                           File& from,
                           std::uint64_t from_offset,
                           File& to,
                           std::uint64_t to_offset,
                           std::uint64_t bytes);
    /// A call that the kernel answers by itself.
    sim::Task<> nothing(host::Thread& thread);

  private:
    static constexpr std::uint64_t page_bytes = fuse::kernel_page_bytes;

    struct Exchange;

    // mount.cpp
    Inode& new_inode(bool directory);
    void evict_if_unused(Inode& inode);
    void forget(Inode& inode);
    sim::Task<Inode*> lookup(host::Thread& thread, Inode& directory, Name name, bool locked);
    /// The same with what a call that only asks for the name costs its caller.
    sim::Task<Inode*> find(host::Thread& thread, Inode& directory, Name name);
    void learn(Inode& inode, Entry& entry);
    void appear(Inode& directory, Name name, Inode& inode);
    void disappear(Inode& directory, Name name, Inode& inode);
    sim::Task<> tell_changed(host::Thread& thread, Inode& inode);
    void refresh_attributes(Inode& inode);
    /// The same from an answer that shows whether the data have changed.
    void compare_attributes(Inode& inode);
    /// What READDIRPLUS told of some names, counted from the directory's first.
    void prime(Inode& directory, std::uint64_t first, std::uint64_t count);
    bool attributes_stale(const Inode& inode) const;
    sim::Task<> getattr(host::Thread& thread, Inode& inode);
    sim::Task<> ask_to_flush(host::Thread& thread, Inode& inode);
    void begin_open(File& out, Inode& inode, bool o_direct);
    /// Drops what is cached of a file, but for dirty pages; charges the caller for it.
    void drop_clean(host::Thread& thread, Inode& inode);
    /// Sends a request without data and waits for its answer.
    sim::Task<> ask(host::Thread& thread, fuse::Opcode opcode, Inode& inode);
    /// The same about a name, which stands for `subject`.
    sim::Task<> ask(host::Thread& thread,
                    fuse::Opcode opcode,
                    Inode& directory,
                    Name name,
                    std::uint64_t subject);
    /// Sends RELEASE or RELEASEDIR, for which nobody waits.
    sim::Task<> release(host::Thread& thread, fuse::Opcode opcode, Inode& inode);
    sim::Task<> request(host::Thread& thread, transport::Call& call);
    void note(host::Thread& thread, std::int32_t error);
    /// Hands a request over; `ended` is told of its end, in the daemon's context.
    sim::Task<> send(host::Thread& thread, Exchange& exchange, void (Mount::*ended)(Exchange&));
    void shape(transport::Call& call, fuse::Opcode opcode, Inode& inode, std::uint32_t name_length);
    Exchange& take_exchange();
    void give_back(Exchange& exchange);

    // mount_paths.cpp
    sim::Task<Inode*> walk(host::Thread& thread, Path path);
    sim::Task<Inode*> walk_to_parent(host::Thread& thread, Path path);
    sim::Task<Inode*> lookup_target(host::Thread& thread, Inode& directory, Name name);
    sim::Task<> check_permission(host::Thread& thread, Inode& inode);
    sim::Task<> close_other(host::Thread& thread, File& file);
    sim::Task<int> open_existing(host::Thread& thread, Inode& inode, OpenFlags flags, File& out);
    sim::Task<int> done(host::Thread& thread, int result);
    /// A request that is answered by an error.
    sim::Task<> ask_in_vain(host::Thread& thread,
                            fuse::Opcode opcode,
                            Inode& inode,
                            fuse::RequestShape request,
                            int error);
    void truncate(host::Thread& thread, Inode& inode, std::uint64_t size);

    // mount_data.cpp
    sim::Task<> read_cached(host::Thread& thread,
                            File& file,
                            std::uint64_t first,
                            std::uint64_t end);
    /// FOPEN_DIRECT_IO: one READ after the other, until one comes back short.
    sim::Task<> read_directly(host::Thread& thread,
                              Inode& inode,
                              std::uint64_t offset,
                              std::uint64_t end);
    sim::Task<> read_direct(host::Thread& thread,
                            Inode& inode,
                            std::uint64_t offset,
                            std::uint64_t end);
    sim::Task<> ask_capability(host::Thread& thread, Inode& inode);
    sim::Task<> write_direct(host::Thread& thread,
                             Inode& inode,
                             std::uint64_t offset,
                             std::uint64_t end);
    /// What a direct transfer's pages cost their caller, each.
    struct PageCosts {
        sim::Time submit;
        sim::Time resume;
    };

    /// Direct I/O in requests of at most `most` bytes: one after the other, or all at once.
    sim::Task<> transfer(host::Thread& thread,
                         Inode& inode,
                         fuse::Opcode opcode,
                         std::uint64_t offset,
                         std::uint64_t end,
                         std::uint64_t most,
                         bool at_once,
                         PageCosts page);
    sim::Task<> write_through(host::Thread& thread,
                              Inode& inode,
                              std::uint64_t at,
                              std::uint32_t n);
    sim::Task<> write_back(host::Thread& thread, Inode& inode, std::uint64_t at, std::uint32_t n);
    sim::Task<> fetch(host::Thread& thread,
                      Inode& inode,
                      host::Readahead::Window window,
                      bool optional);
    sim::Task<> flush_dirty(host::Thread& thread, Inode& inode, bool wait);
    sim::Task<> fill_pages(host::Thread& thread,
                           Inode& inode,
                           std::uint64_t at,
                           std::uint32_t n,
                           sim::Time page,
                           bool only_whole);
    /// A READ that is answered in full, or a WRITE.
    void shape_data(transport::Call& call,
                    fuse::Opcode opcode,
                    Inode& inode,
                    std::uint64_t offset,
                    std::uint64_t bytes);
    /// writeback_cache: a file changed; its times must be sent if the clock has ticked since.
    void touch(Inode& inode);
    std::int64_t tick() const;
    sim::Task<> flush_times(host::Thread& thread, Inode& inode);
    Fetch* fetching(Inode& inode, std::uint64_t page) const;
    void fetched(Exchange& exchange);
    void written_back(Exchange& exchange);
    std::uint32_t most_bytes() const;
    /// Pages from `offset` to `end` are in use from now on, `copies` times.
    void use(host::Thread& thread,
             Inode& inode,
             std::uint64_t offset,
             std::uint64_t end,
             unsigned copies);

    sim::Time now() const { return dev_.cpu().engine().now(); }

    const host::Costs& costs() const { return dev_.cpu().costs(); }

    transport::Transport& dev_;
    const fuse::KernelBehaviour& kernel_;
    MountSettings settings_;
    std::set<const host::Thread*> lost_;  // whose requests ended with the connection
    std::set<fuse::Opcode> refused_;      ///< answered by ENOSYS, and never sent again
    std::optional<Extfuse> extfuse_;
    Backing* backing_;
    lower::Ext4* disk_;  // what the daemon's files lie on; null: memory
    std::vector<std::unique_ptr<Inode>> inodes_;
    std::vector<Inode*> retired_;  // to be used again
    std::vector<std::unique_ptr<Exchange>> exchanges_;
    std::vector<Exchange*> free_exchanges_;
    sim::WaitQueue writeback_done_;
    std::uint64_t last_nodeid_ = 1;
    std::uint64_t dirty_pages_ = 0;
    std::uint64_t writing_pages_ = 0;
};

}  // namespace fusesim::vfs
