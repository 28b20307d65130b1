#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace fusesim::daemons {

/// One open directory below, read by getdents64(2) into a buffer of its own, so that the system
/// calls made are exactly known.
class DirectoryReader {
  public:
    struct Entry {
        const char* name;
        ino_t number;
        unsigned char type;  ///< as in dirent: DT_REG, ...
        off_t next;          ///< where to go on after this one
    };

    /// Takes the descriptor.
    explicit DirectoryReader(int fd) : fd_(fd) {}

    ~DirectoryReader();
    DirectoryReader(const DirectoryReader&) = delete;
    DirectoryReader& operator=(const DirectoryReader&) = delete;

    int fd() const { return fd_; }

    /// Goes to an offset that an entry named, unless it is there already.
    void seek(off_t offset);

    /// The entry here; false at the end or after an error, which error() tells.
    bool peek(Entry& entry);

    /// Leaves the entry that peek() gave.
    void advance();

    int error() const { return error_; }

  private:
    static constexpr std::size_t room = 32 * 1024;

    int fd_;
    int error_ = 0;
    off_t offset_ = 0;
    std::size_t at_ = 0;
    std::size_t used_ = 0;
    alignas(std::uint64_t) char buffer_[room];
};

}  // namespace fusesim::daemons
