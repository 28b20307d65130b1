#pragma once

#include "open_handles.h"
#include "options.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::daemons {

/// Names, sizes and modes of a file system without data. Knows no transport: what answers
/// requests asks it. One mutex, because holding it takes far less than a request.
class NullTree {
  public:
    /// A file or directory. It lives while it has a name or the kernel remembers it.
    struct Node {
        mode_t mode = S_IFREG | 0644;
        off_t size = 0;
        timespec changed{};
        Node* parent = nullptr;
        std::uint64_t lookups = 0;
        unsigned links = 0;
        std::map<std::string, Node*> children;
    };

    explicit NullTree(const Options& options);
    ~NullTree();
    NullTree(const NullTree&) = delete;
    NullTree& operator=(const NullTree&) = delete;

    const Options& options() const { return options_; }

    /// Counts the lookup. The entry has ino 0 if there is no such name.
    fuse_entry_param lookup(fuse_ino_t parent, const char* name);

    void forget(fuse_ino_t ino, std::uint64_t lookups);

    struct stat getattr(fuse_ino_t ino);

    /// `which` is of FUSE_SET_ATTR_*; mode and size are kept.
    struct stat setattr(fuse_ino_t ino, const struct stat& wanted, int which);

    /// Makes a name; the entry has ino 0 if it exists already.
    fuse_entry_param make(fuse_ino_t parent, const char* name, mode_t mode);

    /// Takes a name away; returns the error number.
    int remove(fuse_ino_t parent, const char* name, bool directory);

    int rename(
        fuse_ino_t from, const char* name, fuse_ino_t to, const char* new_name, unsigned flags);

    /// How much of a read lies within the file.
    std::size_t readable(fuse_ino_t ino, std::size_t size, off_t offset);

    /// The file ends at `end` or later.
    void grow(fuse_ino_t ino, off_t end);

    /// Returns a handle of the directory as it is now.
    std::uint64_t open_directory(fuse_ino_t ino);

    void release_directory(std::uint64_t handle) { listings_.release(handle); }

    /// Fills `to` with entries from `offset` on; returns the bytes used.
    std::size_t list(
        fuse_ino_t ino, std::uint64_t handle, off_t offset, bool plus, char* to, std::size_t size);

    static struct statvfs space();

  private:
    /// A directory as it was when it was opened, so that offsets stay valid.
    struct Listing {
        std::vector<std::pair<std::string, Node*>> entries;
    };

    Node* node(fuse_ino_t ino) {
        return ino == FUSE_ROOT_ID ? &root_ : reinterpret_cast<Node*>(ino);
    }

    fuse_ino_t ino(const Node* node) const {
        return node == &root_ ? FUSE_ROOT_ID : reinterpret_cast<fuse_ino_t>(node);
    }

    struct stat attributes(const Node* node) const;
    fuse_entry_param entry(const Node* node) const;
    static Node* find(Node& directory, const char* name);
    static Node* add(Node& directory, const std::string& name, mode_t mode);
    static Node* still_there(Node& directory, const Listing& listing, std::size_t place);
    void drop_link(Node* node);
    void free_if_unused(Node* node);
    static void free_below(Node& directory);

    std::mutex mutex_;
    Options options_;
    Node root_;
    OpenHandles<Listing> listings_;
    std::set<Node*> nameless_;  // have lost their names, but the kernel remembers them
};

}  // namespace fusesim::daemons
