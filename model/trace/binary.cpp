#include "trace/binary.h"

#include "trace/content_hash.h"

#include <fmt/format.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>

namespace fusesim::trace {

namespace {

// Layout of the fixed parts, all numbers little-endian:
//   head   magic 8, version u32, length u32, xxh64 of the text u64, header text
//   block  "BLCK", records u32, stored bytes u32, raw bytes u32, number of the first record u64,
//          xxh64 of the stored bytes seeded with xxh64 of the 24 bytes before, stored bytes
//   end    "END!", text length u32, records u64, content hash u64, checksum as above, text,
//          offset of the end mark u64, "FSTEND\r\n"
constexpr std::size_t head_size = 24;
constexpr std::size_t mark_size = 32;
constexpr std::size_t checked_part = 24;
constexpr std::size_t footer_size = 16;
constexpr std::string_view block_mark = "BLCK";
constexpr std::string_view end_mark = "END!";
constexpr std::string_view footer_mark = "FSTEND\r\n";

// How a column of numbers is coded.
enum class Coding : std::uint8_t { plain = 0, delta = 1, dictionary = 2, names = 3 };

constexpr unsigned has_unset_bit = 4;
constexpr std::size_t dictionary_limit = 256;
constexpr auto unset = static_cast<std::uint64_t>(unknown_time);

template <class Number>
Number load(const char* from) {
    Number value = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
        value |= static_cast<Number>(static_cast<unsigned char>(from[i])) << (8 * i);
    }
    return value;
}

template <class Number>
void store(Number value, std::string& out) {
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
        out += static_cast<char>(value >> (8 * i));
    }
}

void store_varint(std::uint64_t value, std::string& out) {
    while (value >= 0x80) {
        out += static_cast<char>(value | 0x80);
        value >>= 7;
    }
    out += static_cast<char>(value);
}

// Small numbers of either sign become small unsigned ones.
constexpr std::uint64_t zigzag(std::uint64_t value) {
    return (value << 1) ^ (0 - (value >> 63));
}

constexpr std::uint64_t unzigzag(std::uint64_t value) {
    return (value >> 1) ^ (0 - (value & 1));
}

std::uint64_t checksum(std::string_view checked, std::string_view payload) {
    return XXH64(payload.data(), payload.size(), XXH64(checked.data(), checked.size(), 0));
}

constexpr bool is_name(Column column) {
    return column == Column::name || column == Column::name2;
}

constexpr std::size_t name_index(Column column) {
    return column == Column::name2 ? 1 : 0;
}

constexpr bool is_time(Column column) {
    return column >= Column::queued && column <= Column::service_blocked;
}

// Stored relative to the last time before it in its record that is known.
constexpr bool is_relative(Column column) {
    return column >= Column::taken && column <= Column::resumed;
}

std::uint64_t as_number(Column column, const Record& record) {
    return visit(column, record, [](const auto& member) -> std::uint64_t {
        if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(member)>>) {
            return static_cast<std::uint64_t>(member);
        } else {
            return 0;
        }
    });
}

std::size_t width_of(std::uint64_t code) {
    return (static_cast<std::size_t>(std::bit_width(code)) + 7) / 8;
}

/// A column of numbers made small: value = base + scale * code.
struct Codes {
    std::uint64_t base = 0;
    std::uint64_t scale = 1;
    std::size_t width = 0;
    std::vector<std::uint64_t> codes;
    double cost = 0;  ///< bytes, estimated
};

// Bytes that an entropy coder needs for one byte position of all codes.
double plane_cost(const std::vector<std::uint64_t>& codes, std::size_t plane) {
    std::array<unsigned, 256> counts{};
    for (const std::uint64_t code : codes) {
        ++counts[(code >> (8 * plane)) & 0xff];
    }
    double bits = 0;
    const auto total = static_cast<double>(codes.size());
    for (const unsigned count : counts) {
        if (count > 0) {
            bits -= count * std::log2(count / total);
        }
    }
    return bits / 8;
}

