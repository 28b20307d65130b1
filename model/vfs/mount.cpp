#include "vfs/mount.h"

#include "fuse/sizes.h"
#include "vfs/exchange.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

namespace fusesim::vfs {

using fuse::Opcode;
using host::Thread;
using sim::Time;
using transport::Call;

namespace {

const char* family_text(Name::Family family) {
    switch (family) {
        case Name::Family::thread:
            return "thread";
        case Name::Family::file:
            return "file";
        case Name::Family::missing:
            return "missing";
        case Name::Family::fresh:
            return "new";
        case Name::Family::given:
            return "given";
    }
    return "";
}

/// What getdents64(2) is given to fill; readdir(3) of glibc does the same.
constexpr std::uint32_t getdents_bytes = 32'768;

}  // namespace

std::string Name::text() const {
    if (family == Family::given) {
        return "given" + std::to_string(number >> length_bits);
    }
    return family_text(family) + std::to_string(number);
}

std::uint32_t Name::length() const {
    if (family == Family::given) {
        return static_cast<std::uint32_t>(number & ((1u << length_bits) - 1));
    }
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return static_cast<std::uint32_t>(std::char_traits<char>::length(family_text(family))) +
           static_cast<std::uint32_t>(end - digits);
}

Mount::Mount(transport::Transport& dev,
             const fuse::KernelBehaviour& kernel,
             const MountSettings& settings,
             Backing* backing,
             lower::Ext4* disk)
    : dev_(dev),
      kernel_(kernel),
      settings_(settings),
      extfuse_(settings.extfuse),
      backing_(backing),
      disk_(disk),
      writeback_done_(dev.cpu().engine(), "the end of writeback") {
    if (settings_.knows_capabilities) {
        refused_.insert(Opcode::getxattr);
    }
    inodes_.push_back(
        std::make_unique<Inode>(dev.cpu().engine(), dev.cpu().page_cache(), last_nodeid_, true));
    if (disk_ != nullptr) {
        disk_->add_directory(last_nodeid_, last_nodeid_, false);
    }
}

Mount::~Mount() = default;

// --- inodes

Inode& Mount::new_inode(bool directory) {
    if (!retired_.empty()) {
        Inode& inode = *retired_.back();
        retired_.pop_back();
        inode.begin_again(++last_nodeid_, directory);
        return inode;
    }
    inodes_.push_back(std::make_unique<Inode>(
        dev_.cpu().engine(), dev_.cpu().page_cache(), ++last_nodeid_, directory));
    return *inodes_.back();
}

Inode& Mount::add_directory(Inode& parent, Name name) {
    Inode& inode = new_inode(true);
    parent.add_name(name, inode);
    inode.nlookup = 1;
    if (disk_ != nullptr) {
        disk_->add_directory(parent.nodeid, inode.nodeid, &parent == &root());
    }
    return inode;
}

Inode& Mount::add_file(Inode& directory, Name name, std::uint64_t size) {
    Inode& inode = new_inode(false);
    inode.size = size;
    directory.add_name(name, inode);
    if (disk_ != nullptr) {
        disk_->add_file(directory.nodeid, inode.nodeid, size);
    }
    return inode;
}

double Mount::share_that_fits(std::uint64_t bytes) const {
    return FileTree::share_that_fits(dev_.cpu().page_cache(), bytes, disk_ != nullptr ? 2 : 1);
}

File Mount::open_quietly(Inode& file, bool o_direct, double cached) {
    File out;
    ++file.nlookup;
    begin_open(out, file, o_direct);
    if (disk_ != nullptr) {
        disk_->load_quietly(file.nodeid);
    }
    const auto pages =
        static_cast<std::uint64_t>(cached * static_cast<double>(fuse::pages_of(file.size)));
    // Where memory is short, piece by piece by both file systems, as reading leaves them in the
    // order of last use.
    const bool interleaved = disk_ != nullptr && cached < 1;
    const std::uint64_t piece =
        interleaved ? std::max<std::uint64_t>(1, settings_.readahead_pages) : pages;
    for (std::uint64_t page = 0; page < pages; page += piece) {
        const std::uint64_t count = std::min(piece, pages - page);
        if (disk_ != nullptr) {
            disk_->cache_quietly(file.nodeid, page, count);
        }
        file.cached.add(page, count);
    }
    refresh_attributes(file);
    return out;
}

void Mount::evict_if_unused(Inode& inode) {
    if (!inode.unlinked || inode.opens > 0) {
        return;
    }
    inode.cached.clear();
    if (inode.nlookup > 0) {
        forget(inode);
    }
    inode.dirty.clear();
    if (settings_.reuse_inodes && inode.writing_back == 0 && inode.fetches.empty()) {
        retired_.push_back(&inode);
    }
}

void Mount::forget(Inode& inode) {
    dev_.forget(inode.nodeid, std::exchange(inode.nlookup, 0));
    if (extfuse_) {
        extfuse_->forget(inode.nodeid);
    }
}

sim::Task<> Mount::reclaim(Thread& thread) {
    for (const auto& inode : inodes_) {
        const bool busy = inode->directory || inode->opens > 0 || inode->writing_back > 0 ||
                          !inode->dirty.empty() || !inode->fetches.empty();
        if (busy || inode->nlookup == 0) {
            continue;
        }
        inode->cached.clear();
        inode->markers.clear();
        inode->partial.clear();
        inode->attributes_until = inode->permissions_until = Time();
        forget(*inode);
        co_await thread.run(costs().vfs.reclaim);
    }
    for (const auto& inode : inodes_) {
        for (auto& [key, entry] : inode->entries) {  // in any order
            const bool kept = entry.inode != nullptr && entry.inode->nlookup > 0;
            entry.cached = entry.cached && kept;
        }
    }
}

std::uint64_t Mount::cached_inodes() const {
    return static_cast<std::uint64_t>(std::count_if(
        inodes_.begin(), inodes_.end(), [](const auto& inode) { return inode->nlookup > 0; }));
}

std::uint64_t Mount::cached_pages() const {
    std::uint64_t sum = 0;
    for (const auto& inode : inodes_) {
        sum += inode->cached.count();
    }
    return sum;
}

// --- requests

Mount::Exchange& Mount::take_exchange() {
    if (free_exchanges_.empty()) {
        exchanges_.push_back(std::make_unique<Exchange>(*this, dev_.cpu().engine()));
        free_exchanges_.push_back(exchanges_.back().get());
    }
    Exchange& exchange = *free_exchanges_.back();
    free_exchanges_.pop_back();
    exchange.reset();
    return exchange;
}

void Mount::give_back(Exchange& exchange) {
    exchange.call.on_end = nullptr;
    free_exchanges_.push_back(&exchange);
}

void Mount::shape(Call& call, Opcode opcode, Inode& inode, std::uint32_t name_length) {
    call.prepare(opcode);
    call.nodeid = inode.nodeid;
    fuse::RequestShape request;
    request.name = name_length;
    call.bytes_in = fuse::request_bytes(opcode, settings_.protocol_minor, request);
    call.reply_bytes = fuse::reply_bytes(opcode, settings_.protocol_minor);
}

sim::Task<> Mount::request(Thread& thread, Call& call) {
    thread.charge(costs().fuse_submit);
    if (extfuse_) {
        thread.charge(extfuse_->settings().program);
        if (extfuse_->answers(call)) {
            co_await thread.run();
            co_return;
        }
    }
    co_await thread.run();
    note(thread, co_await dev_.call(thread, call));
    if (extfuse_) {
        extfuse_->learn(call);
    }
    thread.charge(costs().fuse_resume);
}

void Mount::note(Thread& thread, std::int32_t error) {
    if (error == -ECONNABORTED || error == -ENOTCONN) {
        lost_.insert(&thread);
    }
}

sim::Task<> Mount::ask(Thread& thread, Opcode opcode, Inode& inode) {
    Exchange& exchange = take_exchange();
    shape(exchange.call, opcode, inode, 0);
    co_await request(thread, exchange.call);
    give_back(exchange);
}

sim::Task<> Mount::ask(
    Thread& thread, Opcode opcode, Inode& directory, Name name, std::uint64_t subject) {
    Exchange& exchange = take_exchange();
    shape(exchange.call, opcode, directory, name.length());
    exchange.call.name = name.key();
    exchange.call.subject = subject;
    co_await request(thread, exchange.call);
    give_back(exchange);
}

sim::Task<> Mount::send(Thread& thread, Exchange& exchange, void (Mount::*ended)(Exchange&)) {
    exchange.ended = ended;
    exchange.call.on_end = [](Call&, void* context) {
        auto& done = *static_cast<Exchange*>(context);
        (done.mount.*done.ended)(done);
    };
    exchange.call.on_end_context = &exchange;
    co_await thread.run();
    const std::int32_t error = co_await dev_.call_background(thread, exchange.call);
    if (error != 0) {
        note(thread, error);
        (this->*ended)(exchange);
    }
}

sim::Task<> Mount::release(Thread& thread, Opcode opcode, Inode& inode) {
    Exchange& exchange = take_exchange();
    shape(exchange.call, opcode, inode, 0);
    exchange.call.flags.set(fuse::Flag::force);
    co_await send(thread, exchange, &Mount::give_back);
}

// --- names and attributes

void Mount::refresh_attributes(Inode& inode) {
    inode.attributes_until = now() + settings_.attr_timeout;
    inode.permissions_until = inode.attributes_until;
    inode.attributes_partial = false;
}

void Mount::compare_attributes(Inode& inode) {
    refresh_attributes(inode);
    if (inode.mtime_unknown && settings_.auto_inval_data && !settings_.writeback_cache) {
        inode.cached.drop_clean();
        inode.partial.clear();
        inode.markers.clear();
    }
    inode.mtime_unknown = false;
}

bool Mount::attributes_stale(const Inode& inode) const {
    return inode.attributes_until <= now();
}

void Mount::learn(Inode& inode, Entry& entry) {
    ++inode.nlookup;
    entry.cached = true;
    entry.valid_until = now() + settings_.entry_timeout;
    compare_attributes(inode);
}

sim::Task<Inode*> Mount::lookup(Thread& thread, Inode& directory, Name name, bool locked) {
    const Entry& known = directory.entries[name.key()];
    if (known.cached && known.valid_until > now()) {
        if (known.inode != nullptr && known.inode->primed) {
            known.inode->primed = false;
            directory.advise_readdirplus = true;
        }
        co_return known.inode;
    }
    // A dentry that has expired is asked about where it stands; a new one is made under the locks.
    const bool revalidates = known.cached && known.inode != nullptr;
    if (!revalidates) {
        if (!locked) {
            co_await directory.lock.lock_shared(thread);
        }
        if (!settings_.parallel_dirops) {
            co_await directory.lookup_lock.lock(thread);
        }
    }
    Exchange& exchange = take_exchange();
    shape(exchange.call, Opcode::lookup, directory, name.length());
    exchange.call.name = name.key();
    Inode* const asked = directory.entries[name.key()].inode;
    exchange.call.subject = asked != nullptr ? asked->nodeid : 0;
    const bool negative_cached = asked == nullptr && settings_.negative_timeout > Time();
    if (asked == nullptr && !negative_cached) {
        exchange.call.error_reply = -ENOENT;
        exchange.call.reply_bytes = fuse::out_header_bytes;
    }
    co_await request(thread, exchange.call);
    give_back(exchange);
    // Others may have changed the directory meanwhile.
    Entry& entry = directory.entries[name.key()];
    const bool exists = entry.inode != nullptr;
    if (exists) {
        learn(*entry.inode, entry);
    } else {
        entry.cached = negative_cached;
        entry.valid_until = now() + settings_.negative_timeout;
    }
    if (!revalidates) {
        if (!settings_.parallel_dirops) {
            directory.lookup_lock.unlock();
        }
        if (!locked) {
            directory.lock.unlock_shared();
        }
    }
    directory.advise_readdirplus =
        directory.advise_readdirplus || (!revalidates && (exists || negative_cached));
    co_return entry.inode;
}

sim::Task<> Mount::getattr(Thread& thread, Inode& inode) {
    thread.charge(costs().getattr);
    co_await ask(thread, Opcode::getattr, inode);
    compare_attributes(inode);
}

sim::Task<Inode*> Mount::find(Thread& thread, Inode& directory, Name name) {
    const Entry& entry = directory.entries[name.key()];
    const bool known = entry.cached && entry.valid_until > now();
    Inode* const inode = co_await lookup(thread, directory, name, false);
    thread.charge(known              ? costs().vfs.cached_lookup
                  : inode != nullptr ? costs().vfs.lookup
                                     : costs().vfs.lookup_missing);
    co_return inode;
}

sim::Task<int> Mount::stat(Thread& thread, Inode& directory, Name name) {
    thread.charge(costs().syscall);
    Inode* inode = co_await find(thread, directory, name);
    if (inode == nullptr) {
        co_await thread.return_to_user();
        co_return -ENOENT;
    }
    if (attributes_stale(*inode) || inode->attributes_partial) {
        co_await getattr(thread, *inode);
    }
    co_await thread.return_to_user();
    co_return 0;
}

// --- open and close

void Mount::begin_open(File& out, Inode& inode, bool o_direct) {
    ++inode.opens;
    out.inode = &inode;
    out.o_direct = o_direct;
    out.readahead = host::Readahead(settings_.readahead_pages);
}

sim::Task<int> Mount::open(Thread& thread, Inode& directory, Name name, bool o_direct, File& out) {
    thread.charge(costs().syscall + costs().vfs.open);
    Inode* inode = co_await lookup(thread, directory, name, false);
    if (inode == nullptr) {
        co_await thread.return_to_user();
        co_return -ENOENT;
    }
    co_await ask(thread, Opcode::open, *inode);
    if (!settings_.keep_cache && !settings_.direct_io && !settings_.passthrough) {
        drop_clean(thread, *inode);
    }
    begin_open(out, *inode, o_direct);
    co_await thread.return_to_user();
    co_return 0;
}

/// The daemon has made a file, and its answer has the attributes.
void Mount::appear(Inode& directory, Name name, Inode& inode) {
    learn(inode, directory.add_name(name, inode));
    inode.changed_tick = tick();
    directory.attributes_partial = true;
}

/// A name is gone, and with the last one the file.
void Mount::disappear(Inode& directory, Name name, Inode& inode) {
    directory.attributes_partial = true;
    inode.attributes_partial = true;
    if (directory.remove_name(name, inode)) {
        inode.links -= inode.links > 0 ? 1 : 0;
        inode.unlinked = inode.links == 0 || inode.directory;
    }
}

sim::Task<int> Mount::create(Thread& thread, Inode& directory, Name name, File& out) {
    thread.charge(costs().syscall + costs().vfs.create);
    co_await directory.lock.lock(thread);
    Inode* found = co_await lookup(thread, directory, name, true);
    if (found != nullptr) {
        directory.lock.unlock();
        co_await thread.return_to_user();
        co_return -EEXIST;
    }
    Inode& inode = new_inode(false);
    co_await ask(thread, Opcode::create, directory, name, inode.nodeid);
    appear(directory, name, inode);
    directory.lock.unlock();
    begin_open(out, inode, false);
    co_await thread.return_to_user();
    co_return 0;
}

sim::Task<> Mount::ask_to_flush(Thread& thread, Inode& inode) {
    co_await ask(thread, Opcode::flush, inode);
    // The kernel does not count the blocks of a file whose data it keeps.
    inode.attributes_partial = inode.attributes_partial || settings_.writeback_cache;
}

sim::Task<> Mount::close(Thread& thread, File& file) {
    Inode& inode = *file.inode;
    if (inode.directory || file.path_only) {
        co_await close_other(thread, file);
        co_return;
    }
    thread.charge(costs().syscall + costs().vfs.close);
    if (settings_.writeback_cache) {
        co_await flush_dirty(thread, inode, true);
        co_await flush_times(thread, inode);
    }
    co_await ask_to_flush(thread, inode);
    co_await release(thread, Opcode::release, inode);
    file.inode = nullptr;
    --inode.opens;
    evict_if_unused(inode);
    co_await thread.return_to_user();
}

/// writeback_cache: the daemon is told the changed time of a file at once, since the kernel owns
/// it.
sim::Task<> Mount::tell_changed(Thread& thread, Inode& inode) {
    if (settings_.writeback_cache && !inode.directory && !inode.symlink) {
        co_await ask(thread, Opcode::setattr, inode);
    }
}

sim::Task<int> Mount::unlink(Thread& thread, Inode& directory, Name name) {
    thread.charge(costs().syscall + costs().vfs.unlink);
    co_await directory.lock.lock(thread);
    Inode* inode = co_await lookup(thread, directory, name, true);
    if (inode == nullptr) {
        directory.lock.unlock();
        co_await thread.return_to_user();
        co_return -ENOENT;
    }
    co_await inode->lock.lock(thread);
    co_await ask(thread, Opcode::unlink, directory, name, inode->nodeid);
    co_await tell_changed(thread, *inode);
    inode->lock.unlock();
    disappear(directory, name, *inode);
    directory.lock.unlock();
    evict_if_unused(*inode);
    co_await thread.return_to_user();
    co_return 0;
}

void Mount::prime(Inode& directory, std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = first; i < first + count; ++i) {
        const auto found = directory.entries.find(Name{Name::Family::file, i}.key());
        if (found != directory.entries.end() && found->second.inode != nullptr) {
            learn(*found->second.inode, found->second);
        }
    }
}

