#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

namespace fusesim::lower {

/// Neighbouring blocks of a file that lie next to each other on the device, too.
struct Extent {
    std::uint64_t logical = 0;   ///< block of the file
    std::uint64_t physical = 0;  ///< block of the device
    std::uint64_t count = 0;
};

/// Where mke2fs puts what is not data; all numbers are blocks of 4 KiB.
/// Documentation/filesystems/ext4 (kernel tree): blockgroup, bitmaps, inodes; mke2fs.conf: inode
/// size 256, one inode for 16 KiB, flex_bg of 16 groups; lib/ext2fs/mkjournal.c: journal size.
class Ext4Layout {
  public:
    static constexpr std::uint64_t block_bytes = 4096;
    static constexpr std::uint64_t group_blocks = 32'768;
    static constexpr std::uint64_t flex_groups = 16;
    static constexpr std::uint64_t inode_bytes = 256;
    static constexpr std::uint64_t inodes_per_group = group_blocks * block_bytes / 16'384;
    static constexpr std::uint64_t inode_table_blocks =
        inodes_per_group * inode_bytes / block_bytes;

    explicit Ext4Layout(std::uint64_t device_bytes);

    std::uint64_t blocks() const { return blocks_; }

    std::uint64_t groups() const { return (blocks_ + group_blocks - 1) / group_blocks; }

    std::uint64_t flexes() const { return (groups() + flex_groups - 1) / flex_groups; }

    /// First block of the bitmaps and inode tables of a group's sixteen.
    std::uint64_t metadata(std::uint64_t flex) const;

    std::uint64_t metadata_blocks(std::uint64_t flex) const {
        return std::min(flex_groups, groups() - flex * flex_groups) * (2 + inode_table_blocks);
    }

    std::uint64_t block_bitmap(std::uint64_t group) const {
        return metadata(group / flex_groups) + group % flex_groups;
    }

    std::uint64_t inode_bitmap(std::uint64_t group) const {
        return block_bitmap(group) + flex_groups;
    }

    /// Block with the inode that is number `index` of a group.
    std::uint64_t inode_block(std::uint64_t group, std::uint64_t index) const {
        return metadata(group / flex_groups) + 2 * flex_groups +
               group % flex_groups * inode_table_blocks + index * inode_bytes / block_bytes;
    }

    /// Block of the group descriptors that has this one's.
    std::uint64_t descriptor_block(std::uint64_t group) const { return 1 + group / 64; }

    std::uint64_t journal_first() const { return journal_first_; }

    std::uint64_t journal_blocks() const { return journal_blocks_; }

  private:
    std::uint64_t blocks_;
    std::uint64_t descriptor_blocks_;
    std::uint64_t journal_blocks_;
    std::uint64_t journal_first_;
};

/// The free blocks of a device: each request takes the first free ones from its goal on.
class Allocator {
  public:
    explicit Allocator(const Ext4Layout& layout);

    /// Takes up to `count` neighbouring blocks; fewer if the next free run is shorter, none if
    /// nothing is free. `logical` of the answer is left to the caller.
    Extent allocate(std::uint64_t goal, std::uint64_t count);
    void free(std::uint64_t first, std::uint64_t count);

    std::uint64_t free_blocks() const { return free_blocks_; }

  private:
    void take_out(std::uint64_t first, std::uint64_t count);

    std::map<std::uint64_t, std::uint64_t> runs_;  // first block, count
    std::uint64_t free_blocks_ = 0;
};

}  // namespace fusesim::lower
