#pragma once

#include "trace/column.h"
#include "trace/record.h"
#include "trace/source.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::trace {

/// One form of trace file. Each decoder has read the header once it is built.
class Decoder {
  public:
    Decoder() = default;
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;
    virtual ~Decoder() = default;

    /// Fills every member of `record`; false at the end.
    virtual bool next(Record& record) = 0;

    /// Of the last record, and of one of its members where the form can tell.
    virtual config::Place place(std::optional<Column> column) const = 0;

    /// What messages about the last record begin with, where the place does not name it.
    virtual std::string subject() const { return ""; }

    std::optional<std::uint64_t> expected_records;  ///< from the end mark, maybe ahead of time
    std::optional<std::uint64_t> content_hash;
    std::vector<std::string> warnings;
};

}  // namespace fusesim::trace
