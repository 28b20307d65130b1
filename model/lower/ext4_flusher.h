#pragma once

#include "lower/ext4.h"

namespace fusesim::lower {

/// The thread that writes dirty pages (models wb_workfn() of fs/fs-writeback.c).
struct Ext4::Flusher {
    explicit Flusher(Ext4& owner)
        : fs(owner),
          thread(owner.cpu_, "flusher", host::Group::kernel),
          work(owner.cpu_.engine(), "dirty pages to write"),
          timer(*this) {
        owner.cpu_.engine().spawn("flusher", owner.flush_pages(thread), sim::Role::server);
    }

    /// Looks for old dirty pages every dirty_writeback while there are any.
    struct Timer final : sim::Timer {
        explicit Timer(Flusher& owner) : flusher(owner) {}

        void fire() override { flusher.work.wake_one(); }

        Flusher& flusher;
    };

    Ext4& fs;
    host::Thread thread;
    sim::WaitQueue work;
    Timer timer;
};

}  // namespace fusesim::lower
