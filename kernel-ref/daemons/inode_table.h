#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace fusesim::daemons {

/// A file below that the kernel knows, held by an O_PATH descriptor. Its address is its nodeid.
struct Inode {
    int fd = -1;
    dev_t device = 0;
    ino_t number = 0;
    std::uint64_t lookups = 0;

    std::mutex backing_mutex;
    int backing_id = 0;  ///< while passed-through opens exist
    unsigned backing_users = 0;
};

/// All of them, by device and number. The descriptor keeps the number from being reused.
class InodeTable {
  public:
    explicit InodeTable(int root);
    ~InodeTable();
    InodeTable(const InodeTable&) = delete;
    InodeTable& operator=(const InodeTable&) = delete;

    Inode& root() { return root_; }

    /// Counts one more lookup of the file that `fd` stands for. Takes the descriptor if the file
    /// is new, and closes it if it is not.
    Inode& remember(int fd, const struct stat& attributes);

    /// Closes the descriptor with the last lookup.
    void forget(Inode& inode, std::uint64_t lookups);

  private:
    struct Key {
        dev_t device;
        ino_t number;
        bool operator==(const Key&) const = default;
    };

    struct Hash {
        std::size_t operator()(const Key& key) const {
            return std::hash<std::uint64_t>()(key.number * 0x9e3779b97f4a7c15u ^ key.device);
        }
    };

    std::mutex mutex_;
    std::unordered_map<Key, std::unique_ptr<Inode>, Hash> inodes_;
    Inode root_;
};

}  // namespace fusesim::daemons
