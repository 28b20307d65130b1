#pragma once

#include "config/error.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fusesim::trace {

/// The bytes of a file or of standard input ("-"), decompressed on the way if they are zstd.
/// Offsets and line numbers count decompressed bytes.
class ByteSource {
  public:
    /// `lenient`: a compressed file that breaks off simply ends there.
    explicit ByteSource(std::string path, bool lenient = false);
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;
    ~ByteSource();

    /// Up to `size` next bytes, fewer only at the end; they stay to be read.
    std::string_view peek(std::size_t size);

    /// Takes `size` bytes that peek() has shown.
    void skip(std::size_t size);

    /// The next line without its LF; valid until the next call. False at the end. The last line is
    /// `whole` only if an LF ended it. Lines above the limit of 1 MiB are an error.
    bool line(std::string_view& text);

    bool whole() const { return whole_; }

    /// Of the line that line() gave last, counted from 1.
    int line_number() const { return line_number_; }

    std::int64_t offset() const { return offset_; }

    bool cut_off() const { return cut_off_; }

    const std::string& path() const { return path_; }

    /// A plain file's length; -1 for pipes and compressed input.
    std::int64_t plain_size() const { return compressed_ ? -1 : file_size_; }

    /// Reads from anywhere in a plain file; fewer bytes at its end.
    std::string read_at(std::int64_t offset, std::size_t size) const;

    /// Share of the file read, 0 to 1; 0 for a pipe.
    double progress() const;

    [[noreturn]] void fail(const std::string& message, const std::string& hint = "") const;

  private:
    bool fill();
    std::size_t read_file(char* to, std::size_t size);
    std::size_t read_zstd(char* to, std::size_t size);

    struct Zstd;

    std::string path_;
    bool lenient_;
    int fd_ = -1;
    std::int64_t file_size_ = -1;
    std::int64_t file_read_ = 0;
    bool compressed_ = false;
    std::unique_ptr<Zstd> zstd_;
    std::vector<char> buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::int64_t offset_ = 0;
    int line_number_ = 0;
    bool whole_ = true;
    bool at_end_ = false;
    bool cut_off_ = false;
};

}  // namespace fusesim::trace
