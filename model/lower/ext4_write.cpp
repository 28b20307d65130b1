// Writing, writeback and fsync.

#include "fuse/sizes.h"
#include "lower/ext4.h"
#include "lower/ext4_flusher.h"
#include "lower/ext4_node.h"
#include "lower/io_batch.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace fusesim::lower {

using fuse::pages_of;
using host::Readahead;
using host::Thread;
using sim::Task;
using sim::Time;

namespace {

/// Times of files are as coarse as the timer: CONFIG_HZ of Debian's kernels.
constexpr Time timer_tick = Time::from_ns(4'000'000);

/// fs/fs-writeback.c: MIN_WRITEBACK_PAGES, 4 MiB.
constexpr std::uint64_t least_chunk = 1024;

}  // namespace

Task<> Ext4::write(Thread& thread, Id id, std::uint64_t offset, std::uint64_t bytes) {
    Node& file = node(id);
    co_await file.lock.lock(thread);
    const std::uint64_t first = offset / page_bytes;
    const std::uint64_t end = pages_of(offset + bytes);
    for (const std::uint64_t page : {first, end - 1}) {
        // A page that is not wholly written is read first, unless it lies beyond the end.
        const bool whole = offset <= page * page_bytes && offset + bytes >= (page + 1) * page_bytes;
        if (!whole && page * page_bytes < file.size && !file.cached.contains(page)) {
            if (fetching(file, page) == nullptr) {
                submit(thread, file, page, 1, Readahead::none);
            }
            if (Fetch* on_its_way = fetching(file, page)) {
                co_await thread.sleep(on_its_way->arrived);
            }
        }
    }
    const std::uint64_t added = file.cached.add(first, end - first);
    thread.charge(new_page_ * static_cast<std::int64_t>(added));
    const std::uint64_t fresh = file.dirty.add(first, end - first);
    file.cached.hold(first, end - first);
    dirtied(file, fresh);
    file.size = std::max(file.size, offset + bytes);
    const std::int64_t tick = now().ps() / timer_tick.ps();
    if (tick != file.changed_tick) {
        file.changed_tick = tick;
        change_inode(file);
    }
    co_await throttle(thread, fresh);
    file.lock.unlock();
}

void Ext4::dirtied(Node& node, std::uint64_t pages) {
    if (pages == 0) {
        return;
    }
    backing_.dirtied(pages);
    if (!node.on_dirty_list) {
        node.on_dirty_list = true;
        node.dirtied = now();
        node.place = dirty_nodes_.insert(dirty_nodes_.end(), &node);
    }
    if (!quiescing_ && !flusher_->timer.scheduled()) {
        cpu_.engine().schedule(flusher_->timer, now() + settings_.dirty_writeback);
    }
}

Task<> Ext4::throttle(Thread& thread, std::uint64_t pages) {
    if (pages == 0 || !backing_.wants_flusher(now())) {
        co_return;
    }
    while (!quiescing_) {  // afterwards nothing makes room any more
        flusher_->work.wake_one();
        const Time pause = backing_.pause(thread, pages, now());
        if (pause == Time()) {
            co_return;
        }
        pages = 0;
        co_await thread.sleep_for(pause);
    }
}

// --- writeback

void Ext4::submit_write(BlockQueue::Plug& plug,
                        Node& node,
                        std::uint64_t first,
                        const Extent& extent) {
    if (free_writes_.empty()) {
        writes_.push_back(std::make_unique<Write>(*this));
        free_writes_.push_back(writes_.back().get());
    }
    Write& write = *free_writes_.back();
    free_writes_.pop_back();
    write.node = &node;
    write.first = first;
    write.count = extent.count;
    write.io = {};
    write.io.kind = device::Io::Kind::write;
    write.io.offset = extent.physical * page_bytes;
    write.io.bytes = static_cast<std::uint32_t>(extent.count * page_bytes);
    node.dirty.remove(first, extent.count);
    node.writing += extent.count;
    backing_.write_began(extent.count);
    plug.add(write);
}

