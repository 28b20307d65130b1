#include "inode_table.h"

#include <unistd.h>

#include <algorithm>

namespace fusesim::daemons {

InodeTable::InodeTable(int root) {
    root_.fd = root;
    root_.lookups = 1;

    struct stat attributes {};

    if (fstat(root, &attributes) == 0) {
        root_.device = attributes.st_dev;
        root_.number = attributes.st_ino;
    }
}

InodeTable::~InodeTable() {
    for (const auto& [key, inode] : inodes_) {
        close(inode->fd);
    }
    close(root_.fd);
}

Inode& InodeTable::remember(int fd, const struct stat& attributes) {
    int unneeded = -1;
    Inode* inode = nullptr;
    {
        const std::lock_guard lock(mutex_);
        if (attributes.st_ino == root_.number && attributes.st_dev == root_.device) {
            inode = &root_;
            unneeded = fd;
        } else {
            auto& place = inodes_[{attributes.st_dev, attributes.st_ino}];
            if (place == nullptr) {
                place = std::make_unique<Inode>();
                place->fd = fd;
                place->device = attributes.st_dev;
                place->number = attributes.st_ino;
            } else {
                unneeded = fd;
            }
            inode = place.get();
        }
        ++inode->lookups;
    }
    if (unneeded >= 0) {
        close(unneeded);
    }
    return *inode;
}

void InodeTable::forget(Inode& inode, std::uint64_t lookups) {
    if (&inode == &root_) {
        return;
    }
    std::unique_ptr<Inode> gone;
    {
        const std::lock_guard lock(mutex_);
        inode.lookups -= std::min(inode.lookups, lookups);
        if (inode.lookups == 0) {
            const auto found = inodes_.find({inode.device, inode.number});
            gone = std::move(found->second);
            inodes_.erase(found);
        }
    }
    if (gone != nullptr) {
        close(gone->fd);
    }
}

}  // namespace fusesim::daemons
