#include "trace/iolog_writer.h"

#include "config/error.h"
#include "trace/call.h"
#include "trace/names.h"

#include <fmt/format.h>
#include <linux/falloc.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace fusesim::trace {

namespace {

constexpr std::size_t longest_name = 255;  // fio's own buffer

/// What fio calls it, "" if it does not know such a thing.
std::string_view action_of(const Record& record) {
    switch (static_cast<Call>(record.opcode)) {
        case Call::read:
            return "read";
        case Call::write:
            return "write";
        case Call::fsync:
            return "sync";
        case Call::fdatasync:
            return "datasync";
        case Call::fallocate:
            return (record.flags & FALLOC_FL_PUNCH_HOLE) != 0 ? "trim" : "";
        default:
            return "";
    }
}

}  // namespace

IologWriter::IologWriter(const std::string& path, const Header& header, std::string directory)
    : path_(path), directory_(std::move(directory)) {
    if (header.layer != Layer::syscall) {
        throw config::Error({path},
                            "a fio iolog holds calls on files, and the trace requests of FUSE",
                            "record the calls: fusesim record --layer syscall, or strace");
    }
    while (directory_.ends_with('/')) {
        directory_.pop_back();
    }
    stream_ = path == "-" ? stdout : std::fopen(path.c_str(), "w");
    if (stream_ == nullptr) {
        throw config::Error({path}, std::string("cannot create: ") + std::strerror(errno));
    }
}

IologWriter::~IologWriter() {
    if (stream_ != nullptr && stream_ != stdout) {
        std::fclose(stream_);
    }
}

bool IologWriter::leave_out(const std::string& kind) {
    ++left_out_[kind];
    return false;
}

void IologWriter::put(const std::string& line) {
    std::fwrite(line.data(), 1, line.size(), stream_);
}

void IologWriter::act(const std::string& file, const std::string& action) {
    put(timed_ ? fmt::format("{} {} {}\n", now_, file, action)
               : fmt::format("{} {}\n", file, action));
}

IologWriter::File& IologWriter::file(const std::string& path) {
    const auto [at, fresh] = files_.try_emplace(path);
    if (fresh) {
        act(path, "add");
    }
    return at->second;
}

void IologWriter::open(const std::string& path) {
    File& opened = file(path);
    if (!std::exchange(opened.open, true)) {
        act(path, "open");
    }
}

bool IologWriter::add(const Record& record) {
    const Call call = static_cast<Call>(record.opcode);
    const std::string_view action = action_of(record);
    const bool opens = call == Call::open || call == Call::create;
    if (action.empty() && !opens && call != Call::close) {
        return leave_out(opcode_text(Layer::syscall, record.opcode) + ": not an action of fio");
    }
    if (record.error != 0) {
        return leave_out("call that failed");
    }
    if (record.name.empty()) {
        return leave_out("call on a file whose name is not known");
    }
    const std::string path = directory_ + record.name;
    if (path.size() > longest_name || path.find_first_of(" \t\r\n") != std::string::npos) {
        return leave_out("name that fio cannot read: with a blank, or too long");
    }
    const bool data = call == Call::read || call == Call::write || call == Call::fallocate;
    if (data && record.offset == at_position) {
        return leave_out("offset that is not known");
    }
    if (data && record.size == 0) {
        return leave_out("call for no bytes");
    }
    if (!std::exchange(begun_, true)) {
        timed_ = record.queued != unknown_time;
        put(timed_ ? "fio version 3 iolog\n" : "fio version 2 iolog\n");
    }
    if (record.queued != unknown_time) {
        now_ = record.queued / 1000;
    }
    ++callers_[record.caller];
    ++written_;
    if (opens) {
        open(path);
        ++file(path).opened;
        return true;
    }
    if (call == Call::close) {
        File& closed = file(path);
        closed.opened -= closed.opened > 0 ? 1 : 0;
        if (closed.opened == 0 && std::exchange(closed.open, false)) {
            act(path, "close");
        }
        return true;
    }
    open(path);
    act(path, fmt::format("{} {} {}", action, data ? record.offset : 0, data ? record.size : 0));
    return true;
}

void IologWriter::finish() {
    for (auto& [path, file] : files_) {
        if (std::exchange(file.open, false)) {
            act(path, "close");
        }
    }
    std::FILE* const stream = std::exchange(stream_, nullptr);
    bool failed = std::fflush(stream) != 0 || std::ferror(stream) != 0;
    if (stream != stdout) {
        failed = std::fclose(stream) != 0 || failed;
    }
    if (failed) {
        throw config::Error({path_}, std::string("cannot write: ") + std::strerror(errno));
    }
}

}  // namespace fusesim::trace
