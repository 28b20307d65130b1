#pragma once

#include "trace/check.h"
#include "trace/import.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What the importers of line by line formats have in common.

namespace fusesim::trace::foreign {

inline constexpr std::uint64_t largest_u32 = 0xffffffff;

/// Takes a decimal number off the front; false, and nothing taken, if there is none that fits.
bool take_number(std::string_view& text, std::uint64_t& value);

/// Takes a number with base 8 after "0", 16 after "0x", else 10.
bool take_any_number(std::string_view& text, std::uint64_t& value);

/// Takes `word` off the front, if it is there.
bool take_word(std::string_view& text, std::string_view word);

void skip_blanks(std::string_view& text);

/// Takes everything up to the next blank, and the blanks after it.
std::string_view take_token(std::string_view& text);

/// A time in ns, and the ns that its last digit stands for.
struct Stamp {
    std::int64_t time = 0;
    std::int64_t resolution = 1'000'000'000;
};

/// "1795361404.305681", "12": seconds with up to nine digits after the point.
bool take_seconds(std::string_view& text, Stamp& stamp);

/// "14:03:20.305681": time of day.
bool take_clock(std::string_view& text, Stamp& stamp);

/// Nanoseconds from 1970 to the begin of a day of the calendar.
std::int64_t day_begin(std::int64_t year, unsigned month, unsigned day);

/// Times of day that pass midnight become times that only grow.
class Midnights {
  public:
    std::int64_t unroll(std::int64_t time_of_day);

  private:
    std::int64_t days_ = 0;
    std::int64_t last_ = unknown_time;
};

/// "/a/../b/./c" as "/b/c"; a relative `path` begins at `start`. "" if neither is absolute.
std::string absolute_path(std::string_view path, std::string_view start);

/// `path` as seen from `mount`, "/" for `mount` itself; "" if it is not below. An empty `mount`
/// leaves every absolute path as it is.
std::string path_below(std::string_view mount, std::string_view path);

/// The negative errno of "ENOENT"; 0 if there is no such name.
std::int32_t error_of(std::string_view name);

/// The same of a description, "no such file or directory"; its letters' case does not matter.
std::int32_t error_described(std::string_view text);

/// Counts lines and what becomes of them, and hands on records that a Writer accepts.
class Import {
  public:
    Import(ByteSource& source,
           Header& header,
           const Sink& sink,
           const ImportOptions& options,
           Layer layer,
           std::string_view format);

    /// The next line without its end; false at the end of the file.
    bool next(std::string_view& line);

    /// The line just read says nothing to the importer.
    void unknown(const std::string& kind);

    /// Something is understood, but does not belong into the trace.
    void leave_out(const std::string& kind) { ++report.left_out[kind]; }

    void orphan();

    void warn(const std::string& sentence) { report.warnings.push_back(sentence); }

    void fact(const std::string& key, const std::string& value);

    [[noreturn]] void fail(const std::string& message, const std::string& hint) const;

    /// An error, but with --lenient only a line that is not understood.
    void fail_unless_lenient(const std::string& message, const std::string& hint);

    /// Makes the times count from the first record's `queued` and, in layer syscall, numbers it.
    void hand_on(Record record);

    /// Throws if too much is left over. `excused` requests may stay without a reply.
    ImportReport finish(const std::string& nothing_message,
                        const std::string& nothing_hint,
                        std::uint64_t excused = 0);

    Header& header() { return header_; }

    const ImportOptions& options() const { return options_; }

    ByteSource& source() { return source_; }

    ImportReport report;

  private:
    ByteSource& source_;
    Header& header_;
    const Sink& sink_;
    const ImportOptions& options_;
    Checker checker_;
    std::optional<std::int64_t> start_;
    config::Place first_unknown_;
    config::Place first_orphan_;
};

/// Sorts records by `queued` that come nearly in order; unknown times stay where they are.
class Sorter {
  public:
    explicit Sorter(std::function<void(Record)> sink, std::size_t limit = std::size_t{1} << 18)
        : sink_(std::move(sink)), limit_(limit) {}

    void add(Record record);

    void finish();

  private:
    struct Waiting {
        Record record;
        std::uint64_t number = 0;
    };

    struct Younger {
        bool operator()(const Waiting& a, const Waiting& b) const {
            return a.record.queued != b.record.queued ? a.record.queued > b.record.queued
                                                      : a.number > b.number;
        }
    };

    void give_oldest();

    std::function<void(Record)> sink_;
    std::size_t limit_;
    std::uint64_t added_ = 0;
    std::vector<Waiting> waiting_;
};

/// `fact block` of what was traced below any file.
inline constexpr std::string_view disk_as_file =
    "as if each disk were one file, opened with O_DIRECT before its first request";

/// Numbers the files that records name, and has each opened by a record of its own before its
/// first request.
class OpenedFiles {
  public:
    OpenedFiles(Import& import, std::uint32_t open_flags)
        : import_(import), open_flags_(open_flags) {}

    void hand_on(Record record);

  private:
    Import& import_;
    std::uint32_t open_flags_;
    std::map<std::string, std::uint64_t> files_;
};

}  // namespace fusesim::trace::foreign
