#include "trace/writer.h"

#include "config/error.h"
#include "trace/binary.h"
#include "trace/check.h"
#include "trace/content_hash.h"
#include "trace/text.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>

namespace fusesim::trace {

namespace {

constexpr std::size_t output_buffer = 256 * 1024;

/// A file that is written from front to back.
class Output {
  public:
    explicit Output(const std::string& path) : path_(path) {
        if (path == "-") {
            fd_ = STDOUT_FILENO;
            path_ = "standard output";
            return;
        }
        fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fd_ < 0) {
            fail("cannot create");
        }
    }

    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    ~Output() {
        if (fd_ > STDOUT_FILENO) {
            ::close(fd_);
        }
    }

    std::string buffer;

    void drain() {
        std::size_t done = 0;
        while (done < buffer.size()) {
            const ssize_t n = write(fd_, buffer.data() + done, buffer.size() - done);
            if (n < 0 && errno != EINTR) {
                buffer.clear();
                fail("cannot write");
            }
            if (n > 0) {
                done += static_cast<std::size_t>(n);
                written_ += static_cast<std::uint64_t>(n);
            }
        }
        buffer.clear();
    }

    void drain_if_large() {
        if (buffer.size() >= output_buffer) {
            drain();
        }
    }

    void close() {
        drain();
        if (fd_ > STDOUT_FILENO) {
            const int result = ::close(fd_);
            fd_ = -1;
            if (result != 0) {
                fail("cannot close");
            }
        }
    }

    /// Bytes so far, with those still in the buffer.
    std::uint64_t size() const { return written_ + buffer.size(); }

  private:
    [[noreturn]] void fail(const char* what) const {
        throw config::Error({path_}, std::string(what) + ": " + std::strerror(errno));
    }

    std::string path_;
    int fd_ = -1;
    std::uint64_t written_ = 0;
};

}  // namespace

class Writer::State {
  public:
    State(const std::string& path, const Header& first_header, const WriteOptions& options)
        : header(first_header), written_header(first_header), checker(header.layer), out(path) {
        if (header.layer == Layer::block) {
            throw std::invalid_argument("layer block is reserved");
        }
        if (options.form == Form::text) {
            text.emplace(header.layer, options.columns);
            out.buffer = text->head(header);
        } else {
            binary.emplace(options.compression);
            out.buffer = BinaryEncoder::head(header);
        }
    }

    Header header;
    Header written_header;  ///< as it stands at the head of the file
    Checker checker;
    Output out;
    std::optional<TextEncoder> text;
    std::optional<BinaryEncoder> binary;
    ContentHash hash;
    std::uint64_t records = 0;
    bool finished = false;
};

Writer::Writer(const std::string& path, const Header& header, const WriteOptions& options)
    : state_(std::make_unique<State>(path, header, options)) {}

Writer::~Writer() {
    try {
        finish();
    } catch (const std::exception&) {
        // Whoever wants to know calls finish().
    }
}

void Writer::add(const Record& record) {
    State& state = *state_;
    if (state.text) {
        if (const auto column = state.text->missing(record)) {
            throw std::invalid_argument(std::string("the trace has no column ") +
                                        std::string(column_name(*column)));
        }
    }
    const Fault fault = state.checker.check(record);
    if (fault != Fault::none) {
        throw std::invalid_argument(state.checker.explain(fault, record).message);
    }
    if (state.text) {
        state.text->add(record, state.out.buffer);
    } else {
        state.binary->add(record);
        if (state.binary->full()) {
            state.binary->flush(state.out.buffer);
        }
    }
    state.hash.add(record);
    ++state.records;
    state.out.drain_if_large();
}

void Writer::flush() {
    if (state_->binary) {
        state_->binary->flush(state_->out.buffer);
    }
    state_->out.drain();
}

void Writer::finish() {
    State& state = *state_;
    if (state.finished) {
        return;
    }
    state.finished = true;
    const std::string changed = changed_lines(state.written_header, state.header);
    const std::uint64_t hash = state.hash.value();
    if (state.binary) {
        state.binary->flush(state.out.buffer);
        state.out.buffer += BinaryEncoder::end(state.records, hash, changed, state.out.size());
    } else {
        state.out.buffer += TextEncoder::end(state.records, hash, changed);
    }
    state.out.close();
}

Header& Writer::header() {
    return state_->header;
}

std::uint64_t Writer::records() const {
    return state_->records;
}

std::uint64_t Writer::content_hash() const {
    return state_->hash.value();
}

}  // namespace fusesim::trace
