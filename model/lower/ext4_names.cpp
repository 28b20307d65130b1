// Inodes, directories and their blocks.

#include "lower/ext4.h"
#include "lower/ext4_flusher.h"
#include "lower/ext4_node.h"

#include <algorithm>

namespace fusesim::lower {

using host::Readahead;
using host::Thread;
using sim::Task;

namespace {

/// Of names as our workloads have them: 8 bytes of header and up to 8 of name (fs/ext4/ext4.h:
/// ext4_dir_entry_2), in blocks that splits leave three quarters full.
constexpr std::uint64_t names_per_block = 4096 * 3 / 4 / 16;

/// inode_readahead_blks, a mount option: fs/ext4/super.c.
constexpr std::uint64_t inode_readahead = 32;

std::uint64_t spread(std::uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

}  // namespace

Ext4::Node& Ext4::new_node(Id id, Id directory, bool is_directory) {
    auto made = std::make_unique<Node>(cpu_.engine(), cpu_.page_cache(), settings_.readahead_pages);
    Node& out = *made;
    nodes_[id] = std::move(made);
    out.directory = is_directory;
    out.parent = directory;
    const auto parent = nodes_.find(directory);
    std::uint64_t group = parent != nodes_.end() && directory != id ? parent->second->group : 0;
    while (inodes_used_[group] >= Ext4Layout::inodes_per_group) {
        group = (group + 1) % layout_.groups();
    }
    out.group = group;
    out.index = inodes_used_[group]++;
    return out;
}

void Ext4::add_directory(Id parent, Id id, bool top_level) {
    Node& made = new_node(id, parent, true);
    if (top_level) {
        // Orlov's allocator spreads directories of the root over groups.
        --inodes_used_[made.group];
        made.group = random_.below(layout_.flexes()) * Ext4Layout::flex_groups;
        made.index = inodes_used_[made.group]++;
    }
    made.loaded = true;
    grow_directory(made);
    if (!settings_.cold) {
        device_->cached.add(inode_block(made), 1);
        device_->cached.add(made.extents.front().physical, 1);
    }
    if (parent != id) {
        ++node(parent).names;
        grow_directory(node(parent));
    }
}

bool Ext4::add_file(Id directory, Id id, std::uint64_t bytes) {
    Node& made = new_node(id, directory, false);
    made.size = bytes;
    made.loaded = !settings_.cold;
    Node& parent = node(directory);
    ++parent.names;
    grow_directory(parent);
    if (!settings_.cold) {
        device_->cached.add(inode_block(made), 1);
        device_->cached.add(directory_block(parent, id), 1);
    }
    const std::uint64_t blocks = (bytes + Ext4Layout::block_bytes - 1) / Ext4Layout::block_bytes;
    return blocks <= allocator_.free_blocks() && allocate(made, 0, blocks);
}

void Ext4::load_quietly(Id id) {
    node(id).loaded = true;
}

void Ext4::cache_quietly(Id id, std::uint64_t first_page, std::uint64_t pages) {
    node(id).cached.add(first_page, pages);
}

// --- blocks

std::uint64_t Ext4::inode_block(const Node& node) const {
    return layout_.inode_block(node.group, node.index);
}

std::uint64_t Ext4::directory_block(Node& directory, Id id) const {
    std::uint64_t blocks = 0;
    for (const Extent& extent : directory.extents) {
        blocks += extent.count;
    }
    // With an index (htree), the first block is its root.
    const std::uint64_t leaf = blocks > 1 ? 1 + spread(id) % (blocks - 1) : 0;
    return map(directory, leaf).physical;
}

void Ext4::grow_directory(Node& directory) {
    const std::uint64_t leaves = directory.names / names_per_block + 1;
    const std::uint64_t wanted = leaves > 1 ? leaves + 1 : 1;
    std::uint64_t blocks = 0;
    for (const Extent& extent : directory.extents) {
        blocks += extent.count;
    }
    for (; blocks < wanted; ++blocks) {
        const bool first = directory.extents.empty();
        const std::uint64_t goal =
            first ? layout_.metadata(directory.group / Ext4Layout::flex_groups)
                  : directory.extents.back().physical + directory.extents.back().count;
        Extent extent = allocator_.allocate(goal, 1);
        extent.logical = blocks;
        append(directory.extents, extent);
        device_->cached.add(extent.physical, 1);
    }
    directory.size = wanted * Ext4Layout::block_bytes;
}

/// A block of metadata is in memory; those of the aligned window around it are asked for, too.
Task<> Ext4::read_block(Thread& thread, std::uint64_t block, std::uint64_t window) {
    while (!device_->cached.contains(block)) {
        Fetch* on_its_way = fetching(*device_, block);
        if (on_its_way == nullptr) {
            const std::uint64_t first = block / window * window;
            submit(thread, *device_, first, window, Readahead::none);
            on_its_way = fetching(*device_, block);
        }
        co_await thread.sleep(on_its_way->arrived);
    }
    device_->cached.touch(block, 1);
}

Journal::Tid Ext4::change_block(std::uint64_t block) {
    device_->cached.add(block, 1);
    if (device_->dirty.remove(block, 1) > 0) {  // it is to be written as it will be committed
        backing_.cancelled(1);
    }
    device_->cached.hold(block, 1);
    return journal_.change(block);
}

void Ext4::change_inode(Node& node) {
    node.sync_tid = change_block(inode_block(node));
}

// --- calls

Task<> Ext4::load(Thread& thread, Id id) {
    Node& found = node(id);
    if (!found.loaded) {
        co_await read_block(thread, inode_block(found), inode_readahead);
        found.loaded = true;
    }
}

Task<> Ext4::lookup(Thread& thread, Id directory, Id id) {
    Node& parent = node(directory);
    co_await load(thread, directory);
    if (parent.extents.back().logical > 0 || parent.extents.front().count > 1) {
        co_await read_block(thread, parent.extents.front().physical, 1);
    }
    co_await read_block(thread, directory_block(parent, id), 1);
    if (id != 0 && nodes_.count(id) > 0) {
        co_await load(thread, id);
    }
}

Task<> Ext4::list(Thread& thread, Id directory) {
    co_await load(thread, directory);
    const std::vector<Extent> extents = node(directory).extents;
    for (const Extent& extent : extents) {
        submit(thread, *device_, extent.physical, extent.count, Readahead::none);
        for (std::uint64_t i = 0; i < extent.count; ++i) {
            co_await read_block(thread, extent.physical + i, 1);
        }
    }
}

Task<> Ext4::create(Thread& thread, Id directory, Id id, bool makes_directory) {
    co_await lookup(thread, directory, 0);
    Node& parent = node(directory);
    Node& made = new_node(id, directory, makes_directory);
    co_await read_block(thread, layout_.inode_bitmap(made.group), 1);
    const std::uint64_t block = inode_block(made);
    if (made.index * Ext4Layout::inode_bytes % Ext4Layout::block_bytes != 0) {
        co_await read_block(thread, block, inode_readahead);
    }
    ++parent.names;
    const std::uint64_t size = parent.size;
    grow_directory(parent);
    change_block(layout_.inode_bitmap(made.group));
    change_block(layout_.descriptor_block(made.group));
    change_block(directory_block(parent, id));
    if (parent.size != size) {
        const std::uint64_t group = parent.extents.back().physical / Ext4Layout::group_blocks;
        change_block(layout_.block_bitmap(group));
        change_block(parent.extents.back().physical + parent.extents.back().count - 1);
    }
    if (makes_directory) {
        grow_directory(made);
        change_block(made.extents.front().physical);
        change_block(
            layout_.block_bitmap(made.extents.front().physical / Ext4Layout::group_blocks));
    }
    change_inode(parent);
    change_inode(made);
    made.data_tid = made.sync_tid;
}

Task<> Ext4::unlink(Thread& thread, Id directory, Id id) {
    co_await lookup(thread, directory, id);
    Node& parent = node(directory);
    Node& gone = node(id);
    --parent.names;
    change_block(directory_block(parent, id));
    change_inode(parent);
    change_inode(gone);
    change_block(layout_.inode_bitmap(gone.group));
    change_block(layout_.descriptor_block(gone.group));
    release_blocks(gone);
    gone.unlinked = true;
    gone_.push_back(std::move(nodes_.at(id)));
    nodes_.erase(id);
    gone_.erase(std::remove_if(gone_.begin(),
                               gone_.end(),
                               [](const auto& one) {
                                   return one->fetches.empty() && one->writing == 0 &&
                                          one->users == 0 && !one->on_ordered_list;
                               }),
                gone_.end());
}

void Ext4::release_blocks(Node& node) {
    if (const std::uint64_t dirty = node.dirty.count(); dirty > 0) {
        backing_.cancelled(dirty);
        node.dirty.clear();
    }
    if (node.on_dirty_list) {
        dirty_nodes_.erase(node.place);
        node.on_dirty_list = false;
    }
    node.cached.clear();
    node.markers.clear();
    for (const Extent& extent : node.extents) {
        const std::uint64_t last = extent.physical + extent.count - 1;
        for (std::uint64_t group = extent.physical / Ext4Layout::group_blocks;
             group <= last / Ext4Layout::group_blocks;
             ++group) {
            change_block(layout_.block_bitmap(group));
            change_block(layout_.descriptor_block(group));
        }
        allocator_.free(extent.physical, extent.count);
    }
    node.extents.clear();
}

}  // namespace fusesim::lower
