#include "lower/ext4.h"

#include "fuse/sizes.h"
#include "lower/ext4_flusher.h"
#include "lower/ext4_node.h"

#include <algorithm>
#include <iterator>

namespace fusesim::lower {

using fuse::pages_of;
using host::Readahead;
using host::Thread;
using sim::Task;
using sim::Time;

namespace {

/// s_mb_stream_request of fs/ext4/mballoc.c: files below 16 blocks are small.
constexpr std::uint64_t stream_blocks = 16;

Time times(Time each, std::uint64_t count) {
    return each * static_cast<std::int64_t>(count);
}

}  // namespace

Ext4::Fetch::Fetch(Ext4& owner) : fs(owner), arrived(owner.cpu_.engine(), "a page from disk") {}

Ext4::Ext4(host::Cpu& cpu, BlockQueue& queue, const Ext4Settings& settings)
    : cpu_(cpu),
      queue_(queue),
      settings_(settings),
      layout_(settings.device_bytes),
      allocator_(layout_),
      random_(settings.seed, "lower.ext4"),
      device_(std::make_unique<Node>(cpu.engine(), cpu.page_cache(), settings.readahead_pages)),
      inodes_used_(layout_.groups(), 0),
      journal_(cpu, queue, layout_, settings.journal, *this),
      backing_(cpu.dirty_pages(), false),
      written_(cpu.engine(), "the end of writeback") {
    const Time page = costs().cached_write_new_page - costs().cached_write_page;
    new_page_ = std::max(page, Time());
    device_->extents = {{0, 0, layout_.blocks()}};
    device_->size = layout_.blocks() * page_bytes;
    flusher_ = std::make_unique<Flusher>(*this);
}

Ext4::~Ext4() = default;

std::uint64_t Ext4::cached_pages() const {
    std::uint64_t sum = device_->cached.count();
    for (const auto& [id, node] : nodes_) {
        sum += node->cached.count();
    }
    return sum;
}

const std::vector<Extent>& Ext4::extents(Id id) const {
    return node(id).extents;
}

// --- blocks of a file

Extent Ext4::map(const Node& node, std::uint64_t block) const {
    const auto after = std::upper_bound(
        node.extents.begin(), node.extents.end(), block, [](std::uint64_t b, const Extent& e) {
            return b < e.logical;
        });
    if (after == node.extents.begin()) {
        return {block, 0, 0};
    }
    const Extent& extent = *std::prev(after);
    const std::uint64_t into = block - extent.logical;
    if (into >= extent.count) {
        return {block, 0, 0};  // a hole, or not allocated yet
    }
    return {block, extent.physical + into, extent.count - into};
}

void Ext4::append(std::vector<Extent>& extents, const Extent& extent) {
    const auto after = std::upper_bound(
        extents.begin(), extents.end(), extent.logical, [](std::uint64_t b, const Extent& e) {
            return b < e.logical;
        });
    if (after != extents.begin()) {
        Extent& before = *std::prev(after);
        if (before.logical + before.count == extent.logical &&
            before.physical + before.count == extent.physical) {
            before.count += extent.count;
            return;
        }
    }
    extents.insert(after, extent);
}

// mballoc in short: a file goes on where it ends; small new ones lie one behind the other, and so
// do large ones.
bool Ext4::allocate(Node& node, std::uint64_t first, std::uint64_t count) {
    while (count > 0) {
        const bool small = first == 0 && count < stream_blocks;
        std::uint64_t goal = small ? small_goal_ : stream_goal_;
        if (!node.extents.empty()) {
            const Extent& last = node.extents.back();
            goal = last.physical + last.count;
        }
        Extent extent = allocator_.allocate(goal, count);
        if (extent.count == 0) {
            return false;
        }
        extent.logical = first;
        append(node.extents, extent);
        (small ? small_goal_ : stream_goal_) = extent.physical + extent.count;
        first += extent.count;
        count -= extent.count;
    }
    return true;
}

// --- reading

Ext4::Fetch* Ext4::fetching(const Node& node, std::uint64_t page) const {
    for (Fetch* fetch : node.fetches) {
        if (page >= fetch->first && page - fetch->first < fetch->count) {
            return fetch;
        }
    }
    return nullptr;
}

/// Asks for those pages of a window that are neither in memory nor on their way.
void Ext4::submit(
    Thread& thread, Node& node, std::uint64_t first, std::uint64_t count, std::uint64_t marker) {
    const std::uint64_t stop = std::min(first + count, pages_of(node.size));
    if (first >= stop) {
        return;
    }
    if (marker < stop) {
        node.markers.insert(marker);
    }
    BlockQueue::Plug plug(queue_, thread);
    for (std::uint64_t page = first; page < stop;) {
        if (node.cached.contains(page) || fetching(node, page) != nullptr) {
            ++page;
            continue;
        }
        const Extent place = map(node, page);
        const std::uint64_t most = place.count > 0 ? std::min(place.count, stop - page) : 1;
        std::uint64_t run = 1;
        while (run < most && !node.cached.contains(page + run) &&
               fetching(node, page + run) == nullptr) {
            ++run;
        }
        thread.charge(times(new_page_, run) + cpu_.memory().pages(run));
        if (place.count == 0) {
            node.cached.add(page, run);  // nothing to read: zeros
        } else {
            if (free_fetches_.empty()) {
                fetches_.push_back(std::make_unique<Fetch>(*this));
                free_fetches_.push_back(fetches_.back().get());
            }
            Fetch& fetch = *free_fetches_.back();
            free_fetches_.pop_back();
            fetch.node = &node;
            fetch.first = page;
            fetch.count = run;
            fetch.io = {};
            fetch.io.offset = place.physical * page_bytes;
            fetch.io.bytes = static_cast<std::uint32_t>(run * page_bytes);
            node.fetches.push_back(&fetch);
            plug.add(fetch);
        }
        page += run;
    }
}

void Ext4::fetched(Fetch& fetch) {
    Node& node = *fetch.node;
    node.fetches.erase(std::find(node.fetches.begin(), node.fetches.end(), &fetch));
    if (!node.unlinked || node.directory) {
        node.cached.add(fetch.first, fetch.count);
    }
    fetch.arrived.wake_all();
    free_fetches_.push_back(&fetch);
}

/// All pages from `first` to `end` are in memory, read ahead as the file is being read.
Task<> Ext4::bring_in(Thread& thread, Node& node, std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t page = first; page < end;) {
        if (!node.markers.empty() && node.markers.erase(page) > 0) {
            const auto window = node.readahead.marker(page, end - page, node.cached);
            submit(thread, node, window.first, window.count, window.marker);
        }
        if (node.cached.contains(page)) {
            ++page;
            continue;
        }
        Fetch* on_its_way = fetching(node, page);
        if (on_its_way == nullptr) {
            const auto window = node.readahead.miss(page, end - page, node.cached);
            submit(thread, node, window.first, window.count, window.marker);
            if (node.markers.erase(page) > 0) {
                const auto next = node.readahead.marker(page, end - page, node.cached);
                submit(thread, node, next.first, next.count, next.marker);
            }
            on_its_way = fetching(node, page);
        }
        if (on_its_way == nullptr && !node.cached.contains(page)) {
            submit(thread, node, page, 1, Readahead::none);  // a window elsewhere
            on_its_way = fetching(node, page);
        }
        if (on_its_way != nullptr) {
            co_await thread.sleep(on_its_way->arrived);
            // Pages may be reclaimed before they are used, where memory is short.
            if (!node.cached.contains(page) && fetching(node, page) == nullptr) {
                ++page;
            }
        }
    }
}

Task<> Ext4::read(Thread& thread, Id id, std::uint64_t offset, std::uint64_t bytes) {
    Node& file = node(id);
    const std::uint64_t stop = std::min(offset + bytes, file.size);
    if (offset >= stop) {
        co_return;
    }
    const std::uint64_t first = offset / page_bytes;
    const std::uint64_t end = pages_of(stop);
    if (file.cached.next_missing(first, end) < end || !file.markers.empty()) {
        co_await bring_in(thread, file, first, end);
    }
    file.cached.touch(first, end - first);
    file.readahead.set_previous(end);
}

std::uint64_t Ext4::drop_cache(Id id) {
    Node& file = node(id);
    file.markers.clear();
    return file.cached.drop_clean();
}

}  // namespace fusesim::lower
