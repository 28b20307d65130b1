#include "lower.h"

#include "bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <memory>
#include <system_error>

namespace fusesim::calibrate {

namespace {

constexpr std::size_t io_sizes[] = {4096, 16384, 65536, 131072, 1048576};
/// Within the caches of a core, but for the largest size; what memory adds is measured apart.
constexpr std::size_t walked_bytes = 256u << 10;
constexpr std::size_t file_bytes = 1u << 20;
constexpr int listed_files = 100;
constexpr unsigned xfs_magic = 0x58465342;  // XFS_SB_MAGIC, fs/xfs/libxfs/xfs_format.h

std::string name_of_filesystem(const std::filesystem::path& path) {
    struct statfs out {};

    if (statfs(path.c_str(), &out) != 0) {
        throw std::system_error(errno, std::generic_category(), path.string());
    }
    switch (static_cast<unsigned>(out.f_type)) {
        case TMPFS_MAGIC:
            return "tmpfs";
        case EXT4_SUPER_MAGIC:
            return "ext4";
        case xfs_magic:
            return "xfs";
        case BTRFS_SUPER_MAGIC:
            return "btrfs";
        case F2FS_SUPER_MAGIC:
            return "f2fs";
        case OVERLAYFS_SUPER_MAGIC:
            return "overlay";
        default:
            return "other";
    }
}

/// Written at once: the size of a write decides which pages some file systems take.
void fill(const std::filesystem::path& path, std::size_t bytes) {
    const std::string data(bytes, 'x');
    const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const bool done = pwrite(fd, data.data(), data.size(), 0) == static_cast<ssize_t>(data.size());
    fsync(fd);
    close(fd);
    if (!done) {
        throw std::system_error(errno, std::generic_category(), path.string());
    }
}

void time_lookups(int directory, double seconds, Times& times) {
    Timed found;
    Timed missing;
    Timed stat;
    Timed utimens;
    Timed open;
    Timed close;
    Timed close_path;
    repeat_for(seconds, [&] {
        int fd = -1;
        int opened = -1;
        found([&] { fd = openat(directory, "synced", O_PATH | O_NOFOLLOW | O_CLOEXEC); });
        missing([&] { openat(directory, "missing", O_PATH | O_NOFOLLOW | O_CLOEXEC); });
        stat([&] {
            struct stat out {};

            static_cast<void>(fstatat(fd, "", &out, AT_EMPTY_PATH));
        });
        char path[32];
        std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        utimens([&] {
            const timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
            utimensat(AT_FDCWD, path, now, 0);
        });
        open([&] { opened = ::open(path, O_RDWR | O_CLOEXEC); });
        close([&] { ::close(opened); });
        close_path([&] { ::close(fd); });
    });
    times["lookup"] = found.mean();
    times["lookup_missing"] = missing.mean();
    times["stat"] = stat.mean();
    times["utimens"] = utimens.mean();
    times["open"] = open.mean();
    times["close"] = close.mean();
    times["close_path"] = close_path.mean();
}

void time_making(int directory, double seconds, Times& times) {
    Timed create;
    Timed unlink;
    Timed close_unlinked;
    Timed mkdir;
    Timed rmdir;
    repeat_for(seconds, [&] {
        int fd = -1;
        create([&] { fd = openat(directory, "new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600); });
        int held = openat(directory, "new", O_PATH | O_CLOEXEC);
        close(fd);
        unlink([&] { unlinkat(directory, "new", 0); });
        close_unlinked([&] { close(held); });
        mkdir([&] { mkdirat(directory, "newdir", 0700); });
        held = openat(directory, "newdir", O_PATH | O_CLOEXEC);
        rmdir([&] { unlinkat(directory, "newdir", AT_REMOVEDIR); });
        close(held);
    });
    times["create"] = create.mean();
    times["unlink"] = unlink.mean();
    times["close_unlinked"] = close_unlinked.mean();
    times["mkdir"] = mkdir.mean();
    times["rmdir"] = rmdir.mean();
}

void time_listing(int directory, double seconds, Times& times) {
    alignas(8) static char buffer[32 * 1024];
    Timed opendir;
    Timed list;
    Timed end;
    repeat_for(seconds, [&] {
        int fd = -1;
        opendir([&] { fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
        list([&] { syscall(SYS_getdents64, fd, buffer, sizeof buffer); });
        end([&] { syscall(SYS_getdents64, fd, buffer, sizeof buffer); });
        close(fd);
    });
    times["opendir"] = opendir.mean();
    times["readdir"] = end.mean();
    times["readdir_entry"] = (list.mean() - end.mean()) / (listed_files + 2);
}

template <typename Call>
std::vector<std::pair<std::size_t, double>> by_size(double seconds, Call call) {
    std::vector<std::pair<std::size_t, double>> out;
    for (const std::size_t size : io_sizes) {
        std::size_t at = 0;
        const double time = mean_time_of(
            [&] {
                call(size, static_cast<off_t>(at));
                at = (at + size) % std::max(size, walked_bytes);
            },
            seconds);
        out.emplace_back(size, time);
    }
    return out;
}

double cpu_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// A sync after a write of 4 KiB: what it computes and how long it sleeps. Returns the former.
template <typename Sync>
double time_sync(int fd, double seconds, Sync sync, std::vector<double>& blocked) {
    constexpr std::size_t size = 4096;
    const std::string data(size, 'y');
    std::vector<double> computed;
    std::size_t at = 0;
    repeat_for(seconds, [&] {
        static_cast<void>(!pwrite(fd, data.data(), size, static_cast<off_t>(at)));
        at = (at + 5 * size) % file_bytes;
        const double before = cpu_ns();
        const double whole = time_once(sync);
        const double cpu = cpu_ns() - before;
        computed.push_back(std::min(cpu, whole));
        blocked.push_back(std::max(0.0, whole - cpu));
    });
    return median(computed);
}

}  // namespace

LowerBench::LowerBench(const std::filesystem::path& parent) {
    std::string name = parent / "fusesim-calibrate-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) {
        throw std::system_error(errno, std::generic_category(), name);
    }
    directory_ = name;
    filesystem_ = name_of_filesystem(directory_);
    fill(directory_ / "data", file_bytes);
    if (!exact_clock()) {
        fill(directory_ / "far", far_bytes);
    }
    fill(directory_ / "synced", file_bytes);
    std::filesystem::create_directory(directory_ / "listed");
    for (int i = 0; i < listed_files; ++i) {
        std::ofstream(directory_ / "listed" / ("file" + std::to_string(i)));
    }
}

LowerBench::~LowerBench() {
    std::error_code none;
    std::filesystem::remove_all(directory_, none);
}

LowerTimes LowerBench::measure(double seconds) const {
    LowerTimes out;
    const Descriptor directory(directory_, O_PATH | O_DIRECTORY);
    const Descriptor listed(directory_ / "listed", O_PATH | O_DIRECTORY);
    const Descriptor data(directory_ / "data", O_RDWR);
    const Descriptor synced(directory_ / "synced", O_RDWR);
    time_lookups(directory.get(), seconds, out.calls);
    time_making(directory.get(), seconds, out.calls);
    time_listing(listed.get(), seconds, out.calls);
    Shared memory(io_sizes[std::size(io_sizes) - 1]);
    char* buffer = memory.as<char>();
    out.read = by_size(seconds / 2, [&](std::size_t size, off_t at) {
        static_cast<void>(!pread(data.get(), buffer, size, at));
    });
    if (!exact_clock()) {
        const Descriptor far(directory_ / "far", O_RDWR);
        off_t far_at = 0;
        const auto read_far = [&] {
            static_cast<void>(!pread(far.get(), buffer, far_read, far_at));
            far_at = (far_at + static_cast<off_t>(far_read)) % static_cast<off_t>(far_bytes);
        };
        for (std::size_t done = 0; done < far_bytes; done += far_read) {
            read_far();
        }
        const auto near = std::find_if(out.read.begin(), out.read.end(), [](const auto& row) {
            return row.first == far_read;
        });
        out.far = mean_time_of(read_far, seconds / 2) - near->second;
    }
    out.write = by_size(seconds / 2, [&](std::size_t size, off_t at) {
        static_cast<void>(!pwrite(data.get(), buffer, size, at));
    });
    out.calls["fsync"] = time_sync(
        synced.get(), 4 * seconds, [&] { fsync(synced.get()); }, out.fsync_blocked);
    out.calls["fdatasync"] = time_sync(
        synced.get(), 4 * seconds, [&] { fdatasync(synced.get()); }, out.fdatasync_blocked);
    return out;
}

}  // namespace fusesim::calibrate
