#pragma once

#include "trace/column.h"
#include "trace/record.h"
#include "trace/source.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fusesim::trace {

/// fio takes the numbers as milliseconds since its start; its manual, as microseconds since the
/// previous wait.
enum class IologWait : std::uint8_t { fio, howto };

struct ImportOptions {
    /// Go on past what would otherwise be an error, counting it.
    bool lenient = false;
    /// The one to take, where the input mixes several FUSE connections.
    std::optional<std::uint64_t> connection;
    /// System calls: only paths below this directory are kept, as paths within it. Empty: all.
    std::string mount = {};
    /// System calls: where the traced program began, for relative paths.
    std::string working_directory = {};
    /// What `wait` means in a fio iolog of version 2.
    IologWait iolog_wait = IologWait::fio;
    /// What the columns of a csv file are, e.g. "ts:us,op,offset,size".
    std::string columns = {};
};

/// What an import met. Nothing is dropped without being counted here.
struct ImportReport {
    std::uint64_t lines = 0;
    std::uint64_t records = 0;
    std::uint64_t unanswered = 0;  ///< requests whose reply is not in the input; they are kept
    std::uint64_t orphans = 0;     ///< replies whose request is not in the input
    std::uint64_t lost = 0;        ///< events that the tracer itself says it lost
    std::uint64_t unknown = 0;     ///< lines that say nothing to the importer
    std::uint64_t other_connections = 0;
    /// Unknown lines by kind.
    std::map<std::string, std::uint64_t> kinds;
    /// What was understood and does not belong into the trace, by kind.
    std::map<std::string, std::uint64_t> left_out;
    /// Sentences about what the trace cannot tell.
    std::vector<std::string> warnings;
};

/// Gets the records, in order of `queued`.
using Sink = std::function<void(const Record&)>;

/// One foreign trace format.
struct Importer {
    std::string_view name;
    Layer layer;
    std::string_view what;
    /// Columns that its records may set.
    std::vector<Column> columns;
    /// Whether a file that begins like this is of the format.
    bool (*sniff)(std::string_view begin);
    /// `header` is filled as far as the format allows: mostly before the first record.
    ImportReport (*run)(ByteSource& source,
                        Header& header,
                        const Sink& sink,
                        const ImportOptions& options);
};

/// All formats that can be imported, in the order in which they are tried.
const std::vector<Importer>& importers();

/// By name, nullptr if there is none.
const Importer* find_importer(std::string_view name);

/// By what the file looks like, nullptr if it looks like nothing known.
const Importer* recognise(ByteSource& source);

// One function a format, named in the table of import.cpp.
bool looks_like_tracefs(std::string_view begin);
bool looks_like_perf_script(std::string_view begin);
bool looks_like_strace(std::string_view begin);
bool looks_like_iolog(std::string_view begin);
bool looks_like_libfuse_debug(std::string_view begin);
bool looks_like_alibaba(std::string_view begin);
bool looks_like_systor17(std::string_view begin);
bool looks_like_tencent(std::string_view begin);
bool looks_like_msr(std::string_view begin);
bool looks_like_blkparse(std::string_view begin);
bool looks_like_juicefs_log(std::string_view begin);
bool looks_like_gofuse_debug(std::string_view begin);
ImportReport import_tracefs(ByteSource& source,
                            Header& header,
                            const Sink& sink,
                            const ImportOptions& options);
ImportReport import_perf_script(ByteSource& source,
                                Header& header,
                                const Sink& sink,
                                const ImportOptions& options);
ImportReport import_strace(ByteSource& source,
                           Header& header,
                           const Sink& sink,
                           const ImportOptions& options);
ImportReport import_iolog(ByteSource& source,
                          Header& header,
                          const Sink& sink,
                          const ImportOptions& options);
ImportReport import_libfuse_debug(ByteSource& source,
                                  Header& header,
                                  const Sink& sink,
                                  const ImportOptions& options);
ImportReport import_gofuse_debug(ByteSource& source,
                                 Header& header,
                                 const Sink& sink,
                                 const ImportOptions& options);
ImportReport import_juicefs_log(ByteSource& source,
                                Header& header,
                                const Sink& sink,
                                const ImportOptions& options);

/// A line a request, its columns as options.columns says. The others are csv with columns set.
ImportReport import_csv(ByteSource& source,
                        Header& header,
                        const Sink& sink,
                        const ImportOptions& options);
ImportReport import_msr(ByteSource& source,
                        Header& header,
                        const Sink& sink,
                        const ImportOptions& options);
ImportReport import_systor17(ByteSource& source,
                             Header& header,
                             const Sink& sink,
                             const ImportOptions& options);
ImportReport import_alibaba(ByteSource& source,
                            Header& header,
                            const Sink& sink,
                            const ImportOptions& options);

ImportReport import_tencent(ByteSource& source,
                            Header& header,
                            const Sink& sink,
                            const ImportOptions& options);
ImportReport import_blkparse(ByteSource& source,
                             Header& header,
                             const Sink& sink,
                             const ImportOptions& options);

}  // namespace fusesim::trace
