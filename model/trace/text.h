#pragma once

#include "trace/column.h"
#include "trace/content_hash.h"
#include "trace/decoder.h"
#include "trace/header.h"

#include <string>
#include <vector>

namespace fusesim::trace {

inline constexpr std::string_view text_magic = "fusesim trace ";

/// Reads the text form.
class TextDecoder : public Decoder {
  public:
    /// Reads the header up to and with its columns line.
    TextDecoder(ByteSource& source, Header& header, bool lenient);

    bool next(Record& record) override;
    config::Place place(std::optional<Column> column) const override;

  private:
    struct Field {
        Column column = Column::opcode;
        bool skipped = false;
    };

    void read_columns(std::string_view line, int first_column);
    void parse(std::string_view line, Record& record);
    void parse_field(Column column, std::string_view token, Record& record);
    void read_end(std::string_view line);
    void preview_end();
    [[noreturn]] void fail_at(const char* at,
                              const std::string& message,
                              const std::string& hint = "") const;

    ByteSource& source_;
    Header& header_;
    HeaderParser header_parser_;
    bool lenient_;
    std::vector<Field> fields_;
    std::string_view line_;
    std::uint64_t records_ = 0;
    ContentHash hash_;
    bool ended_ = false;
};

/// Builds the lines of the text form.
class TextEncoder {
  public:
    TextEncoder(Layer layer, std::vector<Column> columns);

    std::string head(const Header& header) const;

    /// The first set member that has no column.
    std::optional<Column> missing(const Record& record) const;

    /// Appends one line.
    void add(const Record& record, std::string& out) const;

    static std::string end(std::uint64_t records, std::uint64_t hash, const std::string& changed);

  private:
    Layer layer_;
    std::vector<Column> columns_;
    std::vector<Column> absent_;
};

}  // namespace fusesim::trace
