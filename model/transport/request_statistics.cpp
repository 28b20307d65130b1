#include "transport/request_statistics.h"

#include <stdexcept>

namespace fusesim::transport {

OpcodeStatistics& RequestStatistics::of(fuse::Opcode opcode) {
    if (last_statistics_ == nullptr || last_ != opcode) {
        last_ = opcode;
        last_statistics_ = &by_opcode_[opcode];
    }
    return *last_statistics_;
}

void RequestStatistics::finished(const fuse::Request& request) {
    OpcodeStatistics& s = of(request.opcode);
    const std::int64_t end = request.resumed != fuse::never ? request.resumed : request.ended;
    // A request that was aborted or killed never saw its later stages; they took no time.
    const auto or_end = [end](std::int64_t stamp) { return stamp != fuse::never ? stamp : end; };
    ++s.count;
    s.bytes_in += request.bytes_in;
    s.bytes_out += request.bytes_out;
    s.background += or_end(request.queued) - request.created;
    s.queue += or_end(request.sent) - or_end(request.queued);
    s.processing += or_end(request.replied) - or_end(request.sent);
    s.reply += end - or_end(request.replied);
    s.latency.add(end - request.created);
    if (kept_.size() < most_kept_) {
        kept_.push_back({request.unique,
                         request.opcode,
                         request.created,
                         request.queued,
                         request.sent,
                         request.replied,
                         end});
    }
}

void RequestStatistics::taken(fuse::Opcode opcode, std::uint32_t bytes, sim::Time waited) {
    OpcodeStatistics& s = of(opcode);
    ++s.count;
    s.bytes_in += bytes;
    s.queue += waited.ps();
    s.latency.add(waited);
}

void RequestStatistics::begin_window() {
    by_opcode_.clear();
    kept_.clear();
    last_statistics_ = nullptr;
}

std::uint64_t RequestStatistics::total() const {
    std::uint64_t sum = 0;
    for (const auto& [opcode, statistics] : by_opcode_) {
        sum += statistics.count;
    }
    return sum;
}

}  // namespace fusesim::transport