Codes make_codes(const std::vector<std::uint64_t>& values, bool with_unset) {
    Codes result;
    std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
    for (const std::uint64_t value : values) {
        if (!with_unset || value != unset) {
            smallest = std::min(smallest, static_cast<std::int64_t>(value));
        }
    }
    result.base = static_cast<std::uint64_t>(smallest);
    std::uint64_t divisor = 0;
    for (const std::uint64_t value : values) {
        if ((!with_unset || value != unset) && divisor != 1) {
            divisor = std::gcd(divisor, value - result.base);
        }
    }
    result.scale = std::max<std::uint64_t>(divisor, 1);
    result.codes.reserve(values.size());
    std::uint64_t largest = 0;
    for (const std::uint64_t value : values) {
        std::uint64_t code = 0;
        if (!with_unset || value != unset) {
            code = value - result.base;
            // Hardly a column has a divisor, and a division costs as much as all the rest.
            code = (result.scale == 1 ? code : code / result.scale) + (with_unset ? 1 : 0);
        }
        largest = std::max(largest, code);
        result.codes.push_back(code);
    }
    result.width = width_of(largest);
    for (std::size_t plane = 0; plane < result.width; ++plane) {
        result.cost += plane_cost(result.codes, plane);
    }
    return result;
}

// The different values in ascending order; empty if they are too many for a dictionary.
std::vector<std::int64_t> distinct(const std::vector<std::uint64_t>& values) {
    constexpr std::size_t slots = 4 * dictionary_limit;
    std::array<std::uint64_t, slots> table;
    std::array<bool, slots> taken{};
    std::vector<std::int64_t> words;
    for (const std::uint64_t value : values) {
        std::size_t at = (value * 0x9e3779b97f4a7c15U >> 40) % slots;
        while (taken[at] && table[at] != value) {
            at = (at + 1) % slots;
        }
        if (taken[at]) {
            continue;
        }
        if (words.size() == dictionary_limit) {
            return {};
        }
        taken[at] = true;
        table[at] = value;
        words.push_back(static_cast<std::int64_t>(value));
    }
    std::sort(words.begin(), words.end());
    return words;
}

void store_planes(const std::vector<std::uint64_t>& codes, std::size_t width, std::string& out) {
    for (std::size_t plane = 0; plane < width; ++plane) {
        for (const std::uint64_t code : codes) {
            out += static_cast<char>(code >> (8 * plane));
        }
    }
}

void store_codes(const Codes& codes, std::string& out) {
    store_varint(zigzag(codes.base), out);
    store_varint(codes.scale, out);
    out += static_cast<char>(codes.width);
    store_planes(codes.codes, codes.width, out);
}

// Values that a member of this type can hold, as 64-bit patterns.
template <class Member>
bool fits(std::uint64_t value) {
    if constexpr (std::is_same_v<Member, bool>) {
        return value <= 1;
    } else if constexpr (sizeof(Member) == 8) {
        return true;
    } else if constexpr (std::is_signed_v<Member>) {
        return static_cast<std::uint64_t>(static_cast<Member>(value)) == value;
    } else {
        return value <= std::numeric_limits<Member>::max();
    }
}

}  // namespace

// ---- reading

struct BinaryDecoder::Zstd {
    ZSTD_DCtx* context = ZSTD_createDCtx();

    Zstd() = default;
    Zstd(const Zstd&) = delete;
    Zstd& operator=(const Zstd&) = delete;

    ~Zstd() { ZSTD_freeDCtx(context); }
};

/// Takes a block's bytes apart; what is not there is an error.
class BinaryDecoder::Cursor {
  public:
    Cursor(std::string_view bytes, const BinaryDecoder& decoder)
        : bytes_(bytes), decoder_(decoder) {}

    std::string_view take(std::uint64_t size) {
        if (size > bytes_.size()) {
            decoder_.broken("a column is longer than its block");
        }
        const std::string_view taken = bytes_.substr(0, static_cast<std::size_t>(size));
        bytes_.remove_prefix(taken.size());
        return taken;
    }

    unsigned byte() { return static_cast<unsigned char>(take(1)[0]); }

    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const std::uint64_t digit = byte();
            if (shift == 63 && digit > 1) {
                break;
            }
            value |= (digit & 0x7f) << shift;
            if (digit < 0x80) {
                return value;
            }
        }
        decoder_.broken("a number is longer than 64 bits");
    }

    bool empty() const { return bytes_.empty(); }

  private:
    std::string_view bytes_;
    const BinaryDecoder& decoder_;
};

BinaryDecoder::BinaryDecoder(ByteSource& source, Header& header, bool lenient)
    : source_(source), header_(header), lenient_(lenient), zstd_(std::make_unique<Zstd>()) {
    read_header();
    preview_end();
}

