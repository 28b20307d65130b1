#pragma once

#include "fuse/kernel.h"
#include "host/cpu.h"
#include "lower/ext4.h"
#include "sim/task.h"
#include "transport/transport.h"
#include "vfs/file_tree.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace fusesim::vfs {

/// How the daemon and mount(8) set up the caches of one mount.
struct MountSettings {
    sim::Time entry_timeout;
    sim::Time attr_timeout;
    sim::Time negative_timeout;
    bool direct_io = false;              ///< FOPEN_DIRECT_IO
    bool keep_cache = false;             ///< FOPEN_KEEP_CACHE
    bool writeback_cache = false;        ///< FUSE_WRITEBACK_CACHE
    bool readdirplus = true;             ///< FUSE_DO_READDIRPLUS and FUSE_READDIRPLUS_AUTO
    bool parallel_dirops = false;        ///< FUSE_PARALLEL_DIROPS
    bool passthrough = false;            ///< FOPEN_PASSTHROUGH
    std::uint32_t max_write = 1u << 20;  ///< bytes of one WRITE
    std::uint32_t max_pages = 256;       ///< pages of one READ or WRITE
    std::uint64_t readahead_pages = 32;  ///< ra_pages
    bool cached_below = false;           ///< the daemon's file system keeps all data in memory, too
    bool knows_capabilities = true;      ///< that there are none was answered before
    std::uint64_t dirty_limit = 8192;    ///< pages that may wait to be written, strict limit
    std::uint32_t protocol_minor = 45;
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

    std::uint64_t cached_pages() const override;

  private:
    struct Exchange;

    // mount.cpp
    Inode& new_inode(bool directory);
    void evict_if_unused(Inode& inode);
    sim::Task<Inode*> lookup(host::Thread& thread, Inode& directory, Name name, bool locked);
    void learn(Inode& inode, Entry& entry);
    void refresh_attributes(Inode& inode);
    /// What READDIRPLUS told of some names, counted from the directory's first.
    void prime(Inode& directory, std::uint64_t first, std::uint64_t count);
    bool attributes_stale(const Inode& inode) const;
    sim::Task<> getattr(host::Thread& thread, Inode& inode);
    void begin_open(File& out, Inode& inode, bool o_direct);
    /// Drops what is cached of a file, but for dirty pages; charges the caller for it.
    void drop_clean(host::Thread& thread, Inode& inode);
    /// Sends a request without data and waits for its answer.
    sim::Task<> ask(host::Thread& thread,
                    fuse::Opcode opcode,
                    Inode& inode,
                    std::uint32_t name_length = 0,
                    std::uint64_t subject = 0);
    /// Sends RELEASE or RELEASEDIR, for which nobody waits.
    sim::Task<> release(host::Thread& thread, fuse::Opcode opcode, Inode& inode);
    sim::Task<> request(host::Thread& thread, transport::Call& call);
    /// Hands a request over; `ended` is told of its end, in the daemon's context.
    sim::Task<> send(host::Thread& thread, Exchange& exchange, void (Mount::*ended)(Exchange&));
    void shape(transport::Call& call, fuse::Opcode opcode, Inode& inode, std::uint32_t name_length);
    Exchange& take_exchange();
    void give_back(Exchange& exchange);

    // mount_data.cpp
    sim::Task<> read_cached(host::Thread& thread,
                            File& file,
                            std::uint64_t first,
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
    sim::Task<> fill_pages(
        host::Thread& thread, Inode& inode, std::uint64_t at, std::uint32_t n, sim::Time page);
    /// A READ that is answered in full, or a WRITE.
    void shape_data(transport::Call& call,
                    fuse::Opcode opcode,
                    Inode& inode,
                    std::uint64_t offset,
                    std::uint64_t bytes);
    /// writeback_cache: a file changed; its times must be sent if the clock has ticked since.
    void touch(Inode& inode);
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
    bool asked_capability_;
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
