#include "stretches.h"

namespace fusesim::measure {

void Tally::merge(const Tally& other) {
    for (std::size_t kind = 0; kind < call_kinds; ++kind) {
        calls[kind].merge(other.calls[kind]);
    }
    steps += other.steps;
    read_bytes += other.read_bytes;
    write_bytes += other.write_bytes;
    span_ns += other.span_ns;
}

void Stretches::begin(std::int64_t at) {
    if (full_pace_ns_) {
        watch_.emplace(real::Pace(*full_pace_ns_));
    }
    resume(at);
}

void Stretches::resume(std::int64_t at) {
    calls_.clear();
    steps_ = 0;
    read_bytes_ = 0;
    write_bytes_ = 0;
    began_ = at;
}

void Stretches::add_step(workload::Op op, std::uint32_t size, const std::vector<TimedCall>& calls) {
    calls_.insert(calls_.end(), calls.begin(), calls.end());
    ++steps_;
    read_bytes_ += op == workload::Op::read ? size : 0;
    write_bytes_ += op == workload::Op::write ? size : 0;
}

void Stretches::end(std::int64_t at) {
    const std::int64_t span = at - began_;
    span_ns_ += span;
    if (watch_ && !watch_->end()) {
        return;
    }
    for (const auto& [kind, ns] : calls_) {
        kept_.calls[kind].add(ns);
    }
    kept_.steps += steps_;
    kept_.read_bytes += read_bytes_;
    kept_.write_bytes += write_bytes_;
    kept_.span_ns += span;
}

}  // namespace fusesim::measure