BinaryDecoder::~BinaryDecoder() = default;

void BinaryDecoder::broken(const std::string& what) const {
    throw config::Error({source_.path(), 0, 0, block_offset_},
                        "damaged block: " + what,
                        "the file is not as it was written");
}

void BinaryDecoder::read_header() {
    const std::string_view fixed = source_.peek(head_size);
    if (fixed.size() < head_size) {
        source_.fail("the binary trace ends inside its header", "was it copied completely?");
    }
    const auto version = load<std::uint32_t>(fixed.data() + 8);
    const auto length = load<std::uint32_t>(fixed.data() + 12);
    const auto expected = load<std::uint64_t>(fixed.data() + 16);
    if (version != 1) {
        source_.fail(fmt::format("trace version {} is not supported, only 1", version),
                     "convert it with the fusesim that wrote it");
    }
    if (length > header_bytes_limit) {
        source_.fail(
            fmt::format("the header claims {} bytes, the limit is {}", length, header_bytes_limit),
            "the file is damaged");
    }
    header_.version = version;
    source_.skip(head_size);
    const std::string_view text = source_.peek(length);
    if (text.size() < length) {
        source_.fail("the binary trace ends inside its header", "was it copied completely?");
    }
    if (XXH64(text.data(), text.size(), 0) != expected) {
        source_.fail("the header does not match its checksum", "the file is damaged");
    }
    HeaderParser parser(header_);
    parse_lines(text, parser, {source_.path(), 0, 0, source_.offset()});
    parser.complete({source_.path(), 0, 0, source_.offset()});
    source_.skip(length);
}

// In a plain file the end mark can be read now: header() is complete from the start, and a file
// that was cut off is refused before hours of work.
void BinaryDecoder::preview_end() {
    const std::int64_t size = source_.plain_size();
    if (size < 0) {
        return;
    }
    const auto footer_at = size - static_cast<std::int64_t>(footer_size);
    const std::string footer =
        footer_at >= source_.offset() ? source_.read_at(footer_at, footer_size) : std::string();
    if (footer.size() < footer_size || footer.substr(8) != footer_mark) {
        if (!lenient_) {
            throw config::Error({source_.path(), 0, 0, size},
                                "the binary trace has no end mark: it was cut off, or its "
                                "recording was killed",
                                "--lenient reads the blocks that are complete");
        }
        return;
    }
    const auto at = load<std::uint64_t>(footer.data());
    const auto end_of_text = static_cast<std::uint64_t>(footer_at);
    if (at + mark_size > end_of_text || at > end_of_text ||
        end_of_text - at > mark_size + header_bytes_limit) {
        return;  // a wrong offset: said with its place when the end is reached
    }
    const std::string mark =
        source_.read_at(static_cast<std::int64_t>(at), static_cast<std::size_t>(end_of_text - at));
    const std::string_view view = mark;
    if (mark.size() != end_of_text - at || !view.starts_with(end_mark) ||
        checksum(view.substr(0, checked_part), view.substr(mark_size)) !=
            load<std::uint64_t>(mark.data() + checked_part)) {
        return;
    }
    expected_records = load<std::uint64_t>(mark.data() + 8);
    HeaderParser parser(header_);
    parse_lines(view.substr(mark_size),
                parser,
                {source_.path(), 0, 0, static_cast<std::int64_t>(at + mark_size)});
}

bool BinaryDecoder::next_block() {
    while (!ended_) {
        block_offset_ = source_.offset();
        records_ += count_;
        count_ = 0;
        at_ = 0;
        const std::string_view mark = source_.peek(mark_size);
        if (mark.size() == mark_size && mark.starts_with(block_mark)) {
            const std::string head(mark);
            read_block(head);
        } else if (mark.size() == mark_size && mark.starts_with(end_mark)) {
            const std::string head(mark);
            read_end(head);
        } else if (mark.size() == mark_size && !source_.cut_off()) {
            broken("neither a block nor the end mark stands here");
        } else if (!lenient_) {
            throw config::Error({source_.path(), 0, 0, block_offset_},
                                "the binary trace ends without its end mark",
                                "--lenient reads the blocks that are complete");
        } else {
            warnings.push_back(fmt::format(
                "byte {}: the trace breaks off, {} records were read", block_offset_, records_));
            expected_records = records_;
            ended_ = true;
        }
        if (count_ > 0) {
            return true;
        }
    }
    return false;
}

