#include "summary.h"

#include "trace/names.h"

#include <fmt/format.h>

namespace fusesim::record {

void Summary::Mean::add(std::int64_t from, std::int64_t to) {
    if (from != trace::unknown_time && to != trace::unknown_time) {
        sum += static_cast<double>(to - from);
        ++count;
    }
}

std::string Summary::Mean::text() const {
    return count == 0 ? "-" : fmt::format("{:.1f}", sum / static_cast<double>(count) * 1e-3);
}

void Summary::add(const trace::Record& record) {
    ++records_;
    Line& line = lines_[record.opcode];
    ++line.count;
    line.errors += record.error != 0 ? 1 : 0;
    const bool has_resumed = record.resumed != trace::unknown_time;
    line.latency.add(record.queued, has_resumed ? record.resumed : record.ended);
    line.queue.add(record.queued, record.taken);
    line.processing.add(record.taken, record.replied);
    line.reply.add(record.replied, has_resumed ? record.resumed : record.ended);
}

double Summary::mean_latency_s() const {
    double sum = 0;
    std::uint64_t count = 0;
    for (const auto& [opcode, line] : lines_) {
        sum += line.latency.sum;
        count += line.latency.count;
    }
    return count == 0 ? 0 : sum * 1e-9 / static_cast<double>(count);
}

std::string Summary::table() const {
    const bool fuse = layer_ == trace::Layer::fuse;
    std::string text =
        fuse ? fmt::format("{:<16}{:>9}{:>8}{:>12}{:>9}{:>12}{:>8}\n",
                           "opcode",
                           "count",
                           "errors",
                           "latency us",
                           "queue",
                           "processing",
                           "reply")
             : fmt::format("{:<16}{:>9}{:>8}{:>12}\n", "call", "count", "errors", "latency us");
    for (const auto& [opcode, line] : lines_) {
        text += fmt::format("{:<16}{:>9}{:>8}{:>12}",
                            trace::opcode_text(layer_, opcode),
                            line.count,
                            line.errors,
                            line.latency.text());
        if (fuse) {
            text += fmt::format(
                "{:>9}{:>12}{:>8}", line.queue.text(), line.processing.text(), line.reply.text());
        }
        text += "\n";
    }
    return text;
}

}  // namespace fusesim::record
