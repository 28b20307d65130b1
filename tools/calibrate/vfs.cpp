#include "vfs.h"

#include "bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <vector>

namespace fusesim::calibrate {

namespace {

constexpr std::size_t page = 4096;

void time_lookup(int directory, double seconds, Times& times) {
    times["lookup"] = mean_time_of(
        [directory] {
            struct stat out {};

            static_cast<void>(fstatat(directory, "file0", &out, 0));
        },
        seconds);
}

/// Each name is new, so that the kernel has nothing on it. What it has made for a name it frees
/// much later, in turns of thousands: only long series show what that costs, and all that memory.
constexpr double series = 0.06;

void time_lookup_missing(int directory, double seconds, Times& times) {
    static int number = 0;
    const auto look = [directory] {
        struct stat out {};

        const std::string name = "missing" + std::to_string(++number);
        static_cast<void>(fstatat(directory, name.c_str(), &out, 0));
    };
    mean_time_of(look, series);
    times["lookup_missing"] = mean_time_of(look, std::max(seconds, series));
}

void time_open(int directory, double seconds, Times& times) {
    Timed open;
    Timed close;
    repeat_for(seconds, [&] {
        int fd = -1;
        open([&] { fd = openat(directory, "file0", O_RDWR); });
        close([&] { ::close(fd); });
    });
    times["open"] = open.mean();
    times["close"] = close.mean();
}

void time_create(int directory, double seconds, Times& times) {
    Timed create;
    Timed unlink;
    repeat_for(std::max(seconds, series), [&] {
        int fd = -1;
        create([&] { fd = openat(directory, "new", O_RDWR | O_CREAT | O_EXCL, 0600); });
        close(fd);
        unlink([&] { unlinkat(directory, "new", 0); });
    });
    times["create"] = create.mean();
    times["unlink"] = unlink.mean();
}

void time_mkdir(int directory, double seconds, Times& times) {
    Timed mkdir;
    Timed rmdir;
    repeat_for(seconds, [&] {
        mkdir([&] { mkdirat(directory, "new", 0700); });
        rmdir([&] { unlinkat(directory, "new", AT_REMOVEDIR); });
    });
    times["mkdir"] = mkdir.mean();
    times["rmdir"] = rmdir.mean();
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
    times["opendir"] = opendir.mean();
    times[name] = list.mean();
    times["readdir"] = end.mean();
    times["closedir"] = closedir.mean();
}

std::string of_pages(const char* what, std::size_t pages) {
    return std::string(what) + " " + std::to_string(pages);
}

void time_writes(int fd, const char* data, std::size_t pages, double seconds, Times& times) {
    const std::size_t bytes = pages * page;
    const auto write = [&] { static_cast<void>(!pwrite(fd, data, bytes, 0)); };
    write();
    times[of_pages("rewrite", pages)] = mean_time_of(write, seconds);
    fsync(fd);
    Timed fresh;
    Timed write_back;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    repeat_for(2 * seconds, [&] {
        fresh(write);
        write_back([&] { fsync(fd); });
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    });
    times[of_pages("write", pages)] = fresh.mean();
    times[of_pages("write_back", pages)] = write_back.mean();
}

/// Files that together are larger than the caches of a core, as those of most users are: what
/// lies in their pages comes from memory, and that costs as much again.
class WalkedFiles {
  public:
    explicit WalkedFiles(const std::string& point) {
        for (int i = 0; i < VfsMounts::walked_files; ++i) {
            const std::string path = point + "/file" + std::to_string(i);
            files_.push_back(std::make_unique<Descriptor>(path, O_RDWR | O_CREAT));
            if (ftruncate(files_.back()->get(), bytes) != 0) {
                throw std::system_error(errno, std::generic_category(), path);
            }
        }
    }

    /// Calls with descriptor and offset, file by file, from where it stopped the last time.
    template <typename Call>
    void step(std::size_t size, Call call) {
        if (at_ + static_cast<off_t>(size) > bytes) {
            at_ = 0;
            file_ = (file_ + 1) % files_.size();
        }
        call(files_[file_]->get(), at_);
        at_ += static_cast<off_t>(size);
    }

