#pragma once

#include "host/page_cache.h"
#include "host/page_set.h"
#include "host/rw_lock.h"
#include "sim/time.h"
#include "sim/wait_queue.h"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace fusesim::vfs {

/// A name within a directory: which family of names it is of, and its number there.
struct Name {
    enum class Family : std::uint8_t { thread, file, missing, fresh, given };

    Family family = Family::file;
    std::uint64_t number = 0;

    /// A name of a recording: whose it is only the caller knows, but how long it is counts.
    static Name given(std::uint64_t id, std::uint32_t length) {
        return {Family::given, id << length_bits | length};
    }

    /// As a real directory has it: "thread0", "file12", "missing3", "new7"; of a given name its
    /// number.
    std::string text() const;
    std::uint32_t length() const;

    std::uint64_t key() const { return static_cast<std::uint64_t>(family) << 56 | number; }

    static constexpr unsigned length_bits = 16;
};

/// Pages on their way into the cache.
struct Fetch {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    sim::WaitQueue arrived;
};

struct Inode;

/// A name as both sides know it: the file system's truth, and what the kernel believes of it.
struct Entry {
    Inode* inode = nullptr;   ///< null: no such file
    bool cached = false;      ///< the kernel has a dentry, positive or negative
    sim::Time valid_until;    ///< of that dentry
    std::uint64_t place = 0;  ///< of a given name: where its directory lists it
};

/// A file or directory with what the kernel keeps of it (models struct fuse_inode and its
/// address_space).
struct Inode {
    Inode(sim::Engine& engine, host::PageCache& cache, std::uint64_t id, bool is_directory)
        : nodeid(id),
          directory(is_directory),
          lock(engine, "an inode's lock"),
          lookup_lock(engine, "a directory's lookup lock"),
          cached(cache) {}

    /// Becomes a new file or directory, once nobody uses the old one any more.
    void begin_again(std::uint64_t id, bool is_directory) {
        nodeid = id;
        directory = is_directory;
        size = 0;
        unlinked = symlink = false;
        links = 1;
        attributes_until = permissions_until = {};
        attributes_partial = false;
        entries.clear();
        listing.clear();
        names = names_bytes = last_place = 0;
        advise_readdirplus = primed = false;
        markers.clear();
        changed_tick = -1;
        times_dirty = mtime_unknown = false;
        partial.clear();
        used.clear();
    }

    /// A name of this directory comes to stand for `inode`.
    Entry& add_name(Name name, Inode& inode) {
        Entry& entry = entries[name.key()];
        if (entry.inode != nullptr) {  // somebody else was faster
            listing.erase(entry.place);
            --names;
            names_bytes -= name.length();
        }
        entry.inode = &inode;
        if (name.family == Name::Family::given) {
            entry.place = ++last_place;
            listing.emplace(last_place, name);
        }
        ++names;
        names_bytes += name.length();
        return entry;
    }

    /// The name, which stands for `inode`, is gone; false if it was already.
    bool remove_name(Name name, const Inode& inode) {
        const auto found = entries.find(name.key());
        if (found == entries.end() || found->second.inode != &inode) {
            return false;
        }
        listing.erase(found->second.place);
        entries.erase(found);
        --names;
        names_bytes -= name.length();
        return true;
    }

    std::uint64_t nodeid;
    bool directory;
    std::uint64_t size = 0;     ///< bytes
    std::uint64_t nlookup = 0;  ///< to be given back by FORGET
    unsigned opens = 0;
    bool unlinked = false;
    bool symlink = false;
    unsigned links = 1;   ///< names of a file
    bool primed = false;  ///< READDIRPLUS told of it, and nobody has used that yet

    sim::Time attributes_until;       ///< i_time
    sim::Time permissions_until;      ///< ... as far as mode and owner go
    bool attributes_partial = false;  ///< size and mode are known, times and blocks are not

    host::RwLock lock;         ///< i_rwsem
    host::RwLock lookup_lock;  ///< fi->mutex, without FUSE_PARALLEL_DIROPS

    // A directory.
    std::unordered_map<std::uint64_t, Entry> entries;  // by key of the name, in no order
    std::uint64_t names_bytes = 0;                     ///< of all names that exist
    std::uint64_t names = 0;
    bool advise_readdirplus = false;
    std::map<std::uint64_t, Name> listing;  ///< given names, in the order of a listing
    std::uint64_t last_place = 0;

    // A file.
    host::Mapping cached;      ///< up to date in the page cache
    host::PageSet partial;     ///< in the page cache, but not up to date: written in part
    host::PageSet used;        ///< ever read or written, here or in the file system below
    std::uint64_t filled = 0;  ///< when READs last brought pages into the cache (host::Memory)
    host::PageSet dirty;
    std::int64_t changed_tick = -1;  ///< of the timer, when it was written last
    bool times_dirty = false;
    bool mtime_unknown = false;       ///< written since its attributes were told last
    std::uint64_t writing_back = 0;   ///< WRITEs on their way
    std::set<std::uint64_t> markers;  ///< pages that ask for more readahead
    std::vector<std::unique_ptr<Fetch>> fetches;
};

}  // namespace fusesim::vfs
