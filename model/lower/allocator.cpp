#include "lower/allocator.h"

#include <algorithm>
#include <iterator>

namespace fusesim::lower {

namespace {

/// lib/ext2fs/mkjournal.c: ext2fs_default_journal_size(), for blocks of 4 KiB.
std::uint64_t default_journal_blocks(std::uint64_t blocks) {
    constexpr std::uint64_t k = 1024;
    struct Row {
        std::uint64_t below;
        std::uint64_t journal;
    };
    constexpr Row rows[] = {{32 * k, 1 * k},
                            {256 * k, 4 * k},
                            {512 * k, 8 * k},
                            {4096 * k, 16 * k},
                            {8192 * k, 32 * k},
                            {16'384 * k, 64 * k},
                            {32'768 * k, 128 * k}};
    for (const Row& row : rows) {
        if (blocks < row.below) {
            return row.journal;
        }
    }
    return 256 * k;
}

constexpr std::uint64_t descriptor_bytes = 64;  // the 64bit feature

}  // namespace

Ext4Layout::Ext4Layout(std::uint64_t device_bytes)
    : blocks_(device_bytes / block_bytes),
      descriptor_blocks_((groups() * descriptor_bytes + block_bytes - 1) / block_bytes),
      journal_blocks_(default_journal_blocks(blocks_)) {
    // In the middle of the device, behind what lies at the beginning of its sixteen groups.
    journal_first_ = metadata(flexes() / 2) + metadata_blocks(flexes() / 2);
}

std::uint64_t Ext4Layout::metadata(std::uint64_t flex) const {
    return flex * flex_groups * group_blocks + 1 + descriptor_blocks_;
}

Allocator::Allocator(const Ext4Layout& layout) {
    free(0, layout.blocks());
    for (std::uint64_t flex = 0; flex < layout.flexes(); ++flex) {
        const std::uint64_t first = flex * Ext4Layout::flex_groups * Ext4Layout::group_blocks;
        take_out(first, layout.metadata(flex) + layout.metadata_blocks(flex) - first);
    }
    take_out(layout.journal_first(), layout.journal_blocks());
}

void Allocator::take_out(std::uint64_t first, std::uint64_t count) {
    const std::uint64_t end = first + count;
    auto run = runs_.upper_bound(first);
    if (run != runs_.begin() && std::prev(run)->first + std::prev(run)->second > first) {
        run = std::prev(run);
    }
    while (run != runs_.end() && run->first < end) {
        const auto [run_first, run_count] = *run;
        const std::uint64_t run_end = run_first + run_count;
        run = runs_.erase(run);
        if (run_first < first) {
            runs_.emplace_hint(run, run_first, first - run_first);
        }
        if (run_end > end) {
            run = runs_.emplace_hint(run, end, run_end - end);
        }
        free_blocks_ -= std::min(run_end, end) - std::max(run_first, first);
    }
}

Extent Allocator::allocate(std::uint64_t goal, std::uint64_t count) {
    if (runs_.empty() || count == 0) {
        return {};
    }
    auto run = runs_.upper_bound(goal);
    if (run != runs_.begin() && std::prev(run)->first + std::prev(run)->second > goal) {
        run = std::prev(run);
    } else if (run == runs_.end()) {
        run = runs_.begin();
    }
    const std::uint64_t first =
        goal >= run->first && goal < run->first + run->second ? goal : run->first;
    const std::uint64_t taken = std::min(count, run->first + run->second - first);
    take_out(first, taken);
    return {0, first, taken};
}

void Allocator::free(std::uint64_t first, std::uint64_t count) {
    if (count == 0) {
        return;
    }
    free_blocks_ += count;
    auto after = runs_.upper_bound(first);
    if (after != runs_.begin()) {
        const auto before = std::prev(after);
        if (before->first + before->second == first) {
            first = before->first;
            count += before->second;
            runs_.erase(before);
        }
    }
    if (after != runs_.end() && first + count == after->first) {
        count += after->second;
        after = runs_.erase(after);
    }
    runs_.emplace_hint(after, first, count);
}

}  // namespace fusesim::lower