sim::Task<int> Mount::list(Thread& thread, Inode& directory) {
    thread.charge(costs().syscall + costs().vfs.opendir);
    Exchange& opendir = take_exchange();
    shape(opendir.call, Opcode::opendir, directory, 0);
    opendir.call.entries = static_cast<std::uint32_t>(directory.names + 2);
    co_await request(thread, opendir.call);
    give_back(opendir);

    // "." and ".." come with the first reply; the last one is empty.
    std::uint64_t names = directory.names + 2;
    const auto mean_name = static_cast<std::uint32_t>(
        directory.names > 0 ? directory.names_bytes / directory.names : 1);
    const std::uint32_t buffer =
        kernel_.readdir_fits_getdents ? getdents_bytes : fuse::kernel_page_bytes;
    bool first = true;
    std::uint32_t dots = 2;  // to be listed
    for (bool more = true; more;) {
        const bool plus = settings_.readdirplus && (first || directory.advise_readdirplus);
        const std::uint64_t fit = fuse::entries_that_fit(buffer, mean_name, plus);
        const std::uint64_t count = std::min(names, fit);
        directory.advise_readdirplus = false;
        more = count > 0;
        first = false;
        names -= count;
        thread.charge(costs().syscall + costs().vfs.readdir +
                      (plus ? costs().vfs.readdirplus_entry : costs().vfs.readdir_entry) *
                          static_cast<std::int64_t>(count));
        Exchange& exchange = take_exchange();
        shape(exchange.call, plus ? Opcode::readdirplus : Opcode::readdir, directory, 0);
        exchange.call.size = buffer;
        exchange.call.entries = static_cast<std::uint32_t>(count);
        exchange.call.dots = dots;
        exchange.call.lists_last = count > 0 && names == 0;
        dots = 0;
        exchange.call.reply_bytes =
            fuse::out_header_bytes +
            static_cast<std::uint32_t>(count) *
                (plus ? fuse::direntplus_bytes(mean_name) : fuse::dirent_bytes(mean_name));
        co_await request(thread, exchange.call);
        give_back(exchange);
        if (plus) {
            prime(directory, directory.names + 2 - names - count, count);
        }
    }
    thread.charge(costs().syscall + costs().vfs.closedir);
    co_await release(thread, Opcode::releasedir, directory);
    co_await thread.return_to_user();
    co_return 0;
}

}  // namespace fusesim::vfs
