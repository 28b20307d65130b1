#include "vfs.h"

#include "bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <system_error>
#include <vector>

namespace fusesim::calibrate {

namespace {

/// Of how many pages memory is measured: powers of two, within a core's caches to far beyond them.
constexpr std::size_t all_memory_pages[] = {128, 512, 1024, 2048, 4096, 8192, 32'768};

/// With an exact clock there are no caches, and any number will do.
std::span<const std::size_t> memory_pages() {
    const std::span<const std::size_t> all(all_memory_pages);
    return exact_clock() ? all.first(1) : all;
}

void time_lookup(int directory, double seconds, Times& times) {
    times["lookup"] = mean_time_of(
        [directory] {
            struct stat out {};

            static_cast<void>(fstatat(directory, "file0", &out, 0));
        },
        seconds);
}

/// One name after the other, as programs ask; the first round is not counted.
void time_cached_lookup(int directory, double seconds, Times& times) {
    std::vector<std::string> names;
    for (int i = 0; i < VfsMounts::listed_entries - 2; ++i) {  // without "." and ".."
        names.push_back("file" + std::to_string(i));
    }
    std::size_t at = 0;
    const auto look = [&] {
        struct stat out {};

        static_cast<void>(fstatat(directory, names[at].c_str(), &out, 0));
        at = (at + 1) % names.size();
    };
    for (std::size_t i = 0; i < names.size(); ++i) {
        look();
    }
    times["cached_lookup"] = mean_time_of(look, seconds);
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

/// A remount makes the kernel give up what nobody uses (real::DaemonMount): what it takes with all
/// names known beyond what it takes with none.
void time_reclaim(NullMount& mount, int directory, double seconds, Times& times) {
    Timed some;
    Timed none;
    repeat_for(seconds, [&] {
        for (int i = 0; i < VfsMounts::listed_entries - 2; ++i) {
            struct stat out {};

            static_cast<void>(fstatat(directory, ("file" + std::to_string(i)).c_str(), &out, 0));
        }
        some([&] { mount.forget_unused(); });
        none([&] { mount.forget_unused(); });
    });
    times["reclaim"] = (some.mean() - none.mean()) / (VfsMounts::listed_entries - 2);
}

int count_entries(const char* buffer, long bytes) {
    int count = 0;
    for (long at = 0; at < bytes; ++count) {
        at += reinterpret_cast<const dirent64*>(buffer + at)->d_reclen;
    }
    return count;
}

/// Lists a directory: one reply with all its names, and one with none.
void time_list(int directory, double seconds, const std::string& name, Times& times) {
    alignas(8) static char buffer[32 * 1024];
    Timed opendir;
    Timed list;
    Timed end;
    Timed closedir;
    double entries = 0;  // that the first call gives, as many as the kernel asks for at once
    repeat_for(seconds, [&] {
        int fd = -1;
        opendir([&] { fd = openat(directory, ".", O_RDONLY | O_DIRECTORY); });
        long given = 0;
        list([&] { given = syscall(SYS_getdents64, fd, buffer, sizeof buffer); });
        entries = count_entries(buffer, given);
        while (syscall(SYS_getdents64, fd, buffer, sizeof buffer) > 0) {
        }
        end([&] { syscall(SYS_getdents64, fd, buffer, sizeof buffer); });
        closedir([&] { close(fd); });
    });
    times["opendir"] = opendir.mean();
    times[name] = list.mean();
    times[name + " entries"] = entries;
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
    Timed clean;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    repeat_for(2 * seconds, [&] {
        fresh(write);
        write_back([&] { fsync(fd); });
        clean(write);
        fsync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    });
    times[of_pages("write", pages)] = fresh.mean();
    times[of_pages("write_clean", pages)] = clean.mean();
    times[of_pages("write_back", pages)] = write_back.mean();
}

/// A file walked through again and again, small enough for the caches of a core.
class WalkedFile {
  public:
    explicit WalkedFile(const std::string& path) : file_(path, O_RDWR | O_CREAT) {
        if (ftruncate(file_.get(), bytes_) != 0) {
            throw std::system_error(errno, std::generic_category(), path);
        }
    }

    /// Calls with descriptor and offset, from where it stopped the last time.
    template <typename Call>
    void step(std::size_t size, Call call) {
        call(file_.get(), at_);
        at_ = (at_ + static_cast<off_t>(size)) % bytes_;
    }

    void advise(int advice) const { posix_fadvise(file_.get(), 0, 0, advice); }

  private:
    const off_t bytes_ = static_cast<off_t>(VfsMounts::walked_pages() * page);
    Descriptor file_;
    off_t at_ = 0;
};

/// Reads of missing pages and, as it happens, drops of clean ones.
void time_reads(WalkedFile& file, char* data, double seconds, Times& times) {
    file.advise(POSIX_FADV_RANDOM);  // exactly one READ, and none ahead of it
    Timed drop;
    for (const std::size_t pages : {VfsMounts::small_pages, VfsMounts::large_pages}) {
        Timed read;
        const auto once = [&](int fd, off_t at) {
            read([&] { static_cast<void>(!pread(fd, data, pages * page, at)); });
        };
        repeat_for(seconds, [&] {
            drop([&] { file.advise(POSIX_FADV_DONTNEED); });
            for (std::size_t done = 0; done < VfsMounts::walked_pages(); done += pages) {
                file.step(pages * page, once);
            }
        });
        times[of_pages("read", pages)] = read.mean();
    }
    times["drop"] = drop.mean() / VfsMounts::walked_pages();
    file.advise(POSIX_FADV_NORMAL);
}

/// Reads of pages in the cache, and writes through them; the kernel has seen all of them used more
/// than once before.
void time_hits(WalkedFile& file, char* data, double seconds, Times& times) {
    constexpr std::size_t large = VfsMounts::large_pages * page;
    const auto read = [&](std::size_t size) {
        file.step(size, [&](int fd, off_t at) { static_cast<void>(!pread(fd, data, size, at)); });
    };
    const auto write = [&](std::size_t size) {
        file.step(size, [&](int fd, off_t at) { static_cast<void>(!pwrite(fd, data, size, at)); });
    };
    constexpr int passes = 3;
    const std::size_t steps = passes * VfsMounts::walked_pages() / VfsMounts::large_pages;
    for (std::size_t i = 0; i < steps; ++i) {
        read(large);
    }
    for (const std::size_t pages : {VfsMounts::small_pages, VfsMounts::large_pages}) {
        times[of_pages("hit", pages)] = mean_time_of([&] { read(pages * page); }, seconds);
    }
    // After all reads: the next one after a write asks for attributes, too.
    for (std::size_t i = 0; i < steps / passes; ++i) {
        write(large);
    }
    for (const std::size_t pages : {VfsMounts::small_pages, VfsMounts::large_pages}) {
        times[of_pages("write_through", pages)] =
            mean_time_of([&] { write(pages * page); }, seconds);
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

    large_ = std::make_unique<Descriptor>(known_->point() + "/large", O_RDWR | O_CREAT);
    const std::size_t most = memory_pages().back();
    std::vector<char> data(VfsMounts::large_pages * page);
    bool filled = ftruncate(large_->get(), static_cast<off_t>(most * page)) == 0;
    for (std::size_t at = 0; filled && at < most * page; at += data.size()) {
        filled = pread(large_->get(), data.data(), data.size(), static_cast<off_t>(at)) > 0;
    }
    if (!filled) {
        throw std::system_error(errno, std::generic_category(), large_->path());
    }
}

std::vector<VfsMounts::Reads> VfsMounts::time_memory(double seconds) const {
    std::vector<Reads> out;
    alignas(page) static char data[large_pages * page];
    for (const std::size_t pages : memory_pages()) {
        Reads reads{pages};
        std::size_t state = 1;
        const auto one = [&] {
            // The step of a linear congruence that meets every page of a power of two in turn.
            state = (state * 5 + 12'345) % pages;
            static_cast<void>(!pread(large_->get(), data, page, static_cast<off_t>(state * page)));
        };
        const auto run = [&] {
            state = (state + large_pages) % pages;
            static_cast<void>(
                !pread(large_->get(), data, sizeof data, static_cast<off_t>(state * page)));
        };
        for (std::size_t i = 0; i < pages; ++i) {
            one();
        }
        reads.one = mean_time_of(one, seconds);
        state = 0;
        reads.run = mean_time_of(run, seconds);
        out.push_back(reads);
    }
    return out;
}

Times VfsMounts::time_names(double seconds) const {
    Times times;
    const Descriptor expired(expired_->point(), O_RDONLY | O_DIRECTORY);
    const Descriptor known(known_->point(), O_RDONLY | O_DIRECTORY);
    const Descriptor plus(plus_->point(), O_RDONLY | O_DIRECTORY);
    time_cached_lookup(known.get(), seconds, times);
    time_lookup(expired.get(), seconds, times);
    time_lookup_missing(expired.get(), seconds, times);
    time_open(known.get(), seconds, times);
    time_create(known.get(), seconds, times);
    time_mkdir(known.get(), seconds, times);
    time_list(plus.get(), seconds, "list_plus", times);
    time_list(known.get(), seconds, "list", times);
    time_reclaim(*known_, known.get(), seconds, times);
    return times;
}

Times VfsMounts::time_cache(double seconds) const {
    Times times;
    const Descriptor written(writeback_->file(), O_RDWR);
    WalkedFile walked(known_->point() + "/walked");
    Shared memory(large_pages * page);
    char* data = memory.as<char>();
    for (const std::size_t pages : {small_pages, large_pages}) {
        time_writes(written.get(), data, pages, seconds, times);
    }
    time_reads(walked, data, seconds, times);
    const Descriptor direct(known_->file(), O_RDONLY | O_DIRECT);
    times["odirect"] =
        mean_time_of([&] { static_cast<void>(!pread(direct.get(), data, page, 0)); }, seconds);
    time_hits(walked, data, seconds, times);
    return times;
}

}  // namespace fusesim::calibrate