void BinaryDecoder::read_block(std::string_view head) {
    const auto count = load<std::uint32_t>(head.data() + 4);
    const auto stored = load<std::uint32_t>(head.data() + 8);
    const auto raw = load<std::uint32_t>(head.data() + 12);
    const auto first = load<std::uint64_t>(head.data() + 16);
    if (count == 0 || count > block_records_limit || raw > block_bytes_limit ||
        stored > ZSTD_compressBound(block_bytes_limit)) {
        broken(fmt::format("it claims {} records, {} bytes, {} compressed", count, raw, stored));
    }
    if (first != records_) {
        broken(fmt::format("it begins with record {} where {} is due", first, records_));
    }
    const std::string_view whole = source_.peek(mark_size + stored);
    if (whole.size() < mark_size + stored) {
        if (!lenient_) {
            throw config::Error({source_.path(), 0, 0, block_offset_},
                                "the binary trace ends inside a block",
                                "--lenient reads the blocks before it");
        }
        warnings.push_back(
            fmt::format("byte {}: the last block is incomplete, {} records were read",
                        block_offset_,
                        records_));
        expected_records = records_;
        ended_ = true;
        return;
    }
    const std::string_view payload = whole.substr(mark_size);
    if (checksum(head.substr(0, checked_part), payload) !=
        load<std::uint64_t>(head.data() + checked_part)) {
        broken("it does not match its checksum");
    }
    raw_.resize(raw);
    const std::size_t got = ZSTD_decompressDCtx(
        zstd_->context, raw_.data(), raw_.size(), payload.data(), payload.size());
    if (ZSTD_isError(got) != 0U) {
        broken(std::string("corrupt zstd data: ") + ZSTD_getErrorName(got));
    }
    if (got != raw) {
        broken(fmt::format("it holds {} bytes instead of {}", got, raw));
    }
    source_.skip(mark_size + stored);
    count_ = count;
    decode({raw_.data(), raw_.size()});
}

void BinaryDecoder::read_end(std::string_view head) {
    const auto length = load<std::uint32_t>(head.data() + 4);
    const auto records = load<std::uint64_t>(head.data() + 8);
    const auto hash = load<std::uint64_t>(head.data() + 16);
    if (length > header_bytes_limit) {
        broken(fmt::format("the end mark claims {} bytes", length));
    }
    const std::size_t size = mark_size + length + footer_size;
    const std::string_view whole = source_.peek(size + 1);
    if (whole.size() < size) {
        broken("the end mark is cut off");
    }
    const std::string_view text = whole.substr(mark_size, length);
    const std::string_view footer = whole.substr(mark_size + length, footer_size);
    if (checksum(head.substr(0, checked_part), text) !=
        load<std::uint64_t>(head.data() + checked_part)) {
        broken("the end mark does not match its checksum");
    }
    if (records != records_) {
        broken(fmt::format("the end mark counts {} records, but there are {}", records, records_));
    }
    if (footer.substr(8) != footer_mark ||
        load<std::uint64_t>(footer.data()) != static_cast<std::uint64_t>(block_offset_)) {
        broken("the end mark is not where the last bytes say");
    }
    if (whole.size() > size) {
        broken("something follows the end mark");
    }
    HeaderParser parser(header_);
    parse_lines(
        text, parser, {source_.path(), 0, 0, block_offset_ + static_cast<std::int64_t>(mark_size)});
    source_.skip(size);
    ended_ = true;
    expected_records = records;
    content_hash = hash;
}

std::uint64_t* BinaryDecoder::room(Column column) {
    const auto number = static_cast<std::size_t>(column);
    std::vector<std::uint64_t>& array = arrays_[number];
    if (array.size() < count_) {
        array.resize(std::max(count_, block_records));
    }
    columns_[number] = {array.data(), ~std::size_t{0}};
    return array.data();
}

