#include "trace/import.h"

#include <algorithm>

namespace fusesim::trace {

namespace {

constexpr std::size_t sniffed_bytes = 64 * 1024;

const std::vector<Column> tracepoint_columns = {Column::queued,
                                                Column::opcode,
                                                Column::unique,
                                                Column::size,
                                                Column::error,
                                                Column::bytes_in,
                                                Column::bytes_out,
                                                Column::background,
                                                Column::caller,
                                                Column::worker,
                                                Column::caller_cpu,
                                                Column::worker_cpu,
                                                Column::taken,
                                                Column::ended};

}  // namespace

const std::vector<Importer>& importers() {
    static const std::vector<Importer> table = {
        {"perf-script",
         Layer::fuse,
         "perf script of perf record -e 'fuse:*'",
         tracepoint_columns,
         looks_like_perf_script,
         import_perf_script},
        {"tracefs",
         Layer::fuse,
         "trace or trace_pipe of the fuse events, trace-cmd report",
         tracepoint_columns,
         looks_like_tracefs,
         import_tracefs},
    };
    return table;
}

const Importer* find_importer(std::string_view name) {
    const auto found = std::find_if(importers().begin(),
                                    importers().end(),
                                    [name](const Importer& i) { return i.name == name; });
    return found == importers().end() ? nullptr : &*found;
}

const Importer* recognise(ByteSource& source) {
    const std::string_view begin = source.peek(sniffed_bytes);
    const auto found = std::find_if(importers().begin(),
                                    importers().end(),
                                    [begin](const Importer& i) { return i.sniff(begin); });
    return found == importers().end() ? nullptr : &*found;
}

}  // namespace fusesim::trace
