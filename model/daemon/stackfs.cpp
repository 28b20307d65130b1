#include "daemon/stackfs.h"

#include "fuse/sizes.h"

#include <algorithm>

namespace fusesim::daemon {

using fuse::Opcode;
using host::Costs;
using host::Work;
using sim::Time;
using transport::Call;

namespace {

/// Bytes of one entry of a reply to READDIR; names in our workloads are about that long.
constexpr std::uint32_t entry_bytes = fuse::dirent_bytes(8);
constexpr std::uint32_t entry_plus_bytes = fuse::direntplus_bytes(8);

}  // namespace

StackFs::StackFs(const host::LowerCosts& lower, std::uint64_t seed)
    : lower_(lower),
      fsync_blocked_(blocked(lower.fsync_blocked)),
      random_(seed, "daemon.stackfs") {}

sim::Distribution StackFs::blocked(const std::vector<Time>& quantiles) {
    if (quantiles.empty()) {
        return sim::Distribution::constant(Time());
    }
    std::vector<std::pair<double, Time>> points;
    for (std::size_t i = 0; i < quantiles.size(); ++i) {
        points.emplace_back(static_cast<double>(i) / static_cast<double>(quantiles.size() - 1),
                            quantiles[i]);
    }
    return sim::Distribution::quantiles(points);
}

Time StackFs::entries(const Call& call) const {
    const bool plus = call.opcode == Opcode::readdirplus;
    const std::uint32_t count =
        (call.reply_bytes - fuse::out_header_bytes) / (plus ? entry_plus_bytes : entry_bytes);
    const Time each =
        lower_.readdir_entry + (plus ? lower_.lookup + lower_.stat + lower_.close_path : Time());
    return lower_.readdir + each * count;
}

Time data_time(const host::LowerCosts& lower,
               const std::vector<host::SizeCost>& rows,
               std::uint64_t bytes,
               const host::Memory& memory) {
    const std::uint64_t pages = (bytes + fuse::kernel_page_bytes - 1) / fuse::kernel_page_bytes;
    return Costs::time_by_size(rows, bytes) + memory.pages(pages, lower.memory_share);
}

Time StackFs::on_core(const Call& call, const host::Memory& memory) const {
    switch (call.opcode) {
        case Opcode::lookup:
            return call.error_reply != 0 ? lower_.lookup_missing
                                         : lower_.lookup + lower_.stat + lower_.close_path;
        case Opcode::getattr:
            return lower_.stat;
        case Opcode::open:
            return lower_.open;
        case Opcode::release:
        case Opcode::releasedir:
            return lower_.close;
        case Opcode::create:
            return lower_.create + lower_.lookup + lower_.stat;
        case Opcode::unlink:
            return lower_.unlink;
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
            return lower_.fsync;
        default:
            return Time();
    }
}

sim::Task<> StackFs::handle(host::Thread& worker, Call& call) {
    worker.charge(on_core(call, worker.cpu().memory()), Work::kernel);
    if (call.opcode == Opcode::fsync) {
        const Time asleep = fsync_blocked_.draw(random_);
        if (asleep > Time()) {
            co_await worker.sleep_for(asleep);
        }
    }
}

void StackFs::forget(host::Thread& worker, std::size_t count) {
    worker.charge(lower_.close_unlinked * static_cast<std::int64_t>(count), Work::kernel);
}

}  // namespace fusesim::daemon
