#pragma once

#include "lower/ext4.h"

namespace fusesim::lower {

/// A file or directory below, with what the kernel keeps of it.
struct Ext4::Node {
    Node(sim::Engine& engine, host::PageCache& cache, std::uint64_t readahead_pages)
        : lock(engine, "a lower inode's lock"), cached(cache), readahead(readahead_pages) {}

    bool directory = false;
    bool loaded = true;  ///< the inode is in memory
    bool unlinked = false;
    bool on_ordered_list = false;
    std::uint64_t size = 0;
    std::uint64_t group = 0;  ///< of blocks, with the inode
    std::uint64_t index = 0;  ///< of the inode in its group
    Id parent = 0;
    std::uint64_t names = 0;  ///< of a directory
    std::vector<Extent> extents;

    host::RwLock lock;  ///< i_rwsem
    host::Mapping cached;
    host::Readahead readahead;  ///< Simplified: one for all who have the file open
    std::set<std::uint64_t> markers;
    std::vector<Fetch*> fetches;

    host::PageSet dirty;
    unsigned users = 0;            ///< threads that write its pages
    std::uint64_t writing = 0;     ///< pages on their way to the device
    std::uint64_t write_next = 0;  ///< where writing them goes on
    sim::Time dirtied;             ///< since when the first of them
    bool on_dirty_list = false;
    std::list<Node*>::iterator place;
    std::int64_t changed_tick = -1;
    Journal::Tid sync_tid = 0;  ///< last transaction with a change of the inode
    Journal::Tid data_tid = 0;  ///< ... that fdatasync() has to wait for
};

}  // namespace fusesim::lower
