#include "directory_reader.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace fusesim::daemons {

DirectoryReader::~DirectoryReader() {
    close(fd_);
}

void DirectoryReader::seek(off_t offset) {
    if (offset == offset_) {
        return;
    }
    lseek(fd_, offset, SEEK_SET);
    offset_ = offset;
    at_ = used_ = 0;
}

bool DirectoryReader::peek(Entry& entry) {
    error_ = 0;
    if (at_ == used_) {
        const long got = syscall(SYS_getdents64, fd_, buffer_, room);
        if (got <= 0) {
            error_ = got < 0 ? errno : 0;
            return false;
        }
        at_ = 0;
        used_ = static_cast<std::size_t>(got);
    }
    const auto* here = reinterpret_cast<const dirent64*>(buffer_ + at_);
    entry = {here->d_name, here->d_ino, here->d_type, here->d_off};
    return true;
}

void DirectoryReader::advance() {
    const auto* here = reinterpret_cast<const dirent64*>(buffer_ + at_);
    offset_ = here->d_off;
    at_ += here->d_reclen;
}

}  // namespace fusesim::daemons
