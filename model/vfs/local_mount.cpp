#include "vfs/local_mount.h"

#include "fuse/sizes.h"
#include "lower/costs.h"

#include <algorithm>
#include <cerrno>

namespace fusesim::vfs {

using fuse::pages_of;
using host::Thread;
using sim::Task;
using sim::Time;

LocalMount::LocalMount(host::Cpu& cpu,
                       const host::LowerCosts& costs,
                       lower::Ext4* disk,
                       std::uint64_t seed)
    : cpu_(cpu),
      costs_(costs),
      disk_(disk),
      fsync_blocked_(lower::blocked(costs.fsync_blocked)),
      random_(seed, "vfs.local_mount") {
    new_inode(true);
    if (disk_ != nullptr) {
        disk_->add_directory(root().nodeid, root().nodeid, false);
    }
}

LocalMount::~LocalMount() = default;

Inode& LocalMount::new_inode(bool directory) {
    if (!retired_.empty()) {
        Inode& inode = *retired_.back();
        retired_.pop_back();
        inode.begin_again(++last_id_, directory);
        return inode;
    }
    inodes_.push_back(
        std::make_unique<Inode>(cpu_.engine(), cpu_.page_cache(), ++last_id_, directory));
    return *inodes_.back();
}

Inode& LocalMount::add_directory(Inode& parent, Name name) {
    Inode& inode = new_inode(true);
    parent.add_name(name, inode);
    if (disk_ != nullptr) {
        disk_->add_directory(parent.nodeid, inode.nodeid, &parent == &root());
    }
    return inode;
}

Inode& LocalMount::add_file(Inode& directory, Name name, std::uint64_t size) {
    Inode& inode = new_inode(false);
    inode.size = size;
    directory.add_name(name, inode);
    if (disk_ != nullptr) {
        disk_->add_file(directory.nodeid, inode.nodeid, size);
    }
    return inode;
}

double LocalMount::share_that_fits(std::uint64_t bytes) const {
    return FileTree::share_that_fits(cpu_.page_cache(), bytes, 1);
}

File LocalMount::open_quietly(Inode& file, bool o_direct, double cached) {
    ++file.opens;
    const auto pages =
        static_cast<std::uint64_t>(cached * static_cast<double>(pages_of(file.size)));
    if (disk_ != nullptr) {
        disk_->load_quietly(file.nodeid);
        disk_->cache_quietly(file.nodeid, 0, pages);
    } else {
        file.cached.add(0, pages);
    }
    File out;
    out.inode = &file;
    out.o_direct = o_direct;
    return out;
}

Inode* LocalMount::find(Inode& directory, Name name) const {
    const auto found = directory.entries.find(name.key());
    return found != directory.entries.end() ? found->second.inode : nullptr;
}

/// All data is used in turns, as far as the cores' caches go.
void LocalMount::use(Inode& inode, std::uint64_t offset, std::uint64_t end) {
    if (end > offset && !cpu_.memory().settled()) {
        const std::uint64_t first = offset / fuse::kernel_page_bytes;
        cpu_.memory().grow(inode.used.add(first, pages_of(end) - first) * fuse::kernel_page_bytes);
    }
}

Task<int> LocalMount::stat(Thread& thread, Inode& directory, Name name) {
    Inode* const inode = find(directory, name);
    thread.charge(inode != nullptr ? costs_.lookup : costs_.lookup_missing);
    if (disk_ != nullptr) {
        co_await disk_->lookup(thread, directory.nodeid, inode != nullptr ? inode->nodeid : 0);
    }
    co_await thread.return_to_user();
    co_return inode != nullptr ? 0 : -ENOENT;
}

Task<int> LocalMount::open(Thread& thread, Inode& directory, Name name, bool o_direct, File& out) {
    Inode* const inode = find(directory, name);
    thread.charge(costs_.open);
    if (disk_ != nullptr) {
        co_await disk_->lookup(thread, directory.nodeid, inode != nullptr ? inode->nodeid : 0);
    }
    if (inode != nullptr) {
        ++inode->opens;
        out.inode = inode;
        out.o_direct = o_direct;
    }
    co_await thread.return_to_user();
    co_return inode != nullptr ? 0 : -ENOENT;
}

Task<int> LocalMount::create(Thread& thread, Inode& directory, Name name, File& out) {
    thread.charge(costs_.create);
    co_await directory.lock.lock(thread);
    co_await thread.run();
    Inode& inode = new_inode(false);
    if (disk_ != nullptr) {
        co_await disk_->create(thread, directory.nodeid, inode.nodeid, false);
    }
    directory.add_name(name, inode);
    directory.lock.unlock();
    ++inode.opens;
    out.inode = &inode;
    out.o_direct = false;
    co_await thread.return_to_user();
    co_return 0;
}

Task<> LocalMount::close(Thread& thread, File& file) {
    thread.charge(costs_.close);
    --file.inode->opens;
    file.inode = nullptr;
    co_await thread.return_to_user();
}

Task<int> LocalMount::unlink(Thread& thread, Inode& directory, Name name) {
    thread.charge(costs_.unlink + costs_.close_unlinked);
    co_await directory.lock.lock(thread);
    Inode* const inode = find(directory, name);
    if (inode == nullptr) {
        directory.lock.unlock();
        co_await thread.return_to_user();
        co_return -ENOENT;
    }
    co_await thread.run();
    if (disk_ != nullptr) {
        co_await disk_->unlink(thread, directory.nodeid, inode->nodeid);
    }
    inode->cached.clear();
    directory.remove_name(name, *inode);
    retired_.push_back(inode);
    directory.lock.unlock();
    co_await thread.return_to_user();
    co_return 0;
}

Task<int> LocalMount::list(Thread& thread, Inode& directory) {
    thread.charge(costs_.opendir + costs_.readdir * 2 + costs_.close +
                  costs_.readdir_entry * static_cast<std::int64_t>(directory.names + 2));
    if (disk_ != nullptr) {
        co_await disk_->list(thread, directory.nodeid);
    }
    co_await thread.return_to_user();
    co_return 0;
}

Task<> LocalMount::read(Thread& thread, File& file, std::uint64_t offset, std::uint32_t bytes) {
    Inode& inode = *file.inode;
    const std::uint64_t end = std::max(offset, std::min(offset + bytes, inode.size));
    use(inode, offset, end);
    if (disk_ != nullptr) {
        co_await disk_->read(thread, inode.nodeid, offset, end - offset);
    }
    thread.charge(lower::data_time(costs_, costs_.read, end - offset, cpu_.memory()));
    co_await thread.return_to_user();
}

Task<> LocalMount::write(Thread& thread, File& file, std::uint64_t offset, std::uint32_t bytes) {
    Inode& inode = *file.inode;
    use(inode, offset, offset + bytes);
    thread.charge(lower::data_time(costs_, costs_.write, bytes, cpu_.memory()));
    if (disk_ != nullptr) {
        co_await disk_->write(thread, inode.nodeid, offset, bytes);
    } else {
        co_await inode.lock.lock(thread);
        co_await thread.run();
        inode.lock.unlock();
    }
    inode.size = std::max<std::uint64_t>(inode.size, offset + bytes);
    co_await thread.return_to_user();
}

Task<> LocalMount::fsync(Thread& thread, File& file) {
    thread.charge(costs_.fsync);
    if (disk_ != nullptr) {
        co_await disk_->fsync(thread, file.inode->nodeid, false);
    } else if (const Time asleep = fsync_blocked_.draw(random_); asleep > Time()) {
        co_await thread.sleep_for(asleep);
    }
    co_await thread.return_to_user();
}

Task<> LocalMount::drop_cache(Thread& thread, File& file) {
    const std::uint64_t dropped =
        disk_ != nullptr ? disk_->drop_cache(file.inode->nodeid) : file.inode->cached.drop_clean();
    thread.charge(cpu_.costs().syscall +
                  cpu_.costs().drop_page * static_cast<std::int64_t>(dropped));
    co_await thread.return_to_user();
}

std::uint64_t LocalMount::cached_pages() const {
    std::uint64_t sum = 0;  // with a disk: the disk says it
    for (const auto& inode : inodes_) {
        sum += inode->cached.count();
    }
    return sum;
}

}  // namespace fusesim::vfs
