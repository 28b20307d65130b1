#include "vfs.h"

#include "bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace fusesim::calibrate {

namespace {

constexpr std::size_t page = 4096;

void time_lookup(int directory, double seconds, Times& times) {
    times["lookup"] = time_of(
        [directory] {
            struct stat out {};

            static_cast<void>(fstatat(directory, "file0", &out, 0));
        },
        seconds,
        8);
}

void time_open(int directory, double seconds, Times& times) {
    Timed open;
    Timed close;
    repeat_for(seconds, [&] {
        int fd = -1;
        open([&] { fd = openat(directory, "file0", O_RDWR); });
        close([&] { ::close(fd); });
    });
    times["open"] = open.typical();
    times["close"] = close.typical();
}

void time_create(int directory, double seconds, Times& times) {
    Timed create;
    Timed unlink;
    repeat_for(seconds, [&] {
        int fd = -1;
        create([&] { fd = openat(directory, "new", O_RDWR | O_CREAT | O_EXCL, 0600); });
        close(fd);
        unlink([&] { unlinkat(directory, "new", 0); });
    });
    times["create"] = create.typical();
    times["unlink"] = unlink.typical();
}

void time_mkdir(int directory, double seconds, Times& times) {
    Timed mkdir;
    Timed rmdir;
    repeat_for(seconds, [&] {
        mkdir([&] { mkdirat(directory, "new", 0700); });
        rmdir([&] { unlinkat(directory, "new", AT_REMOVEDIR); });
    });
    times["mkdir"] = mkdir.typical();
    times["rmdir"] = rmdir.typical();
}

/// Lists a directory: one reply with all its names, and one with none.
void time_list(int directory, double seconds, const std::string& name, Times& times) {
    alignas(8) static char buffer[32 * 1024];
    Timed opendir;
    Timed list;
    Timed end;
    Timed closedir;
    repeat_for(seconds, [&] {
        int fd = -1;
        opendir([&] { fd = openat(directory, ".", O_RDONLY | O_DIRECTORY); });
        list([&] { syscall(SYS_getdents64, fd, buffer, sizeof buffer); });
        end([&] { syscall(SYS_getdents64, fd, buffer, sizeof buffer); });
        closedir([&] { close(fd); });
    });
    times["opendir"] = opendir.typical();
    times[name] = list.typical();
    times["readdir"] = end.typical();
    times["closedir"] = closedir.typical();
}

std::string of_pages(const char* what, std::size_t pages) {
    return std::string(what) + " " + std::to_string(pages);
}

void time_writes(int fd, const char* data, std::size_t pages, double seconds, Times& times) {
    const std::size_t bytes = pages * page;
    const auto length = static_cast<off_t>(bytes);
    const auto write = [&] { static_cast<void>(!pwrite(fd, data, bytes, 0)); };
    write();
    times[of_pages("rewrite", pages)] = time_of(write, seconds, 8);
    fsync(fd);
    Timed fresh;
    Timed write_back;
    Timed drop;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    repeat_for(2 * seconds, [&] {
        fresh(write);
        write_back([&] { fsync(fd); });
        drop([&] { posix_fadvise(fd, 0, length, POSIX_FADV_DONTNEED); });
    });
    times[of_pages("write", pages)] = fresh.typical();
    times[of_pages("write_back", pages)] = write_back.typical();
    times[of_pages("drop", pages)] = drop.typical();
}

void time_reads(int fd, char* data, std::size_t pages, double seconds, Times& times) {
    const std::size_t bytes = pages * page;
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);  // exactly one READ, and none ahead of it
    Timed read;
    repeat_for(seconds, [&] {
        posix_fadvise(fd, 0, static_cast<off_t>(bytes), POSIX_FADV_DONTNEED);
        read([&] { static_cast<void>(!pread(fd, data, bytes, 0)); });
    });
    times[of_pages("read", pages)] = read.typical();
}

}  // namespace

VfsMounts::VfsMounts(const std::filesystem::path& daemon,
                     const std::filesystem::path& directory,
                     int core) {
    NullMount::Setup setup;
    setup.daemon = daemon;
    setup.directory = directory;
    setup.core = core;
    setup.policy = SCHED_BATCH;
    const auto mounted = [&setup](const char* options) {
        setup.options = options;
        return std::make_unique<NullMount>(setup);
    };
    expired_ = mounted("entry_timeout=0,attr_timeout=1");
    known_ = mounted("entry_timeout=1000,attr_timeout=1000,files=100,no_readdirplus");
    plus_ = mounted("entry_timeout=1000,attr_timeout=1000,files=100");
    writeback_ = mounted("entry_timeout=1000,attr_timeout=1000,writeback_cache");
}

Times VfsMounts::time_names(double seconds) const {
    Times times;
    const Descriptor expired(expired_->point(), O_RDONLY | O_DIRECTORY);
    const Descriptor known(known_->point(), O_RDONLY | O_DIRECTORY);
    const Descriptor plus(plus_->point(), O_RDONLY | O_DIRECTORY);
    const Descriptor file(known_->file(), O_RDWR);
    time_lookup(expired.get(), seconds, times);
    time_open(known.get(), seconds, times);
    time_create(known.get(), seconds, times);
    time_mkdir(known.get(), seconds, times);
    time_list(plus.get(), seconds, "list_plus", times);
    time_list(known.get(), seconds, "list", times);
    times["fsync"] = time_of([&file] { fsync(file.get()); }, seconds, 8);
    return times;
}

Times VfsMounts::time_cache(double seconds) const {
    Times times;
    const Descriptor written(writeback_->file(), O_RDWR);
    const Descriptor read(known_->file(), O_RDWR);
    Shared memory(large_pages * page);
    char* data = memory.as<char>();
    for (const std::size_t pages : {small_pages, large_pages}) {
        time_writes(written.get(), data, pages, seconds, times);
        time_reads(read.get(), data, pages, seconds, times);
    }
    return times;
}

}  // namespace fusesim::calibrate
