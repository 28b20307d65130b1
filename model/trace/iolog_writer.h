#pragma once

#include "trace/record.h"

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace fusesim::trace {

/// Writes calls as a fio iolog, for `fio --read_iolog`: version 3, or 2 without waits if the trace
/// has no times. An iolog is one job, holds data calls only, and a file is open or not.
class IologWriter {
  public:
    /// "-" is standard output. `directory` stands in front of each name.
    /// Throws config::Error if the file cannot be written or `header` is not of layer syscall.
    IologWriter(const std::string& path, const Header& header, std::string directory);
    IologWriter(const IologWriter&) = delete;
    IologWriter& operator=(const IologWriter&) = delete;
    ~IologWriter();

    /// False if an iolog cannot say this: it is counted then.
    bool add(const Record& record);

    /// Closes what is open and the file. Throws config::Error if not all was written.
    void finish();

    /// Records that were left out, by kind.
    const std::map<std::string, std::uint64_t>& left_out() const { return left_out_; }

    std::uint64_t written() const { return written_; }

    /// Threads whose calls became those of one job.
    std::size_t callers() const { return callers_.size(); }

  private:
    struct File {
        bool open = false;
        std::uint64_t opened = 0;  ///< times more than closed
    };

    bool leave_out(const std::string& kind);
    void put(const std::string& line);
    void act(const std::string& file, const std::string& action);
    File& file(const std::string& path);
    void open(const std::string& path);

    std::string path_;
    std::string directory_;
    std::FILE* stream_ = nullptr;
    bool begun_ = false;
    bool timed_ = false;
    std::int64_t now_ = 0;  ///< us
    std::map<std::string, File> files_;
    std::map<std::uint32_t, std::uint64_t> callers_;
    std::map<std::string, std::uint64_t> left_out_;
    std::uint64_t written_ = 0;
};

}  // namespace fusesim::trace
