// Calls by paths, and those that only such programs make.

#include "fuse/sizes.h"
#include "vfs/exchange.h"
#include "vfs/mount.h"

#include <algorithm>
#include <cerrno>

namespace fusesim::vfs {

using fuse::Opcode;
using host::Thread;
using sim::Time;

namespace {

/// "." and "..", listed before all names.
constexpr std::uint32_t dot_length[] = {1, 2};

}  // namespace

Inode& Mount::add_symlink(Inode& directory, Name name) {
    Inode& inode = add_file(directory, name, 0);
    inode.symlink = true;
    return inode;
}

void Mount::remove_quietly(Inode& directory, Name name) {
    const auto found = directory.entries.find(name.key());
    if (found != directory.entries.end() && found->second.inode != nullptr) {
        Inode& inode = *found->second.inode;
        disappear(directory, name, inode);
        evict_if_unused(inode);
    }
}

// --- walking

/// A permission that the kernel checks: it must know mode and owner for it.
sim::Task<> Mount::check_permission(Thread& thread, Inode& inode) {
    if (settings_.default_permissions && inode.permissions_until <= now()) {
        co_await getattr(thread, inode);
    }
}

sim::Task<Inode*> Mount::walk(Thread& thread, Path path) {
    if (path.names.empty()) {
        co_return path.from;
    }
    Inode* const directory = co_await walk_to_parent(thread, path);
    if (directory == nullptr) {
        co_return nullptr;
    }
    co_return co_await lookup(thread, *directory, path.names.back(), false);
}

sim::Task<Inode*> Mount::walk_to_parent(Thread& thread, Path path) {
    Inode* at = path.from;
    if (!at->directory) {
        co_return nullptr;
    }
    for (std::size_t i = 0; i + 1 < path.names.size(); ++i) {
        co_await check_permission(thread, *at);
        const std::uint64_t known = at->nlookup;
        Inode* const next = co_await lookup(thread, *at, path.names[i], false);
        thread.charge(next == nullptr || next->nlookup != known ? costs().vfs.lookup : Time());
        if (next == nullptr || !next->directory) {
            co_return nullptr;
        }
        at = next;
    }
    co_await check_permission(thread, *at);
    co_return at;
}

/// A name that is to be made or to be replaced is asked about, however fresh what is known of it.
sim::Task<Inode*> Mount::lookup_target(Thread& thread, Inode& directory, Name name) {
    const auto found = directory.entries.find(name.key());
    if (found != directory.entries.end()) {
        found->second.valid_until = Time();
    }
    co_return co_await lookup(thread, directory, name, true);
}

sim::Task<int> Mount::done(Thread& thread, int result) {
    co_await thread.return_to_user();
    co_return result;
}

sim::Task<> Mount::ask_in_vain(
    Thread& thread, Opcode opcode, Inode& inode, fuse::RequestShape request, int error) {
    Exchange& exchange = take_exchange();
    shape(exchange.call, opcode, inode, 0);
    exchange.call.bytes_in = fuse::request_bytes(opcode, settings_.protocol_minor, request);
    exchange.call.error_reply = error;
    exchange.call.reply_bytes = fuse::out_header_bytes;
    co_await this->request(thread, exchange.call);
    give_back(exchange);
}

// --- attributes

sim::Task<int> Mount::stat(Thread& thread, Path path) {
    thread.charge(costs().syscall);
    Inode* inode = path.from;
    if (!path.names.empty()) {
        Inode* const directory = co_await walk_to_parent(thread, path);
        inode =
            directory != nullptr ? co_await find(thread, *directory, path.names.back()) : nullptr;
    }
    if (inode == nullptr) {
        co_return co_await done(thread, -ENOENT);
    }
    if (attributes_stale(*inode) || inode->attributes_partial) {
        co_await getattr(thread, *inode);
    }
    co_return co_await done(thread, 0);
}

void Mount::truncate(Thread& thread, Inode& inode, std::uint64_t size) {
    const std::uint64_t first = fuse::pages_of(size);
    const std::uint64_t last = std::max(fuse::pages_of(inode.size), first);
    const std::uint64_t before = inode.dirty.count();
    inode.dirty.remove(first, last - first);
    dirty_pages_ -= before - inode.dirty.count();
    const std::uint64_t gone =
        inode.cached.remove(first, last - first) + inode.partial.remove(first, last - first);
    thread.charge(costs().drop_page * static_cast<std::int64_t>(gone));
    inode.size = size;
    inode.changed_tick = -1;
}

sim::Task<int> Mount::set(Thread& thread, Path path, Change change, std::uint64_t size) {
    thread.charge(costs().syscall + costs().getattr);
    Inode* const inode = co_await walk(thread, path);
    if (inode == nullptr) {
        co_return co_await done(thread, -ENOENT);
    }
    co_await check_permission(thread, *inode);
    const bool regular = !inode->directory && !inode->symlink;
    if (change == Change::size && !regular) {
        co_return co_await done(thread, -EINVAL);
    }
    co_await inode->lock.lock(thread);
    const bool may_have = settings_.extended_attributes || refused_.count(Opcode::getxattr) == 0;
    if ((change == Change::owner || change == Change::size) && regular && may_have) {
        co_await ask_capability(thread, *inode);
    }
    if (change == Change::owner && regular) {
        co_await ask(thread, Opcode::getattr, *inode);  // whether set-user-id has to go
        refresh_attributes(*inode);
    }
    if (settings_.writeback_cache && regular && change != Change::size) {
        co_await flush_dirty(thread, *inode, true);
        co_await flush_times(thread, *inode);
    }
    co_await ask(thread, Opcode::setattr, *inode);
    refresh_attributes(*inode);
    inode->mtime_unknown = false;
    if (change == Change::size) {
        truncate(thread, *inode, size);
    }
    if (change == Change::times) {
        inode->times_dirty = false;
        inode->changed_tick = -1;
    }
    inode->lock.unlock();
    co_return co_await done(thread, 0);
}

sim::Task<int> Mount::access(Thread& thread, Path path) {
    thread.charge(costs().syscall + costs().getattr);
    Inode* const inode = co_await walk(thread, path);
    if (inode == nullptr) {
        co_return co_await done(thread, -ENOENT);
    }
    if (settings_.default_permissions) {
        co_await check_permission(thread, *inode);
    } else if (refused_.insert(Opcode::access).second) {
        co_await ask_in_vain(thread, Opcode::access, *inode, {}, -ENOSYS);
    }
    co_return co_await done(thread, 0);
}

sim::Task<int> Mount::statfs(Thread& thread, Path path) {
    thread.charge(costs().syscall + costs().getattr);
    Inode* const inode = co_await walk(thread, path);
    if (inode == nullptr) {
        co_return co_await done(thread, -ENOENT);
    }
    co_await ask(thread, Opcode::statfs, *inode);
    co_return co_await done(thread, 0);
}

sim::Task<int> Mount::xattr(Thread& thread, Path path, Opcode opcode, std::uint32_t value) {
    thread.charge(costs().syscall + costs().getattr);
    Inode* const inode = co_await walk(thread, path);
    if (inode == nullptr) {
        co_return co_await done(thread, -ENOENT);
    }
    if (!settings_.extended_attributes && !refused_.insert(opcode).second) {
        co_return co_await done(thread, -EOPNOTSUPP);
    }
    fuse::RequestShape request;
    request.name = opcode == Opcode::listxattr ? 0 : sizeof "security.capability" - 1;
    request.data = opcode == Opcode::setxattr ? value : 0;
    if (!settings_.extended_attributes) {
        co_await ask_in_vain(thread, opcode, *inode, request, -ENOSYS);
        co_return co_await done(thread, -EOPNOTSUPP);
    }
    const bool reads = opcode == Opcode::getxattr || opcode == Opcode::listxattr;
    co_await ask_in_vain(thread, opcode, *inode, request, reads ? -ENODATA : 0);
    if (!reads) {
        inode->attributes_partial = true;
    }
    co_return co_await done(thread, 0);
}

// --- open and close

sim::Task<int> Mount::open(Thread& thread, Path path, OpenFlags flags, File& out) {
    thread.charge(costs().syscall);
    Inode* directory = path.from;
    if (!path.names.empty()) {
        directory = co_await walk_to_parent(thread, path);
    }
    if (directory == nullptr) {
        thread.charge(costs().vfs.open);
        co_return co_await done(thread, -ENOENT);
    }
    Inode* inode = directory;
    if (!path.names.empty()) {
        const Name name = path.names.back();
        const auto known = directory->entries.find(name.key());
        const bool fresh = known != directory->entries.end() && known->second.inode != nullptr &&
                           known->second.cached && known->second.valid_until > now();
        const bool locks = flags.create && !fresh;
        if (locks) {
            co_await directory->lock.lock(thread);
        }
        if (locks && flags.exclusive) {
            inode = co_await lookup_target(thread, *directory, name);
        } else {
            inode = co_await lookup(thread, *directory, name, locks);
        }
        if (inode == nullptr && flags.create) {
            thread.charge(costs().vfs.create);
            Inode& made = new_inode(false);
            co_await ask(thread, Opcode::create, *directory, name, made.nodeid);
            appear(*directory, name, made);
            directory->lock.unlock();
            begin_open(out, made, flags.direct);
            out.append = flags.append;
            co_return co_await done(thread, 0);
        }
        if (locks) {
            directory->lock.unlock();
        }
    }
    if (inode == nullptr || (flags.create && flags.exclusive)) {
        thread.charge(costs().vfs.open);
        co_return co_await done(thread, inode == nullptr ? -ENOENT : -EEXIST);
    }
    co_return co_await open_existing(thread, *inode, flags, out);
}

sim::Task<int> Mount::open_existing(Thread& thread, Inode& inode, OpenFlags flags, File& out) {
    thread.charge(inode.directory ? costs().vfs.opendir : costs().vfs.open);
    if (!flags.path_only) {
        co_await check_permission(thread, inode);
        Exchange& exchange = take_exchange();
        shape(exchange.call, inode.directory ? Opcode::opendir : Opcode::open, inode, 0);
        exchange.call.entries = inode.directory ? static_cast<std::uint32_t>(inode.names + 2) : 0;
        co_await request(thread, exchange.call);
        give_back(exchange);
    }
    if (!inode.directory && !flags.path_only) {
        if (flags.truncate) {  // atomic_o_trunc: the daemon has done it
            truncate(thread, inode, 0);
            inode.attributes_partial = true;
            if (!settings_.writeback_cache) {  // else the kernel knows the size
                inode.attributes_until = Time();
            }
        }
        if (!settings_.keep_cache && !settings_.direct_io && !settings_.passthrough) {
            drop_clean(thread, inode);
        }
    }
    begin_open(out, inode, flags.direct);
    out.append = flags.append;
    out.path_only = flags.path_only;
    co_return co_await done(thread, 0);
}

sim::Task<> Mount::close_other(Thread& thread, File& file) {
    Inode& inode = *file.inode;
    thread.charge(costs().syscall);
    if (!file.path_only) {
        thread.charge(costs().vfs.closedir);
        co_await release(thread, Opcode::releasedir, inode);
    }
    file.inode = nullptr;
    --inode.opens;
    evict_if_unused(inode);
    co_await thread.return_to_user();
}

sim::Task<> Mount::flush(Thread& thread, File& file) {
    thread.charge(costs().syscall);
    if (!file.inode->directory && !file.path_only) {
        thread.charge(costs().getattr);
        if (settings_.writeback_cache) {
            co_await flush_dirty(thread, *file.inode, true);
            co_await flush_times(thread, *file.inode);
        }
        co_await ask_to_flush(thread, *file.inode);
    }
    co_await thread.return_to_user();
}

// --- directories

sim::Task<std::uint64_t> Mount::list(Thread& thread, File& file, std::uint32_t buffer) {
    Inode& directory = *file.inode;
    const bool first = !file.listed_dots;
    const bool plus = settings_.readdirplus && (first || directory.advise_readdirplus);
    directory.advise_readdirplus = false;
    const auto most = static_cast<std::uint32_t>(
        kernel_.readdir_fits_getdents
            ? std::clamp<std::uint64_t>(buffer, page_bytes, settings_.max_pages * page_bytes)
            : page_bytes);

    // What the daemon puts into its answer.
    std::uint32_t bytes = 0;
    std::uint32_t dots = 0;
    const auto fits = [&](std::uint32_t length) {
        const std::uint32_t entry =
            plus ? fuse::direntplus_bytes(length) : fuse::dirent_bytes(length);
        if (bytes + entry > most) {
            return false;
        }
        bytes += entry;
        return true;
    };
    for (const std::uint32_t length : dot_length) {
        dots += first && fits(length) ? 1 : 0;
    }
    auto at = directory.listing.upper_bound(file.listed);
    std::vector<Name> names;
    while (at != directory.listing.end() && fits(at->second.length())) {
        file.listed = at->first;
        names.push_back(at->second);
        ++at;
    }
    const std::uint64_t count = dots + names.size();
    thread.charge(costs().syscall + costs().vfs.readdir +
                  (plus ? costs().vfs.readdirplus_entry : costs().vfs.readdir_entry) *
                      static_cast<std::int64_t>(count));
    file.listed_dots = true;
    file.listed_all = count == 0;

    Exchange& exchange = take_exchange();
    shape(exchange.call, plus ? Opcode::readdirplus : Opcode::readdir, directory, 0);
    exchange.call.size = most;
    exchange.call.entries = static_cast<std::uint32_t>(count);
    exchange.call.dots = dots;
    exchange.call.lists_last = count > 0 && at == directory.listing.end();
    exchange.call.reply_bytes = fuse::out_header_bytes + bytes;
    co_await request(thread, exchange.call);
    give_back(exchange);
    directory.attributes_partial = true;  // the time of access
    for (const Name name : plus ? names : std::vector<Name>()) {
        const auto entry = directory.entries.find(name.key());
        if (entry != directory.entries.end() && entry->second.inode != nullptr) {
            learn(*entry->second.inode, entry->second);
            entry->second.inode->primed = true;
        }
    }
    co_await thread.return_to_user();
    co_return count;
}

sim::Task<int> Mount::make(Thread& thread, Path path, Opcode opcode, std::uint32_t target) {
    thread.charge(costs().syscall + costs().vfs.mkdir);
    Inode* const directory = co_await walk_to_parent(thread, path);
    if (directory == nullptr || path.names.empty()) {
        co_return co_await done(thread, directory == nullptr ? -ENOENT : -EEXIST);
    }
    const Name name = path.names.back();
    co_await directory->lock.lock(thread);
    if (co_await lookup_target(thread, *directory, name) != nullptr) {
        directory->lock.unlock();
        co_return co_await done(thread, -EEXIST);
    }
    Inode& inode = new_inode(opcode == Opcode::mkdir);
    inode.symlink = opcode == Opcode::symlink;
    Exchange& exchange = take_exchange();
    shape(exchange.call, opcode, *directory, 0);
    fuse::RequestShape request;
    request.name = name.length();
    request.name2 = target;
    exchange.call.bytes_in = fuse::request_bytes(opcode, settings_.protocol_minor, request);
    exchange.call.subject = inode.nodeid;
    exchange.call.name = name.key();
    co_await this->request(thread, exchange.call);
    give_back(exchange);
    appear(*directory, name, inode);
    directory->lock.unlock();
    co_return co_await done(thread, 0);
}

sim::Task<int> Mount::remove(Thread& thread, Path path, Opcode opcode) {
    const bool rmdir = opcode == Opcode::rmdir;
    thread.charge(costs().syscall + (rmdir ? costs().vfs.rmdir : costs().vfs.unlink));
    Inode* const directory = co_await walk_to_parent(thread, path);
    if (directory == nullptr || path.names.empty()) {
        co_return co_await done(thread, directory == nullptr ? -ENOENT : -EBUSY);
    }
    const Name name = path.names.back();
    co_await directory->lock.lock(thread);
    Inode* const inode = co_await lookup(thread, *directory, name, true);
    const int error = inode == nullptr             ? -ENOENT
                      : rmdir && !inode->directory ? -ENOTDIR
                      : !rmdir && inode->directory ? -EISDIR
                      : rmdir && inode->names > 0  ? -ENOTEMPTY
                                                   : 0;
    if (error != 0 && error != -ENOTEMPTY) {
        directory->lock.unlock();
        co_return co_await done(thread, error);
    }
    // Directories are locked one within the other by rename() only, and there in one order.
    const bool locks = !inode->directory;
    if (locks) {
        co_await inode->lock.lock(thread);
    }
    if (error != 0) {  // only the daemon knows
        fuse::RequestShape request;
        request.name = name.length();
        co_await ask_in_vain(thread, opcode, *directory, request, error);
    } else {
        // The file itself goes with its last name.
        const bool last = inode->directory || inode->links == 1;
        co_await ask(thread, opcode, *directory, name, last ? inode->nodeid : 0);
        co_await tell_changed(thread, *inode);
        disappear(*directory, name, *inode);
    }
    if (locks) {
        inode->lock.unlock();
    }
    directory->lock.unlock();
    if (error == 0) {
        evict_if_unused(*inode);
    }
    co_return co_await done(thread, error);
}

sim::Task<int> Mount::rename(Thread& thread, Path from, Path to, bool no_replace) {
    thread.charge(costs().syscall + costs().vfs.unlink);
    Inode* const source = co_await walk_to_parent(thread, from);
    Inode* target = nullptr;
    if (source != nullptr) {
        target = co_await walk_to_parent(thread, to);
    }
    if (source == nullptr || target == nullptr || from.names.empty() || to.names.empty()) {
        co_return co_await done(thread, -ENOENT);
    }
    const Name old_name = from.names.back();
    const Name new_name = to.names.back();
    // Always in the same order, so that two renames cannot wait for each other.
    Inode* const first = source->nodeid <= target->nodeid ? source : target;
    Inode* const second = first == source ? target : source;
    co_await first->lock.lock(thread);
    if (second != first) {
        co_await second->lock.lock(thread);
    }
    Inode* const moved = co_await lookup(thread, *source, old_name, true);
    Inode* victim = nullptr;
    int result = moved != nullptr ? 0 : -ENOENT;
    if (moved != nullptr) {
        victim = co_await lookup_target(thread, *target, new_name);
        result = victim != nullptr && no_replace ? -EEXIST : 0;
    }
    if (result == 0) {
        fuse::RequestShape request;
        request.name = old_name.length();
        request.name2 = new_name.length();
        const Opcode opcode = no_replace ? Opcode::rename2 : Opcode::rename;
        Exchange& exchange = take_exchange();
        shape(exchange.call, opcode, *source, 0);
        exchange.call.bytes_in = fuse::request_bytes(opcode, settings_.protocol_minor, request);
        exchange.call.subject = moved->nodeid;
        exchange.call.name = old_name.key();
        co_await this->request(thread, exchange.call);
        give_back(exchange);
        co_await tell_changed(thread, *moved);
        if (victim != moved) {
            if (victim != nullptr) {
                co_await tell_changed(thread, *victim);
                disappear(*target, new_name, *victim);
            }
            const Entry known = source->entries[old_name.key()];
            source->remove_name(old_name, *moved);
            Entry& entry = target->add_name(new_name, *moved);
            entry.cached = true;
            entry.valid_until = known.valid_until;
            source->attributes_partial = target->attributes_partial = true;
            moved->attributes_partial = !settings_.writeback_cache || moved->directory;
        }
    }
    second->lock.unlock();
    if (second != first) {
        first->lock.unlock();
    }
    if (result == 0 && victim != nullptr && victim != moved) {
        evict_if_unused(*victim);
    }
    co_return co_await done(thread, result);
}

sim::Task<int> Mount::link(Thread& thread, Path from, Path to) {
    thread.charge(costs().syscall + costs().vfs.mkdir);
    Inode* const inode = co_await walk(thread, from);
    Inode* directory = nullptr;
    if (inode != nullptr) {
        directory = co_await walk_to_parent(thread, to);
    }
    if (inode == nullptr || directory == nullptr || to.names.empty()) {
        co_return co_await done(thread, -ENOENT);
    }
    if (inode->directory) {
        co_return co_await done(thread, -EPERM);
    }
    const Name name = to.names.back();
    co_await directory->lock.lock(thread);
    if (co_await lookup_target(thread, *directory, name) != nullptr) {
        directory->lock.unlock();
        co_return co_await done(thread, -EEXIST);
    }
    co_await inode->lock.lock(thread);
    co_await ask(thread, Opcode::link, *directory, name, 0);
    co_await tell_changed(thread, *inode);
    appear(*directory, name, *inode);
    ++inode->links;
    inode->attributes_partial = !settings_.writeback_cache;  // the time of change
    inode->lock.unlock();
    directory->lock.unlock();
    co_return co_await done(thread, 0);
}

sim::Task<int> Mount::readlink(Thread& thread, Path path) {
    thread.charge(costs().syscall + costs().getattr);
    Inode* const inode = co_await walk(thread, path);
    if (inode == nullptr) {
        co_return co_await done(thread, -ENOENT);
    }
    co_await ask(thread, Opcode::readlink, *inode);
    inode->attributes_partial = true;  // the time of access
    co_return co_await done(thread, 0);
}

// --- the rest

sim::Task<> Mount::fallocate(Thread& thread, File& file, std::uint64_t end) {
    Inode& inode = *file.inode;
    thread.charge(costs().syscall + costs().getattr);
    co_await inode.lock.lock(thread);
    co_await ask(thread, Opcode::fallocate, inode);
    inode.size = std::max(inode.size, end);
    inode.attributes_until = Time();
    inode.lock.unlock();
    co_await thread.return_to_user();
}

sim::Task<> Mount::seek(Thread& thread, File& file, bool asks, bool to_end) {
    thread.charge(costs().syscall);
    Inode& inode = *file.inode;
    if (asks && refused_.insert(Opcode::lseek).second) {
        co_await ask_in_vain(thread, Opcode::lseek, inode, {}, -ENOSYS);
    }
    if ((asks || to_end) && attributes_stale(inode)) {
        co_await getattr(thread, inode);
    }
    co_await thread.return_to_user();
}

sim::Task<> Mount::ioctl(Thread& thread, File& file) {
    thread.charge(costs().syscall + costs().getattr);
    co_await ask_in_vain(thread, Opcode::ioctl, *file.inode, {}, -ENOSYS);
    co_await thread.return_to_user();
}

sim::Task<> Mount::copy_range(Thread& thread,
                              File& from,
                              std::uint64_t from_offset,
                              File& to,
                              std::uint64_t to_offset,
                              std::uint64_t bytes) {
    thread.charge(costs().syscall);
    const Opcode both[] = {Opcode::copy_file_range_64, Opcode::copy_file_range};
    for (const Opcode opcode : both) {
        const bool known = opcode == Opcode::copy_file_range || settings_.protocol_minor >= 45;
        if (known && bytes > 0 && refused_.insert(opcode).second) {
            co_await ask_in_vain(thread, opcode, *from.inode, {}, -ENOSYS);
        }
    }
    // By way of a pipe, which holds so much.
    constexpr std::uint64_t pipe_bytes = 16 * page_bytes;
    for (std::uint64_t copied = 0; copied < bytes; copied += pipe_bytes) {
        const auto part = static_cast<std::uint32_t>(std::min(bytes - copied, pipe_bytes));
        co_await read(thread, from, from_offset + copied, part);
        co_await write(thread, to, to_offset + copied, part);
    }
    co_await thread.return_to_user();
}

sim::Task<> Mount::nothing(Thread& thread) {
    thread.charge(costs().syscall);
    co_await thread.return_to_user();
}

}  // namespace fusesim::vfs