void BinaryDecoder::decode(std::string_view raw) {
    static const Record fresh;
    for (std::size_t i = 1; i < column_limit; ++i) {
        constants_[i] = as_number(static_cast<Column>(i), fresh);
        columns_[i] = {&constants_[i], 0};
        present_[i] = false;
        has_unset_[i] = false;
    }
    names_[0].index = names_[1].index = nullptr;
    Cursor block(raw, *this);
    while (!block.empty()) {
        const unsigned number = block.byte();
        Cursor body(block.take(block.varint()), *this);
        if (number == 0 || number >= column_limit) {
            if (!lenient_) {
                broken(fmt::format("column number {} is unknown here", number));
            }
            if (warnings.empty()) {
                warnings.push_back(fmt::format("unknown column number {} was skipped", number));
            }
            continue;
        }
        if (std::exchange(present_[number], true)) {
            broken(fmt::format("column {} comes twice", column_name(static_cast<Column>(number))));
        }
        decode_column(static_cast<Column>(number), body);
        if (!body.empty()) {
            broken(fmt::format("column {} is too long", column_name(static_cast<Column>(number))));
        }
    }
    make_times_absolute();
    for (std::size_t i = 1; i < column_limit; ++i) {
        check_range(static_cast<Column>(i));
    }
}

void BinaryDecoder::expand_codes(std::string_view planes,
                                 unsigned width,
                                 std::uint64_t* out) const {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(planes.data());
    const std::size_t n = count_;
    switch (width) {
        case 0:
            std::fill_n(out, n, 0);
            return;
        case 1:
            for (std::size_t i = 0; i < n; ++i) {
                out[i] = bytes[i];
            }
            return;
        case 2:
            for (std::size_t i = 0; i < n; ++i) {
                out[i] = static_cast<std::uint64_t>(bytes[i] | bytes[n + i] << 8);
            }
            return;
        case 3:
            for (std::size_t i = 0; i < n; ++i) {
                out[i] = static_cast<std::uint64_t>(bytes[i] | bytes[n + i] << 8 |
                                                    bytes[2 * n + i] << 16);
            }
            return;
        default:
            std::fill_n(out, n, 0);
            for (unsigned plane = 0; plane < width; ++plane) {
                for (std::size_t i = 0; i < n; ++i) {
                    out[i] |= std::uint64_t{bytes[plane * n + i]} << (8 * plane);
                }
            }
    }
}

void BinaryDecoder::decode_column(Column column, Cursor& body) {
    const auto number = static_cast<std::size_t>(column);
    const unsigned kind = body.byte();
    const auto coding = static_cast<Coding>(kind & 3);
    const bool with_unset = (kind & has_unset_bit) != 0;
    if (kind > 7 || (coding == Coding::names) != is_name(column) ||
        (with_unset && (!is_time(column) || coding != Coding::plain))) {
        broken(fmt::format("column {} is coded in an unknown way", column_name(column)));
    }
    if (coding == Coding::names) {
        decode_names(column, body);
        return;
    }
    const auto width_and_planes = [&](unsigned limit) {
        const unsigned width = body.byte();
        if (width > limit) {
            broken(fmt::format("column {} is {} bytes wide", column_name(column), width));
        }
        return std::pair(width, body.take(std::uint64_t{width} * count_));
    };
    if (coding == Coding::dictionary) {
        const std::uint64_t size = body.varint();
        if (size == 0 || size > dictionary_limit) {
            broken("a dictionary is too large");
        }
        std::array<std::uint64_t, dictionary_limit> words{};
        std::uint64_t word = 0;
        for (std::uint64_t i = 0; i < size; ++i) {
            word += unzigzag(body.varint());
            words[i] = word;
        }
        const auto [width, planes] = width_and_planes(1);
        std::uint64_t* const out = room(column);
        expand_codes(planes, width, out);
        std::uint64_t largest = 0;
        for (std::size_t i = 0; i < count_; ++i) {
            largest = std::max(largest, out[i]);
            out[i] = words[out[i]];
        }
        if (largest >= size) {
            broken("a dictionary lacks a word");
        }
        return;
    }
    std::uint64_t previous = coding == Coding::delta ? unzigzag(body.varint()) : 0;
    const std::uint64_t base = unzigzag(body.varint());
    const std::uint64_t scale = body.varint();
    const auto [width, planes] = width_and_planes(8);
    if (width == 0 && coding == Coding::plain && !is_relative(column)) {
        constants_[number] = with_unset ? unset : base;
        return;
    }
    std::uint64_t* const out = room(column);
    expand_codes(planes, width, out);
    if (with_unset) {
        has_unset_[number] = true;
        for (std::size_t i = 0; i < count_; ++i) {
            out[i] = out[i] == 0 ? unset : base + scale * (out[i] - 1);
        }
    } else if (scale == 1) {
        for (std::size_t i = 0; i < count_; ++i) {
            out[i] += base;
        }
    } else {
        for (std::size_t i = 0; i < count_; ++i) {
            out[i] = base + scale * out[i];
        }
    }
    if (coding == Coding::delta) {
        for (std::size_t i = 0; i < count_; ++i) {
            previous += out[i];
            out[i] = previous;
        }
    }
}

