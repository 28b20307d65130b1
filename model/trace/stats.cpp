#include "trace/stats.h"

#include <algorithm>

namespace fusesim::trace {

void Spans::add(std::int64_t ns) {
    histogram_.add(ns);
    sum_ += ns;
}

double Spans::mean_s() const {
    return count() == 0 ? 0 : static_cast<double>(sum_ / count()) * 1e-9;
}

void Stats::add(const Record& record) {
    ++records_;
    Opcode& opcode = opcodes_[record.opcode];
    ++opcode.count;
    opcode.errors += record.error != 0 ? 1 : 0;
    opcode.background += record.background ? 1 : 0;
    opcode.bytes_in += record.bytes_in;
    opcode.bytes_out += record.bytes_out;
    const std::int64_t last =
        std::max({record.queued, record.taken, record.replied, record.ended, record.resumed});
    last_ = std::max(last_, last);
    if (record.queued == unknown_time) {
        return;
    }
    first_ = std::min(first_, record.queued);
    const std::int64_t end = record.resumed != unknown_time ? record.resumed : record.ended;
    if (end == unknown_time) {
        return;
    }
    opcode.latency.add(end - record.queued);
    if (record.taken != unknown_time && record.replied != unknown_time) {
        opcode.queue.add(record.taken - record.queued);
        opcode.processing.add(record.replied - record.taken);
        opcode.reply.add(end - record.replied);
    }
}

double Stats::duration_s() const {
    return last_ <= first_ ? 0 : static_cast<double>(last_ - first_) * 1e-9;
}

}  // namespace fusesim::trace
