#include "trace/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fusesim::trace {

namespace {

constexpr std::size_t buffer_size = 256 * 1024;
constexpr std::size_t line_limit = 1024 * 1024;
constexpr char zstd_magic[] = "\x28\xb5\x2f\xfd";

// A frame may ask for a window as large as it likes; 128 MiB is what the zstd program grants.
constexpr int window_limit_log = 27;

}  // namespace

struct ByteSource::Zstd {
    ZSTD_DStream* stream = ZSTD_createDStream();
    std::vector<char> input = std::vector<char>(ZSTD_DStreamInSize());
    ZSTD_inBuffer in{input.data(), 0, 0};
    bool inside_frame = false;

    Zstd() { ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, window_limit_log); }

    Zstd(const Zstd&) = delete;
    Zstd& operator=(const Zstd&) = delete;

    ~Zstd() { ZSTD_freeDStream(stream); }
};

ByteSource::ByteSource(std::string path, bool lenient)
    : path_(std::move(path)), lenient_(lenient), buffer_(buffer_size) {
    const bool standard_input = path_ == "-";
    fd_ = standard_input ? STDIN_FILENO : open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) {
        throw config::Error({path_}, std::string("cannot open: ") + std::strerror(errno));
    }

    struct stat about {};

    fstat(fd_, &about);
    if (S_ISDIR(about.st_mode)) {
        if (!standard_input) {
            close(fd_);
        }
        throw config::Error({path_}, "this is a directory, not a trace");
    }
    if (S_ISREG(about.st_mode) && !standard_input) {
        file_size_ = about.st_size;
    }
    if (standard_input) {
        path_ = "standard input";
    }
    try {
        if (peek(4) == std::string_view(zstd_magic, 4)) {
            zstd_ = std::make_unique<Zstd>();
            compressed_ = true;
            // What stands in the buffer is the compressed beginning.
            zstd_->input.assign(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
                                buffer_.begin() + static_cast<std::ptrdiff_t>(end_));
            const std::size_t present = end_ - begin_;
            zstd_->input.resize(std::max(present, ZSTD_DStreamInSize()));
            zstd_->in = {zstd_->input.data(), present, 0};
            begin_ = end_ = 0;
            at_end_ = false;
        }
    } catch (...) {
        if (fd_ != STDIN_FILENO) {
            close(fd_);
        }
        throw;
    }
}

ByteSource::~ByteSource() {
    if (fd_ > STDIN_FILENO) {
        close(fd_);
    }
}

void ByteSource::fail(const std::string& message, const std::string& hint) const {
    throw config::Error({path_, 0, 0, offset_}, message, hint);
}

std::size_t ByteSource::read_file(char* to, std::size_t size) {
    for (;;) {
        const ssize_t got = read(fd_, to, size);
        if (got >= 0) {
            file_read_ += got;
            return static_cast<std::size_t>(got);
        }
        if (errno != EINTR) {
            fail(std::string("cannot read: ") + std::strerror(errno));
        }
    }
}

std::size_t ByteSource::read_zstd(char* to, std::size_t size) {
    ZSTD_outBuffer out{to, size, 0};
    while (out.pos == 0) {
        if (zstd_->in.pos == zstd_->in.size) {
            const std::size_t got = read_file(zstd_->input.data(), zstd_->input.size());
            if (got == 0) {
                if (zstd_->inside_frame) {
                    cut_off_ = true;
                    if (!lenient_) {
                        fail("the compressed file ends in the middle",
                             "was it copied completely? --lenient takes what is there");
                    }
                }
                return 0;
            }
            zstd_->in = {zstd_->input.data(), got, 0};
        }
        const std::size_t left = ZSTD_decompressStream(zstd_->stream, &out, &zstd_->in);
        if (ZSTD_isError(left) != 0U) {
            if (lenient_) {
                cut_off_ = true;
                return out.pos;
            }
            fail(std::string("corrupt zstd data: ") + ZSTD_getErrorName(left),
                 "test the file with: zstd -t");
        }
        zstd_->inside_frame = left != 0;
    }
    return out.pos;
}

bool ByteSource::fill() {
    if (at_end_ || (cut_off_ && compressed_)) {
        return false;
    }
    if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (end_ == buffer_.size()) {
        buffer_.resize(buffer_.size() * 2);
    }
    char* const to = buffer_.data() + end_;
    const std::size_t room = buffer_.size() - end_;
    const std::size_t got = zstd_ ? read_zstd(to, room) : read_file(to, room);
    end_ += got;
    at_end_ = got == 0;
    return got != 0;
}

std::string_view ByteSource::peek(std::size_t size) {
    while (end_ - begin_ < size && fill()) {
    }
    return {buffer_.data() + begin_, std::min(size, end_ - begin_)};
}

void ByteSource::skip(std::size_t size) {
    begin_ += size;
    offset_ += static_cast<std::int64_t>(size);
}

bool ByteSource::line(std::string_view& text) {
    std::size_t searched = 0;
    for (;;) {
        const char* const from = buffer_.data() + begin_;
        const std::size_t present = end_ - begin_;
        const void* const found = std::memchr(from + searched, '\n', present - searched);
        if (found != nullptr) {
            const auto length = static_cast<std::size_t>(static_cast<const char*>(found) - from);
            text = {from, length};
            skip(length + 1);
            ++line_number_;
            whole_ = true;
            return true;
        }
        searched = present;
        if (present > line_limit) {
            throw config::Error({path_, line_number_ + 1, 1},
                                "the line is longer than 1 MiB",
                                "is this a text file?");
        }
        if (!fill()) {
            text = {buffer_.data() + begin_, end_ - begin_};
            if (text.empty()) {
                return false;
            }
            skip(text.size());
            ++line_number_;
            whole_ = false;
            return true;
        }
    }
}

std::string ByteSource::read_at(std::int64_t offset, std::size_t size) const {
    std::string bytes(size, '\0');
    std::size_t got = 0;
    while (got < size) {
        const ssize_t n = pread(fd_,
                                bytes.data() + got,
                                size - got,
                                static_cast<off_t>(offset + static_cast<std::int64_t>(got)));
        if (n <= 0) {
            break;
        }
        got += static_cast<std::size_t>(n);
    }
    bytes.resize(got);
    return bytes;
}

double ByteSource::progress() const {
    if (file_size_ <= 0) {
        return 0;
    }
    return std::min(1.0, static_cast<double>(file_read_) / static_cast<double>(file_size_));
}

}  // namespace fusesim::trace