/// Hands over up to `most` dirty pages of a file, those without a place after giving them one.
Task<std::uint64_t> Ext4::write_pages(Thread& thread, Node& node, std::uint64_t most) {
    std::uint64_t handed = 0;
    ++node.users;
    while (handed < most && !node.dirty.empty()) {
        co_await queue_.wait_for_room(thread);
        BlockQueue::Plug plug(queue_, thread);
        while (handed < most && !node.dirty.empty() && !queue_.full()) {
            const auto [first, run] = node.dirty.run_from(node.write_next);
            const std::uint64_t count = std::min({run, most - handed, std::uint64_t{256}});
            Extent place = map(node, first);
            if (place.count == 0) {
                if (!allocate(node, first, std::min(run, most - handed))) {
                    throw std::runtime_error("the file system below is full");
                }
                place = map(node, first);
                change_block(layout_.block_bitmap(place.physical / Ext4Layout::group_blocks));
                change_block(layout_.descriptor_block(place.physical / Ext4Layout::group_blocks));
                change_inode(node);
                node.data_tid = node.sync_tid;
                if (!node.on_ordered_list) {
                    node.on_ordered_list = true;
                    ordered_.push_back(&node);
                }
            }
            place.count = std::min(place.count, count);
            submit_write(plug, node, first, place);
            node.write_next = first + place.count;
            handed += place.count;
        }
        plug.finish();
        co_await thread.run();
    }
    --node.users;
    if (node.dirty.empty() && node.on_dirty_list) {
        dirty_nodes_.erase(node.place);
        node.on_dirty_list = false;
    }
    co_return handed;
}

void Ext4::written(Write& write) {
    Node& node = *write.node;
    node.writing -= write.count;
    backing_.write_ended(write.count, now());
    for (std::uint64_t page = write.first; page < write.first + write.count;) {
        const std::uint64_t clean = node.dirty.next_missing(page);
        if (clean > page) {  // written to again meanwhile
            page = clean;
            continue;
        }
        std::uint64_t stop = page + 1;
        while (stop < write.first + write.count && !node.dirty.contains(stop)) {
            ++stop;
        }
        node.cached.release(page, stop - page);
        page = stop;
    }
    if (node.writing == 0) {
        written_.wake_all();
    }
    free_writes_.push_back(&write);
}

Task<> Ext4::flush_pages(Thread& thread) {
    co_await thread.run();
    for (;;) {
        const bool background = backing_.over_background(now());
        Node* const node = quiescing_ ? nullptr : next_to_flush(background);
        if (node == nullptr) {
            if (!quiescing_ && !dirty_nodes_.empty() && !flusher_->timer.scheduled()) {
                cpu_.engine().schedule(flusher_->timer, now() + settings_.dirty_writeback);
            }
            co_await thread.sleep(flusher_->work);
            continue;
        }
        // writeback_chunk_size(): half a second's worth, in whole chunks.
        const auto half_second = static_cast<std::uint64_t>(backing_.write_bandwidth() / 2);
        const std::uint64_t most = std::max(least_chunk, half_second / least_chunk * least_chunk);
        co_await write_pages(thread, *node, most);
        if (node->on_dirty_list) {  // the others come first now
            dirty_nodes_.splice(dirty_nodes_.end(), dirty_nodes_, node->place);
        }
    }
}

Ext4::Node* Ext4::next_to_flush(bool background) {
    if (dirty_nodes_.empty()) {
        return nullptr;
    }
    if (background) {
        return dirty_nodes_.front();
    }
    for (Node* node : dirty_nodes_) {
        if (now() - node->dirtied >= settings_.dirty_expire) {
            return node;
        }
    }
    return nullptr;
}

// --- the journal's needs

Task<> Ext4::write_ordered(Thread& thread) {
    const std::vector<Node*> nodes = std::exchange(ordered_, {});
    for (Node* node : nodes) {
        while (node->writing > 0) {
            co_await thread.sleep(written_);
        }
        node->on_ordered_list = false;
    }
}

void Ext4::committed(const std::vector<std::uint64_t>& blocks) {
    std::uint64_t fresh = 0;
    for (const std::uint64_t block : blocks) {
        fresh += device_->dirty.add(block, 1);
    }
    dirtied(*device_, fresh);
}

Task<> Ext4::fsync(Thread& thread, Id id, bool only_data) {
    Node& file = node(id);
    co_await write_pages(thread, file, ~std::uint64_t{0});
    while (file.writing > 0) {
        co_await thread.sleep(written_);
    }
    const bool flushed =
        co_await journal_.complete(thread, only_data ? file.data_tid : file.sync_tid);
    if (!flushed && settings_.journal.barrier) {
        IoBatch flush(cpu_.engine());
        flush.add(thread, queue_, device::Io::Kind::flush, 0, 0);
        co_await flush.wait(thread);
    }
}

void Ext4::quiesce() {
    quiescing_ = true;
    flusher_->timer.cancel();
    journal_.quiesce();
}

}  // namespace fusesim::lower
