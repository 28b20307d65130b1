#pragma once

#include "trace/column.h"
#include "trace/decoder.h"
#include "trace/header.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fusesim::trace {

inline constexpr std::string_view binary_magic =
    "\x89"
    "FST\r\n\x1a\n";

// What a block may hold; a reader takes nothing larger, so that a damaged length costs no memory.
inline constexpr std::size_t block_records = 4096;          ///< what a writer puts in
inline constexpr std::size_t block_records_limit = 16'384;  ///< what a reader takes
inline constexpr std::size_t block_bytes_limit = 16 << 20;  ///< decompressed
inline constexpr std::size_t block_name_bytes = 4 << 20;    ///< a writer ends the block here
inline constexpr std::size_t header_bytes_limit = 1 << 20;

/// Reads the binary form; see README.md for the layout.
class BinaryDecoder : public Decoder {
  public:
    BinaryDecoder(ByteSource& source, Header& header, bool lenient);
    ~BinaryDecoder() override;

    bool next(Record& record) override;
    config::Place place(std::optional<Column> column) const override;
    std::string subject() const override;

  private:
    /// The decoded values of a column: values[i & mask], so that a constant needs no array.
    struct Values {
        const std::uint64_t* values = nullptr;
        std::size_t mask = 0;
    };

    struct Names {
        std::vector<std::string_view> table;
        const std::uint64_t* index = nullptr;  ///< null: all are ""
        std::size_t mask = 0;
    };

    class Cursor;

    bool next_block();
    void read_block(std::string_view head);
    void read_end(std::string_view head);
    void preview_end();
    void decode(std::string_view raw);
    void decode_column(Column column, Cursor& body);
    void decode_names(Column column, Cursor& body);
    void expand_codes(std::string_view planes, unsigned width, std::uint64_t* out) const;
    void make_times_absolute();
    void check_range(Column column) const;
    std::uint64_t* room(Column column);
    void read_header();
    [[noreturn]] void broken(const std::string& what) const;

    ByteSource& source_;
    Header& header_;
    bool lenient_;
    bool ended_ = false;
    std::int64_t block_offset_ = 0;
    std::uint64_t records_ = 0;  ///< of the blocks before this one
    std::size_t count_ = 0;      ///< in this block
    std::size_t at_ = 0;         ///< next one to hand out
    std::array<Values, column_limit> columns_;
    std::array<Names, 2> names_;
    std::array<std::vector<std::uint64_t>, column_limit> arrays_;
    std::array<std::uint64_t, column_limit> constants_{};
    std::array<bool, column_limit> present_{};
    std::array<bool, column_limit> has_unset_{};
    std::vector<std::uint64_t> latest_;
    std::vector<char> raw_;
    struct Zstd;
    std::unique_ptr<Zstd> zstd_;
};

/// Builds the parts of the binary form.
class BinaryEncoder {
  public:
    explicit BinaryEncoder(int compression);
    BinaryEncoder(const BinaryEncoder&) = delete;
    BinaryEncoder& operator=(const BinaryEncoder&) = delete;
    ~BinaryEncoder();

    static std::string head(const Header& header);

    void add(const Record& record);

    /// A block is worth writing out.
    bool full() const { return count_ == block_records || name_bytes_ >= block_name_bytes; }

    /// Appends the records added so far as one block; nothing if there are none.
    void flush(std::string& out);

    /// `offset` is where the end mark will stand in the file.
    static std::string end(std::uint64_t records,
                           std::uint64_t hash,
                           const std::string& changed,
                           std::uint64_t offset);

  private:
    struct NameTable {
        std::unordered_map<std::string, std::uint64_t> numbers;
        std::vector<const std::string*> in_order;
    };

    std::uint64_t number_of(const std::string& name, NameTable& table);
    void encode_numbers(Column column, std::string& out);
    void encode_names(Column column, const NameTable& table, std::string& out);
    std::string compress();

    std::size_t count_ = 0;
    std::size_t name_bytes_ = 0;
    std::uint64_t records_ = 0;
    std::array<std::vector<std::uint64_t>, column_limit> columns_;
    std::array<NameTable, 2> names_;
    std::vector<std::string> pieces_;  ///< of the raw block; each gets its own entropy tables
    struct Zstd;
    std::unique_ptr<Zstd> zstd_;
};

}  // namespace fusesim::trace
