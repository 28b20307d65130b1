#include "trace/reader.h"

#include "trace/binary.h"
#include "trace/check.h"
#include "trace/source.h"
#include "trace/text.h"

#include <fmt/format.h>

namespace fusesim::trace {

class Reader::State {
  public:
    State(const std::string& path, const ReadOptions& options) : source(path, options.lenient) {
        const std::string_view begin = source.peek(text_magic.size());
        if (begin.empty()) {
            source.fail("the file is empty", "a trace begins with its header");
        }
        if (begin == text_magic) {
            decoder = std::make_unique<TextDecoder>(source, header, options.lenient);
        } else if (source.peek(binary_magic.size()) == binary_magic) {
            decoder = std::make_unique<BinaryDecoder>(source, header, options.lenient);
        } else {
            source.fail("this is not a fusesim trace",
                        "other formats are read by: fusesim trace convert IN OUT");
        }
        checker.emplace(header.layer);
    }

    ByteSource source;
    Header header;
    std::unique_ptr<Decoder> decoder;
    std::optional<Checker> checker;
};

Reader::Reader(const std::string& path, const ReadOptions& options)
    : state_(std::make_unique<State>(path, options)) {}

Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

const Header& Reader::header() const {
    return state_->header;
}

bool Reader::next(Record& record) {
    State& state = *state_;
    if (!state.decoder->next(record)) {
        return false;
    }
    const Fault fault = state.checker->check(record);
    if (fault != Fault::none) {
        const Defect defect = state.checker->explain(fault, record);
        throw config::Error(state.decoder->place(defect.column),
                            state.decoder->subject() + defect.message,
                            defect.hint);
    }
    return true;
}

config::Place Reader::place() const {
    return state_->decoder->place(std::nullopt);
}

std::optional<std::uint64_t> Reader::expected_records() const {
    return state_->decoder->expected_records;
}

double Reader::progress() const {
    return state_->source.progress();
}

std::optional<std::uint64_t> Reader::content_hash() const {
    return state_->decoder->content_hash;
}

const std::vector<std::string>& Reader::warnings() const {
    return state_->decoder->warnings;
}

bool is_trace(const std::string& path) {
    ByteSource source(path, true);
    return source.peek(text_magic.size()) == text_magic ||
           source.peek(binary_magic.size()) == binary_magic;
}

}  // namespace fusesim::trace
