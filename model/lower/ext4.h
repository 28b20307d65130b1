#pragma once

#include "host/cpu.h"
#include "host/dirty_pages.h"
#include "host/page_cache.h"
#include "host/page_set.h"
#include "host/readahead.h"
#include "host/rw_lock.h"
#include "lower/allocator.h"
#include "lower/block_queue.h"
#include "lower/journal.h"
#include "sim/random.h"

#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

namespace fusesim::lower {

struct Ext4Settings {
    std::uint64_t device_bytes = std::uint64_t{1} << 40;
    std::uint64_t readahead_pages = 32;  ///< read_ahead_kb of the device
    bool cold = false;                   ///< nothing is in memory when the run begins
    JournalSettings journal;
    /// vm.dirty_writeback_centisecs and vm.dirty_expire_centisecs
    sim::Time dirty_writeback = sim::Time::from_ns(5'000'000'000);
    sim::Time dirty_expire = sim::Time::from_ns(30'000'000'000);
    std::uint64_t seed = 1;
};

/// A file system on a block device: which blocks its calls read and write, what it finds in memory,
/// and who waits for what (models fs/ext4 with delayed allocation and an ordered journal, with
/// mm/filemap.c, mm/readahead.c and fs/fs-writeback.c around it). Files are known by the numbers
/// that the caller gives them. What the calls cost on a core when all is in memory is the caller's
/// to charge; here are only the costs of pages that have to be brought in, and of requests.
class Ext4 final : private Journal::Owner {
  public:
    using Id = std::uint64_t;
    using Thread = host::Thread;

    Ext4(host::Cpu& cpu, BlockQueue& queue, const Ext4Settings& settings);
    ~Ext4();

    // --- content before the run, outside of simulated time

    void add_directory(Id parent, Id id, bool top_level);
    /// False if it does not fit.
    bool add_file(Id directory, Id id, std::uint64_t bytes);
    /// Its inode is in memory, as that of an open file is.
    void load_quietly(Id id);
    /// Part of a file is in memory.
    void cache_quietly(Id id, std::uint64_t first_page, std::uint64_t pages);

    // --- what calls wait for

    /// A name that stands for `id`, or for nothing if 0.
    sim::Task<> lookup(Thread& thread, Id directory, Id id);
    sim::Task<> load(Thread& thread, Id id);
    sim::Task<> list(Thread& thread, Id directory);
    sim::Task<> create(Thread& thread, Id directory, Id id, bool makes_directory);
    /// The last name of a file that nobody has open.
    sim::Task<> unlink(Thread& thread, Id directory, Id id);
    sim::Task<> read(Thread& thread, Id id, std::uint64_t offset, std::uint64_t bytes);
    sim::Task<> write(Thread& thread, Id id, std::uint64_t offset, std::uint64_t bytes);
    sim::Task<> fsync(Thread& thread, Id id, bool only_data);
    /// posix_fadvise(POSIX_FADV_DONTNEED) of the whole file; returns how many pages went.
    std::uint64_t drop_cache(Id id);

    /// Nothing more is begun by itself, so that the simulation can end.
    void quiesce();

    std::uint64_t cached_pages() const;

    const Journal& journal() const { return journal_; }

    std::uint64_t free_blocks() const { return allocator_.free_blocks(); }

    /// Of a file or directory, for tests and reports; in order of the file's blocks.
    const std::vector<Extent>& extents(Id id) const;

    const Ext4Layout& layout() const { return layout_; }

  private:
    static constexpr std::uint64_t page_bytes = Ext4Layout::block_bytes;

    struct Node;

    /// Pages on their way into memory.
    struct Fetch final : Bio {
        explicit Fetch(Ext4& owner);

        void ended() override { fs.fetched(*this); }

        Ext4& fs;
        Node* node = nullptr;
        std::uint64_t first = 0;
        std::uint64_t count = 0;
        sim::WaitQueue arrived;
    };

    /// Pages on their way to the device.
    struct Write final : Bio {
        explicit Write(Ext4& owner) : fs(owner) {}

        void ended() override { fs.written(*this); }

        Ext4& fs;
        Node* node = nullptr;
        std::uint64_t first = 0;
        std::uint64_t count = 0;
    };

    // ext4.cpp: pages
    Node& node(Id id) const { return *nodes_.at(id); }

    Extent map(const Node& node, std::uint64_t block) const;
    Fetch* fetching(const Node& node, std::uint64_t page) const;
    void submit(
        Thread& thread, Node& node, std::uint64_t first, std::uint64_t count, std::uint64_t marker);
    sim::Task<> bring_in(Thread& thread, Node& node, std::uint64_t first, std::uint64_t end);
    void fetched(Fetch& fetch);
    bool allocate(Node& node, std::uint64_t first, std::uint64_t count);
    static void append(std::vector<Extent>& extents, const Extent& extent);

    // ext4_names.cpp: inodes and directories
    Node& new_node(Id id, Id directory, bool is_directory);
    std::uint64_t inode_block(const Node& node) const;
    std::uint64_t directory_block(Node& directory, Id id) const;
    void grow_directory(Node& directory);
    sim::Task<> read_block(Thread& thread, std::uint64_t block, std::uint64_t window);
    Journal::Tid change_block(std::uint64_t block);
    void change_inode(Node& node);
    void release_blocks(Node& node);

    // ext4_write.cpp: writeback
    struct Flusher;
    void dirtied(Node& node, std::uint64_t pages);
    sim::Task<std::uint64_t> write_pages(Thread& thread, Node& node, std::uint64_t most);
    void submit_write(BlockQueue::Plug& plug,
                      Node& node,
                      std::uint64_t first,
                      const Extent& extent);
    void written(Write& write);
    sim::Task<> throttle(Thread& thread, std::uint64_t pages);
    sim::Task<> write_ordered(Thread& thread) override;
    void committed(const std::vector<std::uint64_t>& blocks) override;
    sim::Task<> flush_pages(Thread& thread);
    Node* next_to_flush(bool background);

    sim::Time now() const { return cpu_.engine().now(); }

    const host::Costs& costs() const { return cpu_.costs(); }

    host::Cpu& cpu_;
    BlockQueue& queue_;
    Ext4Settings settings_;
    Ext4Layout layout_;
    Allocator allocator_;
    sim::Random random_;
    sim::Time new_page_;            // what a page costs that is not in memory yet
    std::unique_ptr<Node> device_;  // blocks of the device: what is not data
    std::unordered_map<Id, std::unique_ptr<Node>> nodes_;  // never iterated but to count pages
    std::vector<std::unique_ptr<Node>> gone_;              // deleted, with I/O under way
    std::vector<std::unique_ptr<Fetch>> fetches_;
    std::vector<Fetch*> free_fetches_;
    std::vector<std::unique_ptr<Write>> writes_;
    std::vector<Write*> free_writes_;
    std::vector<std::uint64_t> inodes_used_;  // by group
    std::uint64_t stream_goal_ = 0;           // where the last large allocation ended
    std::uint64_t small_goal_ = 0;            // ... the last small one

    Journal journal_;
    host::BackingDevice backing_;
    std::list<Node*> dirty_nodes_;  // the first dirtied first
    std::vector<Node*> ordered_;    // of the running transaction
    std::unique_ptr<Flusher> flusher_;
    sim::WaitQueue written_;
    bool quiescing_ = false;
};

}  // namespace fusesim::lower
