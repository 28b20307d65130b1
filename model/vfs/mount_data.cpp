// Reading, writing and the page cache.

#include "fuse/sizes.h"
#include "vfs/exchange.h"
#include "vfs/mount.h"

#include <algorithm>
#include <cerrno>
#include <vector>

namespace fusesim::vfs {

using fuse::Opcode;
using fuse::pages_of;
using host::Readahead;
using host::Thread;
using sim::Time;
using transport::Call;

namespace {

/// Requests that never wait are sent in one instant, each on top of the last one's stack where the
/// compiler makes no tail calls; after so many what they cost is paid.
constexpr unsigned unpaid_requests = 64;

/// Times of files are as coarse as the timer: CONFIG_HZ of Debian's kernels.
constexpr Time timer_tick = Time::from_ns(4'000'000);

Time times(Time each, std::uint64_t count) {
    return each * static_cast<std::int64_t>(count);
}

/// What is left of a cost once a part of it has been charged elsewhere.
Time rest(Time whole, Time part) {
    return whole > part ? whole - part : Time();
}

}  // namespace

std::uint32_t Mount::most_bytes() const {
    return std::min<std::uint32_t>(settings_.max_write, settings_.max_pages * page_bytes);
}

void Mount::use(
    Thread& thread, Inode& inode, std::uint64_t offset, std::uint64_t end, unsigned copies) {
    if (end > offset && copies > 0 && !thread.cpu().memory().settled()) {
        const std::uint64_t first = offset / page_bytes;
        const std::uint64_t fresh = inode.used.add(first, pages_of(end) - first);
        thread.cpu().memory().grow(fresh * page_bytes * copies);
    }
}

// --- reading

sim::Task<> Mount::read(Thread& thread, File& file, std::uint64_t offset, std::uint32_t bytes) {
    Inode& inode = *file.inode;
    thread.charge(costs().syscall);
    const std::uint64_t end = std::max(offset, std::min(offset + bytes, inode.size));
    const bool asks_first = !settings_.passthrough && !settings_.direct_io;  // auto_inval_data
    if (asks_first && attributes_stale(inode)) {
        co_await getattr(thread, inode);
    }
    const bool cached = !settings_.passthrough && !settings_.direct_io && !file.o_direct;
    use(thread, inode, offset, end, (cached ? 1 : 0) + (settings_.cached_below ? 1 : 0));
    if (settings_.passthrough) {
        if (extfuse_) {
            thread.charge(extfuse_->settings().program);
        }
        co_await backing_->read(thread, inode.nodeid, offset, end - offset);
    } else if (settings_.direct_io) {
        co_await read_directly(thread, inode, offset, offset + bytes);
    } else if (!cached) {
        co_await read_direct(thread, inode, offset, end);
    } else if (end > offset) {
        co_await read_cached(thread, file, offset / page_bytes, pages_of(end));
        thread.charge(costs().copy_time(end - offset));
    }
    co_await thread.return_to_user();
}

Fetch* Mount::fetching(Inode& inode, std::uint64_t page) const {
    for (const auto& fetch : inode.fetches) {
        if (page >= fetch->first && page < fetch->first + fetch->count) {
            return fetch.get();
        }
    }
    return nullptr;
}

sim::Task<> Mount::read_cached(Thread& thread, File& file, std::uint64_t first, std::uint64_t end) {
    Inode& inode = *file.inode;
    thread.charge(costs().cached_read);
    bool missed = false;
    bool waited = false;
    const auto there = [&](std::uint64_t page) { return page < pages_of(inode.size); };
    for (std::uint64_t page = first; page < end && there(page); ++page) {
        if (inode.partial.contains(page) && fetching(inode, page) == nullptr) {
            // It is there, but not up to date: read alone, whatever else is read ahead.
            co_await fetch(thread, inode, {page, 1, Readahead::none}, false);
        }
        if (!inode.cached.contains(page) && fetching(inode, page) == nullptr) {
            thread.charge(missed ? Time() : costs().buffered_read);
            missed = true;
            co_await fetch(
                thread, inode, file.readahead.miss(page, end - page, inode.cached), false);
        }
        if (!inode.markers.empty() && inode.markers.erase(page) > 0) {
            co_await fetch(
                thread, inode, file.readahead.marker(page, end - page, inode.cached), true);
        }
        while (!inode.cached.contains(page) && there(page)) {
            Fetch* on_its_way = fetching(inode, page);
            if (on_its_way == nullptr) {  // dropped again before it could be read
                co_await fetch(thread, inode, {page, 1, Readahead::none}, false);
                continue;
            }
            co_await thread.might_sleep();
            if (fetching(inode, page) == nullptr) {
                continue;
            }
            co_await thread.sleep(on_its_way->arrived);
            thread.charge(waited ? Time() : costs().fuse_resume);
            waited = true;
        }
        thread.charge(costs().page_cache_page);
    }
    inode.cached.touch(first, end - first);
    if (const host::Memory& memory = thread.cpu().memory(); !memory.is_recent(inode.filled)) {
        thread.charge(memory.pages(end - first));
    }
    file.readahead.set_previous(end);
}

sim::Task<> Mount::fetch(Thread& thread, Inode& inode, Readahead::Window window, bool optional) {
    const std::uint64_t last = pages_of(inode.size);
    if (window.first >= last || window.count == 0) {
        co_return;
    }
    if (optional && dev_.congested()) {
        co_return;
    }
    const std::uint64_t stop = std::min(window.first + window.count, last);
    if (window.marker < stop) {
        inode.markers.insert(window.marker);
    }
    // READs of whole runs that are neither cached nor on their way.
    std::uint64_t page = window.first;
    while (page < stop) {
        const bool alone = window.count == 1;
        if (inode.cached.contains(page) || fetching(inode, page) != nullptr ||
            (!alone && inode.partial.contains(page))) {
            ++page;
            continue;
        }
        const std::uint64_t most = std::min<std::uint64_t>(settings_.max_pages, stop - page);
        std::uint64_t count = 1;
        while (count < most && !inode.cached.contains(page + count) &&
               !inode.partial.contains(page + count) && fetching(inode, page + count) == nullptr) {
            ++count;
        }
        inode.fetches.push_back(std::make_unique<Fetch>(
            Fetch{page, count, sim::WaitQueue(thread.cpu().engine(), "a page of a file")}));
        Exchange& exchange = take_exchange();
        const std::uint64_t offset = page * page_bytes;
        shape_data(exchange.call,
                   Opcode::read,
                   inode,
                   offset,
                   std::min(count * page_bytes, inode.size - offset));
        exchange.call.size = static_cast<std::uint32_t>(count * page_bytes);
        exchange.inode = &inode;
        exchange.first = page;
        exchange.count = count;
        host::Memory& memory = thread.cpu().memory();
        inode.filled = memory.pass(count * page_bytes);
        thread.charge(costs().fuse_submit +
                      times(rest(costs().readahead_page, costs().fuse_page_reply), count) +
                      memory.pages(count));
        co_await send(thread, exchange, &Mount::fetched);
        page += count;
    }
}

void Mount::fetched(Exchange& exchange) {
    Inode& inode = *exchange.inode;
    inode.cached.add(exchange.first, exchange.count);
    inode.partial.remove(exchange.first, exchange.count);
    inode.attributes_partial = true;  // the time of access
    const auto found =
        std::find_if(inode.fetches.begin(), inode.fetches.end(), [&](const auto& fetch) {
            return fetch->first == exchange.first;
        });
    (*found)->arrived.wake_all();
    inode.fetches.erase(found);
    give_back(exchange);
}

void Mount::shape_data(
    Call& call, Opcode opcode, Inode& inode, std::uint64_t offset, std::uint64_t bytes) {
    const auto length = static_cast<std::uint32_t>(bytes);
    shape(call, opcode, inode, 0);
    call.offset = offset;
    call.size = length;
    (opcode == Opcode::read ? call.reply_bytes : call.bytes_in) += length;
    call.payload_pages = static_cast<std::uint32_t>(pages_of(bytes));
}

sim::Task<> Mount::transfer(Thread& thread,
                            Inode& inode,
                            Opcode opcode,
                            std::uint64_t offset,
                            std::uint64_t end,
                            std::uint64_t most,
                            bool at_once,
                            PageCosts page) {
    std::vector<Exchange*> sent;
    while (offset < end) {
        Exchange& exchange = take_exchange();
        Call& call = exchange.call;
        const std::uint64_t part = std::min(end - offset, most);
        shape_data(call, opcode, inode, offset, part);
        offset += part;
        thread.charge(times(page.submit, call.payload_pages));
        if (!at_once) {
            co_await request(thread, call);
            thread.charge(times(page.resume, call.payload_pages));
            give_back(exchange);
            continue;
        }
        thread.charge(costs().fuse_submit);
        co_await thread.run();
        if (const std::int32_t error = co_await dev_.call_background(thread, call); error != 0) {
            note(thread, error);
            give_back(exchange);
            continue;
        }
        sent.push_back(&exchange);
    }
    for (Exchange* exchange : sent) {
        co_await dev_.wait_for(thread, exchange->call);
        note(thread, exchange->call.error);
        thread.charge(costs().fuse_resume + times(page.resume, exchange->call.payload_pages));
        give_back(*exchange);
    }
}

sim::Task<> Mount::read_direct(Thread& thread,
                               Inode& inode,
                               std::uint64_t offset,
                               std::uint64_t end) {
    // O_DIRECT (async_dio): all at once.
    thread.charge(costs().odirect_read);
    co_await transfer(thread,
                      inode,
                      Opcode::read,
                      offset,
                      end,
                      settings_.max_pages * page_bytes,
                      true,
                      {costs().fuse_page_submit, costs().fuse_page_resume});
    inode.attributes_partial = true;  // the time of access
}

sim::Task<> Mount::read_directly(Thread& thread,
                                 Inode& inode,
                                 std::uint64_t offset,
                                 std::uint64_t end) {
    thread.charge(costs().direct_read);
    bool more = offset < end;
    while (more) {
        const std::uint64_t part = std::min(end - offset, settings_.max_pages * page_bytes);
        const std::uint64_t there = inode.size > offset ? std::min(part, inode.size - offset) : 0;
        Exchange& exchange = take_exchange();
        Call& call = exchange.call;
        shape_data(call, Opcode::read, inode, offset, there);
        call.size = static_cast<std::uint32_t>(part);
        thread.charge(times(costs().fuse_page_submit, pages_of(part)));
        co_await request(thread, call);
        thread.charge(times(costs().fuse_page_resume, pages_of(part)));
        give_back(exchange);
        offset += part;
        more = offset < end && there == part;
    }
    inode.attributes_partial = true;  // the time of access
}

void Mount::drop_clean(Thread& thread, Inode& inode) {
    const std::uint64_t clean = inode.cached.drop_clean() + inode.partial.count();
    inode.partial.clear();
    inode.markers.clear();
    thread.charge(times(costs().drop_page, clean));
}

sim::Task<> Mount::drop_cache(Thread& thread, File& file) {
    thread.charge(costs().syscall);
    drop_clean(thread, *file.inode);
    co_await thread.return_to_user();
}

// --- writing

sim::Task<> Mount::write(Thread& thread, File& file, std::uint64_t offset, std::uint32_t bytes) {
    Inode& inode = *file.inode;
    thread.charge(costs().syscall);
    co_await inode.lock.lock(thread);
    const bool cached = !settings_.passthrough && !settings_.direct_io && !file.o_direct;
    const bool may_have = settings_.extended_attributes || refused_.count(Opcode::getxattr) == 0;
    if (cached && may_have) {
        co_await ask_capability(thread, inode);
    }
    use(thread, inode, offset, offset + bytes, (cached ? 1 : 0) + (settings_.cached_below ? 1 : 0));
    if (settings_.passthrough) {
        if (extfuse_) {
            thread.charge(extfuse_->settings().program);
            extfuse_->drop_attributes(inode.nodeid);
        }
        co_await backing_->write(thread, inode.nodeid, offset, bytes);
        inode.attributes_until = Time();
    } else if (!cached) {
        co_await write_direct(thread, inode, offset, offset + bytes);
    } else if (settings_.writeback_cache) {
        co_await write_back(thread, inode, offset, bytes);
    } else {
        co_await write_through(thread, inode, offset, bytes);
    }
    inode.size = std::max<std::uint64_t>(inode.size, offset + bytes);
    inode.lock.unlock();
    co_await thread.return_to_user();
}

// security_inode_need_killpriv(): has the file a capability that a write takes away? A file system
// without extended attributes says so once and for all.
sim::Task<> Mount::ask_capability(Thread& thread, Inode& inode) {
    refused_.insert(Opcode::getxattr);
    fuse::RequestShape request;
    request.name = sizeof "security.capability" - 1;
    co_await ask_in_vain(thread,
                         Opcode::getxattr,
                         inode,
                         request,
                         settings_.extended_attributes ? -ENODATA : -ENOSYS);
}

sim::Task<> Mount::write_direct(Thread& thread,
                                Inode& inode,
                                std::uint64_t offset,
                                std::uint64_t end) {
    // A write beyond the end of the file waits for each part, whoever asks.
    const bool at_once = !settings_.direct_io && end <= inode.size;
    thread.charge(costs().direct_write);
    co_await transfer(thread, inode, Opcode::write, offset, end, most_bytes(), at_once, {});
    const std::uint64_t first = offset / page_bytes;
    inode.cached.remove(first, pages_of(end) - first);
    inode.attributes_until = Time();
}

/// Copying into the page cache, as all buffered writes do; `page` is the cost of each.
/// `only_whole`: what is written in part is not up to date then.
sim::Task<> Mount::fill_pages(Thread& thread,
                              Inode& inode,
                              std::uint64_t offset,
                              std::uint32_t bytes,
                              Time page,
                              bool only_whole) {
    const std::uint64_t first = offset / page_bytes;
    const std::uint64_t count = pages_of(offset + bytes) - first;
    std::uint64_t added = 0;
    if (only_whole) {
        const std::uint64_t whole = pages_of(offset);
        const std::uint64_t end = std::max((offset + bytes) / page_bytes, whole);
        for (const std::uint64_t part : {first, first + count - 1}) {
            if ((part < whole || part >= end) && !inode.cached.contains(part)) {
                added += inode.partial.add(part, 1);
            }
        }
        added += inode.cached.add(whole, end - whole);
        added -= inode.partial.remove(whole, end - whole);
    } else {
        added = inode.cached.add(first, count);
    }
    thread.charge(times(page, count) + thread.cpu().memory().pages(count) +
                  times(rest(costs().cached_write_new_page, costs().cached_write_page), added) +
                  costs().copy_time(bytes));
    co_await thread.run();
}

sim::Task<> Mount::write_through(Thread& thread,
                                 Inode& inode,
                                 std::uint64_t offset,
                                 std::uint32_t bytes) {
    thread.charge(costs().write_through);
    const Time page = rest(costs().write_through_page, costs().fuse_page_write);
    for (std::uint32_t done = 0; done < bytes;) {
        std::uint32_t part = std::min(bytes - done, most_bytes());
        const std::uint64_t at = offset + done;
        if (at % page_bytes != 0 && !inode.cached.contains(at / page_bytes)) {
            // A page that is not up to date afterwards is the last of its request.
            part = std::min(part, static_cast<std::uint32_t>(page_bytes - at % page_bytes));
        }
        co_await fill_pages(thread, inode, at, part, page, true);
        Exchange& exchange = take_exchange();
        shape_data(exchange.call, Opcode::write, inode, offset + done, part);
        co_await request(thread, exchange.call);
        give_back(exchange);
        done += part;
    }
    inode.attributes_until = Time();  // size and times: also the next read asks
    inode.mtime_unknown = true;
}

sim::Task<> Mount::write_back(Thread& thread,
                              Inode& inode,
                              std::uint64_t offset,
                              std::uint32_t bytes) {
    if (attributes_stale(inode)) {
        co_await getattr(thread, inode);
    }
    thread.charge(costs().cached_write + (inode.dirty.empty() ? costs().dirty_file : Time()));
    // A page that is not wholly written must be read first, unless it lies beyond the end.
    const std::uint64_t first = offset / page_bytes;
    const std::uint64_t end = pages_of(offset + bytes);
    for (const std::uint64_t page : {first, end - 1}) {
        const bool whole = offset <= page * page_bytes && offset + bytes >= (page + 1) * page_bytes;
        if (!whole && !inode.cached.contains(page) && page * page_bytes < inode.size) {
            co_await fetch(thread, inode, {page, 1, Readahead::none}, false);
            while (Fetch* on_its_way = fetching(inode, page)) {
                co_await thread.sleep(on_its_way->arrived);
            }
        }
    }
    const std::uint64_t cached_before = inode.cached.count();
    co_await fill_pages(thread, inode, offset, bytes, costs().cached_write_page, false);
    touch(inode);
    inode.size = std::max<std::uint64_t>(inode.size, offset + bytes);
    // Where memory is short, others may have left meanwhile.
    const std::uint64_t new_pages = std::max(inode.cached.count(), cached_before) - cached_before;
    const std::uint64_t dirtied = inode.dirty.add(first, end - first);
    dirty_pages_ += dirtied;
    thread.charge(times(costs().dirty_page, dirtied - std::min(dirtied, new_pages)));
    inode.cached.hold(first, end - first);
    // Dirty pages beyond the limit: the writer waits until enough of them are written.
    if (dirty_pages_ + writing_pages_ > settings_.dirty_limit) {
        co_await flush_dirty(thread, inode, false);
        while (dirty_pages_ + writing_pages_ > settings_.dirty_limit && writing_pages_ > 0) {
            co_await thread.sleep(writeback_done_);
        }
    }
}

sim::Task<> Mount::flush_dirty(Thread& thread, Inode& inode, bool wait) {
    for (unsigned sent = 1; !inode.dirty.empty(); ++sent) {
        const auto [first, run] = inode.dirty.first_run();
        const std::uint64_t count = std::min<std::uint64_t>(run, most_bytes() / page_bytes);
        inode.dirty.remove(first, count);
        dirty_pages_ -= count;
        writing_pages_ += count;
        ++inode.writing_back;
        Exchange& exchange = take_exchange();
        const std::uint64_t end =
            std::clamp(inode.size, first * page_bytes + 1, (first + count) * page_bytes);
        shape_data(
            exchange.call, Opcode::write, inode, first * page_bytes, end - first * page_bytes);
        exchange.inode = &inode;
        exchange.first = first;
        exchange.count = count;
        exchange.call.flags.set(fuse::Flag::force);
        thread.charge(costs().fuse_submit +
                      times(rest(costs().writeback_page, costs().fuse_page_write), count) +
                      thread.cpu().memory().pages(count));
        co_await send(thread, exchange, &Mount::written_back);
        if (sent % unpaid_requests == 0) {
            co_await thread.run_in_kernel();
        }
    }
    if (wait) {
        co_await thread.might_sleep();
    }
    while (wait && inode.writing_back > 0) {
        co_await thread.sleep(writeback_done_);
    }
}

void Mount::written_back(Exchange& exchange) {
    writing_pages_ -= exchange.count;
    Inode& inode = *exchange.inode;
    --inode.writing_back;
    inode.cached.release(exchange.first, exchange.count);
    for (std::uint64_t page = exchange.first; page < exchange.first + exchange.count; ++page) {
        if (inode.dirty.contains(page)) {  // written to again meanwhile
            inode.cached.hold(page, 1);
        }
    }
    writeback_done_.wake_all();
    give_back(exchange);
}

std::int64_t Mount::tick() const {
    return now().ps() / timer_tick.ps();
}

void Mount::touch(Inode& inode) {
    inode.times_dirty = inode.times_dirty || tick() != inode.changed_tick;
    inode.changed_tick = tick();
}

sim::Task<> Mount::flush_times(Thread& thread, Inode& inode) {
    if (!inode.times_dirty) {
        co_return;
    }
    inode.times_dirty = false;
    co_await ask(thread, Opcode::setattr, inode);
}

sim::Task<> Mount::fsync(Thread& thread, File& file) {
    Inode& inode = *file.inode;
    thread.charge(costs().syscall + costs().vfs.fsync);
    co_await inode.lock.lock(thread);
    if (settings_.writeback_cache) {
        co_await flush_dirty(thread, inode, true);
        co_await flush_times(thread, inode);
    }
    co_await ask(thread, inode.directory ? Opcode::fsyncdir : Opcode::fsync, inode);
    inode.lock.unlock();
    co_await thread.return_to_user();
}

}  // namespace fusesim::vfs