void BinaryDecoder::decode_names(Column column, Cursor& body) {
    Names& names = names_[name_index(column)];
    const std::uint64_t size = body.varint();
    // Each name takes at least the byte of its length.
    if (size == 0 || size > count_ + 1) {
        broken("there are more names than records");
    }
    std::vector<std::size_t> lengths;
    lengths.reserve(static_cast<std::size_t>(size));
    for (std::uint64_t i = 0; i < size; ++i) {
        const std::uint64_t length = body.varint();
        if (length > block_bytes_limit) {
            broken("a name is longer than its block");
        }
        lengths.push_back(static_cast<std::size_t>(length));
    }
    names.table.clear();
    for (const std::size_t length : lengths) {
        names.table.push_back(body.take(length));
    }
    const unsigned width = body.byte();
    if (width > 2) {
        broken("the index of the names is too wide");
    }
    std::uint64_t* const out = room(column);
    expand_codes(body.take(std::uint64_t{width} * count_), width, out);
    const std::uint64_t largest = *std::max_element(out, out + count_);
    if (largest >= size) {
        broken("a name is missing");
    }
    names.index = out;
}

void BinaryDecoder::make_times_absolute() {
    bool any = false;
    for (std::size_t i = 1; i < column_limit; ++i) {
        any = any || (present_[i] && is_relative(static_cast<Column>(i)));
    }
    if (!any) {
        return;
    }
    latest_.resize(std::max(latest_.size(), count_));
    std::uint64_t* const latest = latest_.data();
    const Values& queued = columns_[static_cast<std::size_t>(Column::queued)];
    for (std::size_t i = 0; i < count_; ++i) {
        const std::uint64_t time = queued.values[i & queued.mask];
        latest[i] = time == unset ? 0 : time;
    }
    for (const Column column : {Column::taken, Column::replied, Column::ended, Column::resumed}) {
        const auto number = static_cast<std::size_t>(column);
        if (!present_[number]) {
            continue;
        }
        std::uint64_t* const out = arrays_[number].data();
        if (has_unset_[number]) {
            for (std::size_t i = 0; i < count_; ++i) {
                latest[i] += out[i] == unset ? 0 : out[i];
                out[i] = out[i] == unset ? unset : latest[i];
            }
        } else {
            for (std::size_t i = 0; i < count_; ++i) {
                latest[i] += out[i];
                out[i] = latest[i];
            }
        }
    }
}

void BinaryDecoder::check_range(Column column) const {
    static const Record fresh;
    const Values& values = columns_[static_cast<std::size_t>(column)];
    visit(column, fresh, [&](const auto& member) {
        using Member = std::remove_cvref_t<decltype(member)>;
        if constexpr (std::is_arithmetic_v<Member>) {
            if constexpr (sizeof(Member) < 8) {
                bool all = true;
                const std::size_t n = values.mask == 0 ? 1 : count_;
                for (std::size_t i = 0; i < n; ++i) {
                    all &= fits<Member>(values.values[i]);
                }
                if (!all) {
                    broken(
                        fmt::format("a value of column {} is out of range", column_name(column)));
                }
            }
        }
    });
}

bool BinaryDecoder::next(Record& record) {
    if (at_ == count_ && !next_block()) {
        return false;
    }
    const std::size_t i = at_++;
    const auto fill = [&](Column column, auto& member) {
        using Member = std::remove_reference_t<decltype(member)>;
        if constexpr (std::is_same_v<Member, std::string>) {
            const Names& names = names_[name_index(column)];
            if (names.index == nullptr) {
                member.clear();
            } else {
                member = names.table[names.index[i]];
            }
        } else {
            const Values& values = columns_[static_cast<std::size_t>(column)];
            member = static_cast<Member>(values.values[i & values.mask]);
        }
    };
    for_each_member(record, fill);
    return true;
}

