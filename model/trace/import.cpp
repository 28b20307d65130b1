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

const std::vector<Column> daemon_log_columns = {Column::queued,
                                                Column::opcode,
                                                Column::unique,
                                                Column::nodeid,
                                                Column::fh,
                                                Column::offset,
                                                Column::size,
                                                Column::flags,
                                                Column::error,
                                                Column::bytes_in,
                                                Column::bytes_out,
                                                Column::pid,
                                                Column::caller,
                                                Column::taken,
                                                Column::replied,
                                                Column::ended,
                                                Column::name,
                                                Column::name2};

const std::vector<Column> juicefs_columns = {Column::queued,
                                             Column::opcode,
                                             Column::unique,
                                             Column::nodeid,
                                             Column::fh,
                                             Column::offset,
                                             Column::size,
                                             Column::flags,
                                             Column::error,
                                             Column::bytes_out,
                                             Column::pid,
                                             Column::caller,
                                             Column::ended,
                                             Column::name,
                                             Column::name2};

const std::vector<Column> call_columns = {Column::queued,
                                          Column::opcode,
                                          Column::unique,
                                          Column::fh,
                                          Column::offset,
                                          Column::size,
                                          Column::flags,
                                          Column::error,
                                          Column::bytes_in,
                                          Column::bytes_out,
                                          Column::pid,
                                          Column::caller,
                                          Column::ended,
                                          Column::think_blocked,
                                          Column::name,
                                          Column::name2};

// Of a csv file somebody must say what its columns are.
bool looks_like_nothing(std::string_view) {
    return false;
}

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
        {"strace",
         Layer::syscall,
         "strace -f -ttt -T -y",
         call_columns,
         looks_like_strace,
         import_strace},
        {"fio-iolog",
         Layer::syscall,
         "what fio --write_iolog writes, versions 2 and 3",
         call_columns,
         looks_like_iolog,
         import_iolog},
        {"libfuse-debug",
         Layer::fuse,
         "what a libfuse daemon prints with -d, better through ts '%.s'",
         daemon_log_columns,
         looks_like_libfuse_debug,
         import_libfuse_debug},
        {"go-fuse-debug",
         Layer::fuse,
         "what a go-fuse daemon logs with -debug",
         daemon_log_columns,
         looks_like_gofuse_debug,
         import_gofuse_debug},
        {"juicefs",
         Layer::fuse,
         "JuiceFS' .accesslog",
         juicefs_columns,
         looks_like_juicefs_log,
         import_juicefs_log},
        {"csv",
         Layer::syscall,
         "lines of fields, as --columns says",
         call_columns,
         looks_like_nothing,
         import_csv},
        {"msr",
         Layer::syscall,
         "MSR Cambridge block traces",
         call_columns,
         looks_like_msr,
         import_msr},
        {"systor17",
         Layer::syscall,
         "SYSTOR '17 block traces",
         call_columns,
         looks_like_systor17,
         import_systor17},
        {"alibaba",
         Layer::syscall,
         "Alibaba 2020 block traces",
         call_columns,
         looks_like_alibaba,
         import_alibaba},
        {"tencent",
         Layer::syscall,
         "Tencent 2020 block traces",
         call_columns,
         looks_like_tencent,
         import_tencent},
        {"blkparse",
         Layer::syscall,
         "what blkparse prints of a block trace",
         call_columns,
         looks_like_blkparse,
         import_blkparse},
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
