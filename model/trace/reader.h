#pragma once

#include "config/error.h"
#include "trace/column.h"
#include "trace/record.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace fusesim::trace {

struct ReadOptions {
    /// Take what a damaged file still holds: a cut-off end stops the reading, columns of a newer
    /// version are skipped. Each such step is told by Reader::warnings().
    bool lenient = false;
};

/// Reads a trace record by record, text, binary or either compressed with zstd; "-" is standard
/// input. Memory does not depend on the trace's length. Everything wrong is a config::Error with
/// the place: the file is open and its header read once the constructor returns.
class Reader {
  public:
    explicit Reader(const std::string& path, const ReadOptions& options = {});
    Reader(Reader&&) noexcept;
    Reader& operator=(Reader&&) noexcept;
    ~Reader();

    /// Complete from the start for a plain file. From a pipe or a compressed file, what the writer
    /// knew only at its end (lost events, some facts) is there once next() has said false.
    const Header& header() const;

    /// The next record in order of `queued`; false at the end. Reuses the memory of its strings.
    bool next(Record& record);

    /// Where the record that next() gave last stands.
    config::Place place() const;

    /// The file's own count, where it is known before its end.
    std::optional<std::uint64_t> expected_records() const;

    /// Share of the input read so far, 0 to 1; 0 while unknown.
    double progress() const;

    /// Hash of the decoded records, the same for text and binary; known at the end. For a text
    /// trace without an end line it is computed, otherwise it is the file's own, checked for text.
    std::optional<std::uint64_t> content_hash() const;

    /// What a lenient reader passed over.
    const std::vector<std::string>& warnings() const;

  private:
    class State;
    std::unique_ptr<State> state_;
};

/// True if the file begins like a trace of this format (as opposed to one to be imported).
bool is_trace(const std::string& path);

}  // namespace fusesim::trace