config::Place BinaryDecoder::place(std::optional<Column> /*column*/) const {
    return {source_.path(), 0, 0, block_offset_};
}

std::string BinaryDecoder::subject() const {
    return fmt::format("record {}: ", records_ + at_ - 1);
}

// ---- writing

struct BinaryEncoder::Zstd {
    ZSTD_CCtx* context = ZSTD_createCCtx();

    explicit Zstd(int level) { ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level); }

    Zstd(const Zstd&) = delete;
    Zstd& operator=(const Zstd&) = delete;

    ~Zstd() { ZSTD_freeCCtx(context); }
};

BinaryEncoder::BinaryEncoder(int compression) : zstd_(std::make_unique<Zstd>(compression)) {
    for (std::vector<std::uint64_t>& column : columns_) {
        column.reserve(block_records);
    }
}

BinaryEncoder::~BinaryEncoder() = default;

std::string BinaryEncoder::head(const Header& header) {
    const std::string text = header_lines(header);
    std::string out(binary_magic);
    store<std::uint32_t>(1, out);
    store(static_cast<std::uint32_t>(text.size()), out);
    store<std::uint64_t>(XXH64(text.data(), text.size(), 0), out);
    return out + text;
}

std::uint64_t BinaryEncoder::number_of(const std::string& name, NameTable& table) {
    const auto [entry, fresh] = table.numbers.try_emplace(name, table.numbers.size());
    if (fresh) {
        table.in_order.push_back(&entry->first);
        name_bytes_ += name.size();
    }
    return entry->second;
}

void BinaryEncoder::add(const Record& record) {
    for_each_member(record, [this](Column column, const auto& member) {
        std::vector<std::uint64_t>& values = columns_[static_cast<std::size_t>(column)];
        if constexpr (std::is_same_v<decltype(member), const std::string&>) {
            values.push_back(number_of(member, names_[name_index(column)]));
        } else {
            values.push_back(static_cast<std::uint64_t>(member));
        }
    });
    ++count_;
}

void BinaryEncoder::encode_numbers(Column column, std::string& out) {
    const std::vector<std::uint64_t>& values = columns_[static_cast<std::size_t>(column)];
    const bool with_unset =
        is_time(column) && std::find(values.begin(), values.end(), unset) != values.end();
    Codes best = make_codes(values, with_unset);
    Coding coding = Coding::plain;
    std::uint64_t before_first = 0;
    std::string dictionary;
    if (!with_unset && best.width > 0) {
        std::vector<std::uint64_t> deltas(values.size());
        for (std::size_t i = 1; i < values.size(); ++i) {
            deltas[i] = values[i] - values[i - 1];
        }
        // The first difference is free: take one that stands in the list anyway.
        deltas[0] = values.size() > 1 ? deltas[1] : 0;
        Codes delta = make_codes(deltas, false);
        if (delta.cost < best.cost) {
            best = std::move(delta);
            coding = Coding::delta;
            before_first = values[0] - deltas[0];
        }
        const std::vector<std::int64_t> words =
            best.width > 1 ? distinct(values) : std::vector<std::int64_t>();
        if (!words.empty()) {
            Codes index;
            std::uint64_t previous = 0;
            store_varint(words.size(), dictionary);
            for (const std::int64_t word : words) {
                store_varint(zigzag(static_cast<std::uint64_t>(word) - previous), dictionary);
                previous = static_cast<std::uint64_t>(word);
            }
            for (const std::uint64_t value : values) {
                const auto place =
                    std::lower_bound(words.begin(), words.end(), static_cast<std::int64_t>(value));
                index.codes.push_back(static_cast<std::uint64_t>(place - words.begin()));
            }
            index.width = width_of(words.size() - 1);
            index.cost = plane_cost(index.codes, 0) + static_cast<double>(dictionary.size());
            if (index.cost < best.cost) {
                best = std::move(index);
                coding = Coding::dictionary;
            }
        }
    }
    out += static_cast<char>(static_cast<unsigned>(coding) | (with_unset ? has_unset_bit : 0));
    if (coding == Coding::dictionary) {
        out += dictionary;
        out += static_cast<char>(best.width);
        store_planes(best.codes, best.width, out);
        return;
    }
    if (coding == Coding::delta) {
        store_varint(zigzag(before_first), out);
    }
    store_codes(best, out);
}

