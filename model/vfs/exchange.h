#pragma once

#include "transport/message.h"
#include "vfs/mount.h"

namespace fusesim::vfs {

/// A request of a mount with what its end is to be told. Reused.
struct Mount::Exchange {
    Exchange(Mount& owner, sim::Engine& engine) : mount(owner), call(engine) {}

    void reset() {
        inode = nullptr;
        first = count = 0;
    }

    Mount& mount;
    transport::Call call;
    void (Mount::*ended)(Exchange&) = nullptr;
    Inode* inode = nullptr;   ///< whose pages these are
    std::uint64_t first = 0;  ///< page
    std::uint64_t count = 0;  ///< pages
};

}  // namespace fusesim::vfs
