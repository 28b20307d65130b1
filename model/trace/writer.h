#pragma once

#include "trace/column.h"
#include "trace/record.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::trace {

enum class Form : std::uint8_t { binary, text };

struct WriteOptions {
    Form form = Form::binary;
    int compression = 3;  ///< zstd level of a binary trace's blocks
    std::vector<Column> columns =
        {};  ///< of a text trace; empty: all. A set member left out is refused
};

/// Writes a trace. What it accepts, Reader reads back. A binary trace goes out in blocks of 4096
/// records, so that a killed program loses at most the last block and the end mark.
class Writer {
  public:
    /// "-" is standard output. An existing file is overwritten.
    Writer(const std::string& path, const Header& header, const WriteOptions& options = {});
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    /// Finishes the trace if finish() was not called, and swallows what goes wrong in it.
    ~Writer();

    /// Records come in order of `queued`. Throws std::invalid_argument, and stays usable, for one
    /// that a reader would refuse: see check.h.
    void add(const Record& record);

    /// Pushes what was added so far to the file, as a short block.
    void flush();

    /// Writes the end mark and closes the file. Nothing may be added afterwards.
    void finish();

    /// What is learnt on the way (lost events, facts) may be changed until finish(); layer may not.
    Header& header();

    std::uint64_t records() const;

    /// Of the records added so far.
    std::uint64_t content_hash() const;

  private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace fusesim::trace