void BinaryEncoder::encode_names(Column column, const NameTable& table, std::string& out) {
    out += static_cast<char>(Coding::names);
    store_varint(table.in_order.size(), out);
    for (const std::string* name : table.in_order) {
        store_varint(name->size(), out);
    }
    for (const std::string* name : table.in_order) {
        out += *name;
    }
    const std::size_t width = width_of(table.in_order.size() - 1);
    out += static_cast<char>(width);
    store_planes(columns_[static_cast<std::size_t>(column)], width, out);
}

void BinaryEncoder::flush(std::string& out) {
    if (count_ == 0) {
        return;
    }
    static const Record fresh;
    // Relative to the time before, the last one first, since each needs its predecessors.
    for (std::size_t i = 0; i < count_; ++i) {
        std::uint64_t latest = columns_[static_cast<std::size_t>(Column::queued)][i];
        latest = latest == unset ? 0 : latest;
        for (const Column column :
             {Column::taken, Column::replied, Column::ended, Column::resumed}) {
            std::uint64_t& time = columns_[static_cast<std::size_t>(column)][i];
            if (time != unset) {
                const std::uint64_t absolute = time;
                time -= latest;
                latest = absolute;
            }
        }
    }
    pieces_.clear();
    std::size_t raw_size = 0;
    for (const Column column : all_columns) {
        const std::vector<std::uint64_t>& values = columns_[static_cast<std::size_t>(column)];
        const NameTable& table = names_[name_index(column)];
        const bool all_unset =
            is_name(column) ? table.in_order.size() == 1 && table.in_order[0]->empty()
                            : std::all_of(values.begin(), values.end(), [&](std::uint64_t value) {
                                  return value == as_number(column, fresh);
                              });
        if (all_unset) {
            continue;
        }
        std::string body;
        if (is_name(column)) {
            encode_names(column, table, body);
        } else {
            encode_numbers(column, body);
        }
        std::string piece(1, static_cast<char>(column));
        store_varint(body.size(), piece);
        piece += body;
        raw_size += piece.size();
        pieces_.push_back(std::move(piece));
    }
    const std::string stored = compress();
    std::string mark(block_mark);
    store(static_cast<std::uint32_t>(count_), mark);
    store(static_cast<std::uint32_t>(stored.size()), mark);
    store(static_cast<std::uint32_t>(raw_size), mark);
    store(records_, mark);
    store(checksum(mark, stored), mark);
    out += mark;
    out += stored;
    records_ += count_;
    count_ = 0;
    name_bytes_ = 0;
    for (std::vector<std::uint64_t>& column : columns_) {
        column.clear();
    }
    for (NameTable& table : names_) {
        table.in_order.clear();
        table.numbers.clear();
    }
}

// One frame, one zstd block per column: each gets its own entropy tables, which columns of such
// different contents need.
std::string BinaryEncoder::compress() {
    std::string out;
    ZSTD_CCtx_reset(zstd_->context, ZSTD_reset_session_only);
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
        const bool last = i + 1 == pieces_.size();
        ZSTD_inBuffer in{pieces_[i].data(), pieces_[i].size(), 0};
        std::size_t left = 1;
        while (left != 0 || in.pos < in.size) {
            const std::size_t from = out.size();
            out.resize(from + ZSTD_compressBound(in.size - in.pos) + 64);
            ZSTD_outBuffer to{out.data() + from, out.size() - from, 0};
            left = ZSTD_compressStream2(zstd_->context, &to, &in, last ? ZSTD_e_end : ZSTD_e_flush);
            out.resize(from + to.pos);
            if (ZSTD_isError(left) != 0U) {
                throw std::runtime_error(std::string("zstd: ") + ZSTD_getErrorName(left));
            }
        }
    }
    return out;
}

std::string BinaryEncoder::end(std::uint64_t records,
                               std::uint64_t hash,
                               const std::string& changed,
                               std::uint64_t offset) {
    std::string out(end_mark);
    store(static_cast<std::uint32_t>(changed.size()), out);
    store(records, out);
    store(hash, out);
    store(checksum(out, changed), out);
    out += changed;
    store(offset, out);
    out += footer_mark;
    return out;
}

}  // namespace fusesim::trace
