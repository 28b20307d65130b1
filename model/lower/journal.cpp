#include "lower/journal.h"

#include <algorithm>
#include <utility>

namespace fusesim::lower {

using device::Io;
using sim::Time;

namespace {

/// Block numbers that a descriptor block holds: 4096 bytes less header (12), tail (4) and the
/// UUID after its first tag (16), in tags of 16 bytes (journal_block_tag3_t; 64bit and checksums).
constexpr std::uint64_t tags_per_descriptor = (4096 - 12 - 4 - 16) / 16;

}  // namespace

Journal::Journal(host::Cpu& cpu,
                 BlockQueue& queue,
                 const Ext4Layout& layout,
                 const JournalSettings& settings,
                 Owner& owner)
    : cpu_(cpu),
      queue_(queue),
      settings_(settings),
      owner_(owner),
      first_(layout.journal_first()),
      blocks_(layout.journal_blocks()),
      thread_(cpu, "jbd2", host::Group::kernel),
      io_(cpu.engine()),
      wanted_(cpu.engine(), "something to commit"),
      done_(cpu.engine(), "the end of a commit") {
    cpu.engine().spawn("jbd2", run(), sim::Role::server);
}

Journal::Tid Journal::change(std::uint64_t block) {
    if (changed_.empty() && !quiescing_) {
        timer_.cancel();
        cpu_.engine().schedule(timer_, cpu_.engine().now() + settings_.commit);
    }
    if (changed_.insert(block).second) {
        in_order_.push_back(block);
    }
    // A transaction takes at most a quarter of the log (jbd2_journal_start's limit).
    if (in_order_.size() >= blocks_ / 4) {
        request(running_);
    }
    return running_;
}

void Journal::request(Tid tid) {
    requested_ = std::max(requested_, tid);
    wanted_.wake_one();
}

sim::Task<bool> Journal::complete(host::Thread& thread, Tid tid) {
    if (committed_ >= tid) {
        co_return false;
    }
    if (tid == running_) {
        request(tid);
    }
    while (committed_ < tid) {
        co_await thread.sleep(done_);
    }
    co_return settings_.barrier;
}

void Journal::quiesce() {
    quiescing_ = true;
    timer_.cancel();
}

sim::Task<> Journal::run() {
    co_await thread_.run();
    for (;;) {
        while (requested_ < running_) {
            co_await thread_.sleep(wanted_);
        }
        co_await commit();
    }
}

sim::Task<> Journal::commit() {
    timer_.cancel();
    const Tid tid = running_++;
    const std::vector<std::uint64_t> blocks = std::exchange(in_order_, {});
    changed_.clear();
    if (!blocks.empty()) {
        co_await owner_.write_ordered(thread_);
        const std::uint64_t descriptors =
            (blocks.size() + tags_per_descriptor - 1) / tags_per_descriptor;
        co_await write_log(blocks.size() + descriptors);
        if (settings_.barrier) {
            io_.add(thread_, queue_, Io::Kind::flush, 0, 0);
            co_await io_.wait(thread_);
        }
        io_.add(thread_,
                queue_,
                Io::Kind::write,
                first_ + head_,
                1,
                settings_.barrier && settings_.fua);
        head_ = head_ + 1 < blocks_ ? head_ + 1 : 1;
        co_await io_.wait(thread_);
        if (settings_.barrier && !settings_.fua) {
            io_.add(thread_, queue_, Io::Kind::flush, 0, 0);
            co_await io_.wait(thread_);
        }
        ++commits_;
        owner_.committed(blocks);
    }
    committed_ = tid;
    done_.wake_all();
}

sim::Task<> Journal::write_log(std::uint64_t count) {
    // In pieces as long as a request may be, to the end of the log and on from its beginning.
    while (count > 0) {
        const std::uint64_t piece = std::min({count, blocks_ - head_, std::uint64_t{256}});
        co_await queue_.wait_for_room(thread_);
        io_.add(thread_, queue_, Io::Kind::write, first_ + head_, piece);
        head_ += piece;
        if (head_ == blocks_) {
            head_ = 1;
        }
        count -= piece;
    }
    co_await io_.wait(thread_);
}

}  // namespace fusesim::lower
