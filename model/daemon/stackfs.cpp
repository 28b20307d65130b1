#include "daemon/stackfs.h"

#include "fuse/sizes.h"
#include "lower/costs.h"

#include <algorithm>

namespace fusesim::daemon {

using fuse::Opcode;
using host::Costs;
using host::Work;
using lower::data_time;
using sim::Time;
using transport::Call;

namespace {

/// Bytes of one entry of a recorded reply to READDIR; names in our workloads are about that long.
constexpr std::uint32_t entry_bytes = fuse::dirent_bytes(8);
constexpr std::uint32_t entry_plus_bytes = fuse::direntplus_bytes(8);

}  // namespace

StackFs::StackFs(const host::LowerCosts& lower, lower::Ext4* disk, std::uint64_t seed)
    : lower_(lower),
      disk_(disk),
      fsync_blocked_(lower::blocked(lower.fsync_blocked)),
      random_(seed, "daemon.stackfs") {}

Time StackFs::entries(const Call& call) const {
    const bool plus = call.opcode == Opcode::readdirplus;
    const std::uint32_t count = call.entries != 0 ? call.entries
                                                  : (call.reply_bytes - fuse::out_header_bytes) /
                                                        (plus ? entry_plus_bytes : entry_bytes);
    const Time known = lower_.lookup + lower_.stat + lower_.close_path;
    // Having given the last name, it looks whether there are more.
    return lower_.readdir * (call.lists_last ? 2 : 1) + lower_.readdir_entry * count +
           known * (plus ? count - call.dots : 0);
}

Time StackFs::on_core(const Call& call, const host::Memory& memory) const {
    switch (call.opcode) {
        case Opcode::lookup:
            return call.error_reply != 0 ? lower_.lookup_missing
                                         : lower_.lookup + lower_.stat + lower_.close_path;
        case Opcode::getattr:
            return lower_.stat;
        case Opcode::setattr:
            return lower_.utimens + lower_.stat;
        case Opcode::open:
            return lower_.open;
        case Opcode::release:
        case Opcode::releasedir:
            return lower_.close;
        case Opcode::create:
        case Opcode::mknod:
        case Opcode::symlink:
        case Opcode::link:
            return lower_.create + lower_.lookup + lower_.stat;
        case Opcode::unlink:
        case Opcode::rename:
        case Opcode::rename2:
            return lower_.unlink;
        case Opcode::readlink:
        case Opcode::statfs:
            return lower_.stat;
        case Opcode::mkdir:
            return lower_.mkdir + lower_.lookup + lower_.stat;
        case Opcode::rmdir:
            return lower_.rmdir;
        case Opcode::opendir:
            return lower_.opendir;
        case Opcode::readdir:
        case Opcode::readdirplus:
            return entries(call);
        case Opcode::read:
            return data_time(
                lower_, lower_.read, call.reply_bytes - fuse::out_header_bytes, memory);
        case Opcode::write:
            return data_time(lower_, lower_.write, call.size, memory);
        case Opcode::fsync:
        case Opcode::fsyncdir:
            return lower_.fsync;
        default:
            return Time();
    }
}

sim::Task<> StackFs::handle(host::Thread& worker, Call& call) {
    worker.charge(on_core(call, worker.cpu().memory()), Work::kernel);
    if (disk_ != nullptr) {
        co_await on_disk(worker, call);
    } else if (call.opcode == Opcode::fsync) {
        const Time asleep = fsync_blocked_.draw(random_);
        if (asleep > Time()) {
            co_await worker.sleep_for(asleep);
        }
    }
}

/// What the calls wait for, and what they leave behind in memory and on the device.
sim::Task<> StackFs::on_disk(host::Thread& worker, Call& call) {
    switch (call.opcode) {
        case Opcode::lookup:
            co_await disk_->lookup(worker, call.nodeid, call.subject);
            break;
        case Opcode::getattr:
        case Opcode::open:
        case Opcode::opendir:
            co_await disk_->load(worker, call.nodeid);
            break;
        case Opcode::create:
        case Opcode::mknod:
        case Opcode::symlink:
            co_await disk_->create(worker, call.nodeid, call.subject, false);
            break;
        case Opcode::mkdir:
            co_await disk_->create(worker, call.nodeid, call.subject, true);
            break;
        case Opcode::unlink:
            if (call.subject != 0) {  // else it has other names
                co_await disk_->unlink(worker, call.nodeid, call.subject);
            }
            break;
        case Opcode::readdir:
        case Opcode::readdirplus:
            co_await disk_->list(worker, call.nodeid);
            break;
        case Opcode::read:
            co_await disk_->read(worker, call.nodeid, call.offset, call.size);
            break;
        case Opcode::write:
            co_await disk_->write(worker, call.nodeid, call.offset, call.size);
            break;
        case Opcode::fsync:
            co_await disk_->fsync(worker, call.nodeid, false);
            break;
        default:
            break;
    }
}

void StackFs::forget(host::Thread& worker, std::size_t count) {
    worker.charge(lower_.close_unlinked * static_cast<std::int64_t>(count), Work::kernel);
}

}  // namespace fusesim::daemon
