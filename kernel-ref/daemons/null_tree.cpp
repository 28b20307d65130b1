#include "null_tree.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>

namespace fusesim::daemons {

NullTree::NullTree(const Options& options) : options_(options) {
    root_.mode = S_IFDIR | 0755;
    root_.links = 2;
    root_.parent = &root_;
    for (unsigned i = 0; i < options.files; ++i) {
        Node* file = add(root_, "file" + std::to_string(i), S_IFREG | 0644);
        file->size = static_cast<off_t>(options.file_size);
    }
}

NullTree::~NullTree() {
    free_below(root_);
    for (Node* node : nameless_) {
        free_below(*node);
        delete node;
    }
}

void NullTree::free_below(Node& directory) {
    for (const auto& [name, node] : directory.children) {
        free_below(*node);
        delete node;
    }
}

struct stat NullTree::attributes(const Node* node) const {
    struct stat out {};

    out.st_ino = ino(node);
    out.st_mode = node->mode;
    out.st_nlink = node->links;
    out.st_size = node->size;
    out.st_blocks = (node->size + 511) / 512;
    out.st_blksize = 4096;
    out.st_atim = out.st_mtim = out.st_ctim = node->changed;
    return out;
}

fuse_entry_param NullTree::entry(const Node* node) const {
    fuse_entry_param out{};
    out.ino = ino(node);
    out.attr = attributes(node);
    out.attr_timeout = options_.attr_timeout;
    out.entry_timeout = options_.entry_timeout;
    return out;
}

NullTree::Node* NullTree::find(Node& directory, const char* name) {
    const auto found = directory.children.find(name);
    return found == directory.children.end() ? nullptr : found->second;
}

NullTree::Node* NullTree::add(Node& directory, const std::string& name, mode_t mode) {
    auto fresh = std::make_unique<Node>();
    fresh->mode = mode;
    fresh->parent = &directory;
    fresh->links = S_ISDIR(mode) ? 2 : 1;
    clock_gettime(CLOCK_REALTIME_COARSE, &fresh->changed);
    directory.children[name] = fresh.get();
    return fresh.release();
}

void NullTree::drop_link(Node* node) {
    node->links = S_ISDIR(node->mode) ? 0 : node->links - 1;
    node->parent = node;  // its own may go before it does
    if (node->links == 0) {
        nameless_.insert(node);
    }
    free_if_unused(node);
}

void NullTree::free_if_unused(Node* node) {
    if (node != &root_ && node->lookups == 0 && node->links == 0) {
        nameless_.erase(node);
        delete node;
    }
}

fuse_entry_param NullTree::lookup(fuse_ino_t parent, const char* name) {
    const std::lock_guard lock(mutex_);
    Node* found = find(*node(parent), name);
    if (found == nullptr) {
        return {};
    }
    ++found->lookups;
    return entry(found);
}

void NullTree::forget(fuse_ino_t ino, std::uint64_t lookups) {
    const std::lock_guard lock(mutex_);
    Node* forgotten = node(ino);
    forgotten->lookups -= std::min(forgotten->lookups, lookups);
    free_if_unused(forgotten);
}

struct stat NullTree::getattr(fuse_ino_t ino) {
    const std::lock_guard lock(mutex_);
    return attributes(node(ino));
}

struct stat NullTree::setattr(fuse_ino_t ino, const struct stat& wanted, int which) {
    const std::lock_guard lock(mutex_);
    Node* changed = node(ino);
    if ((which & FUSE_SET_ATTR_MODE) != 0) {
        changed->mode = (changed->mode & S_IFMT) | (wanted.st_mode & ~S_IFMT);
    }
    if ((which & FUSE_SET_ATTR_SIZE) != 0) {
        changed->size = wanted.st_size;
    }
    clock_gettime(CLOCK_REALTIME_COARSE, &changed->changed);
    return attributes(changed);
}

fuse_entry_param NullTree::make(fuse_ino_t parent, const char* name, mode_t mode) {
    const std::lock_guard lock(mutex_);
    Node& directory = *node(parent);
    if (find(directory, name) != nullptr) {
        return {};
    }
    Node* fresh = add(directory, name, mode);
    fresh->lookups = 1;
    return entry(fresh);
}

int NullTree::remove(fuse_ino_t parent, const char* name, bool directory) {
    const std::lock_guard lock(mutex_);
    Node& from = *node(parent);
    Node* victim = find(from, name);
    if (victim == nullptr) {
        return ENOENT;
    }
    if (S_ISDIR(victim->mode) != directory) {
        return directory ? ENOTDIR : EISDIR;
    }
    if (!victim->children.empty()) {
        return ENOTEMPTY;
    }
    from.children.erase(name);
    drop_link(victim);
    return 0;
}

int NullTree::rename(
    fuse_ino_t from, const char* name, fuse_ino_t to, const char* new_name, unsigned flags) {
    if (flags != 0) {
        return EINVAL;
    }
    const std::lock_guard lock(mutex_);
    Node& source = *node(from);
    Node& target = *node(to);
    Node* moved = find(source, name);
    if (moved == nullptr) {
        return ENOENT;
    }
    Node* replaced = find(target, new_name);
    if (replaced == moved) {
        return 0;
    }
    if (replaced != nullptr && !replaced->children.empty()) {
        return ENOTEMPTY;
    }
    source.children.erase(name);
    target.children[new_name] = moved;
    moved->parent = &target;
    if (replaced != nullptr) {
        drop_link(replaced);
    }
    return 0;
}

std::size_t NullTree::readable(fuse_ino_t ino, std::size_t size, off_t offset) {
    const std::lock_guard lock(mutex_);
    const off_t end = node(ino)->size;
    return offset < end ? std::min(size, static_cast<std::size_t>(end - offset)) : 0;
}

void NullTree::grow(fuse_ino_t ino, off_t end) {
    const std::lock_guard lock(mutex_);
    Node* grown = node(ino);
    grown->size = std::max(grown->size, end);
    clock_gettime(CLOCK_REALTIME_COARSE, &grown->changed);
}

std::uint64_t NullTree::open_directory(fuse_ino_t ino) {
    auto listing = std::make_unique<Listing>();
    const std::lock_guard lock(mutex_);
    Node* directory = node(ino);
    listing->entries.emplace_back(".", directory);
    listing->entries.emplace_back("..", directory->parent);
    for (const auto& [name, child] : directory->children) {
        listing->entries.emplace_back(name, child);
    }
    return listings_.add(std::move(listing));
}

/// The node of the entry at `place`, if it is still in the directory and so alive.
NullTree::Node* NullTree::still_there(Node& directory, const Listing& listing, std::size_t place) {
    const auto& [name, node] = listing.entries[place];
    return place < 2 ? node : find(directory, name.c_str());
}

std::size_t NullTree::list(
    fuse_ino_t ino, std::uint64_t handle, off_t offset, bool plus, char* to, std::size_t size) {
    const Listing& listing = listings_.at(handle);
    std::size_t used = 0;
    const std::lock_guard lock(mutex_);
    for (auto i = static_cast<std::size_t>(offset); i < listing.entries.size(); ++i) {
        Node* there = still_there(*node(ino), listing, i);
        if (there == nullptr) {
            continue;
        }
        const char* name = listing.entries[i].first.c_str();
        const auto next = static_cast<off_t>(i + 1);
        const fuse_entry_param told = entry(there);
        const std::size_t left = size - used;
        const std::size_t need =
            plus ? fuse_add_direntry_plus(nullptr, to + used, left, name, &told, next)
                 : fuse_add_direntry(nullptr, to + used, left, name, &told.attr, next);
        if (need > left) {
            break;
        }
        used += need;
        if (plus && i >= 2) {
            ++there->lookups;
        }
    }
    return used;
}

struct statvfs NullTree::space() {
    struct statvfs out {};

    out.f_bsize = out.f_frsize = 4096;
    out.f_blocks = out.f_bfree = out.f_bavail = 1u << 30;
    out.f_files = out.f_ffree = out.f_favail = 1u << 30;
    out.f_namemax = 255;
    return out;
}

}  // namespace fusesim::daemons