    void advise(int advice) const {
        for (const auto& file : files_) {
            posix_fadvise(file->get(), 0, 0, advice);
        }
    }

    void rewind() {
        at_ = 0;
        file_ = 0;
    }

    static constexpr off_t bytes = VfsMounts::walked_pages * page;
    static constexpr std::size_t pages = VfsMounts::walked_files * VfsMounts::walked_pages;

  private:
    std::vector<std::unique_ptr<Descriptor>> files_;
    std::size_t file_ = 0;
    off_t at_ = 0;
};

/// Reads of missing pages and, as it happens, drops of clean ones.
void time_reads(WalkedFiles& files, char* data, Times& times) {
    files.advise(POSIX_FADV_RANDOM);  // exactly one READ, and none ahead of it
    std::vector<double> drops;
    for (const std::size_t pages : {VfsMounts::small_pages, VfsMounts::large_pages}) {
        Timed read;
        files.rewind();
        files.advise(POSIX_FADV_DONTNEED);
        const auto once = [&](int fd, off_t at) {
            read([&] { static_cast<void>(!pread(fd, data, pages * page, at)); });
        };
        for (std::size_t done = 0; done < WalkedFiles::pages; done += pages) {
            files.step(pages * page, once);
        }
        Timed drop;
        drop([&] { files.advise(POSIX_FADV_DONTNEED); });
        drops.push_back(drop.mean() / WalkedFiles::pages);
        times[of_pages("read", pages)] = read.mean();
    }
    times["drop"] = median(drops);
    files.advise(POSIX_FADV_NORMAL);
}

/// Reads of pages in the cache, and writes through them.
void time_hits(WalkedFiles& files, char* data, double seconds, Times& times) {
    constexpr std::size_t large = VfsMounts::large_pages * page;
    const auto fill = [&](int fd, off_t at) { static_cast<void>(!pread(fd, data, large, at)); };
    files.rewind();
    for (std::size_t done = 0; done < WalkedFiles::pages; done += VfsMounts::large_pages) {
        files.step(large, fill);
    }
    for (const std::size_t pages : {VfsMounts::small_pages, VfsMounts::large_pages}) {
        const std::size_t size = pages * page;
        const auto hit = [&](int fd, off_t at) { static_cast<void>(!pread(fd, data, size, at)); };
        times[of_pages("hit", pages)] = mean_time_of([&] { files.step(size, hit); }, seconds);
    }
    // After all reads: the next one after a write asks for attributes, too.
    for (const std::size_t pages : {VfsMounts::small_pages, VfsMounts::large_pages}) {
        const std::size_t size = pages * page;
        const auto write = [&](int fd, off_t at) {
            static_cast<void>(!pwrite(fd, data, size, at));
        };
        times[of_pages("write_through", pages)] =
            mean_time_of([&] { files.step(size, write); }, seconds);
    }
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
    time_lookup(expired.get(), seconds, times);
    time_lookup_missing(expired.get(), seconds, times);
    time_open(known.get(), seconds, times);
    time_create(known.get(), seconds, times);
    time_mkdir(known.get(), seconds, times);
    time_list(plus.get(), seconds, "list_plus", times);
    time_list(known.get(), seconds, "list", times);
    return times;
}

Times VfsMounts::time_cache(double seconds) const {
    Times times;
    const Descriptor written(writeback_->file(), O_RDWR);
    WalkedFiles walked(known_->point());
    Shared memory(large_pages * page);
    char* data = memory.as<char>();
    for (const std::size_t pages : {small_pages, large_pages}) {
        time_writes(written.get(), data, pages, seconds, times);
    }
    time_reads(walked, data, times);
    const Descriptor direct(known_->file(), O_RDONLY | O_DIRECT);
    times["odirect"] =
        mean_time_of([&] { static_cast<void>(!pread(direct.get(), data, page, 0)); }, seconds);
    time_hits(walked, data, seconds, times);
    return times;
}

}  // namespace fusesim::calibrate
