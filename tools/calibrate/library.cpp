#include "library.h"

#include "bench.h"
#include "null_mount.h"
#include "stamps.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace fusesim::calibrate {

namespace {

constexpr int few_files = 4;
constexpr int many_files = 44;  // fewer than fit in one page, as older kernels ask for them

struct Named {
    unsigned opcode;
    const char* name;
};

constexpr Named opcodes[] = {{FUSE_LOOKUP, "lookup"},
                             {FUSE_FORGET, "forget"},
                             {FUSE_GETATTR, "getattr"},
                             {FUSE_SETATTR, "setattr"},
                             {FUSE_MKDIR, "mkdir"},
                             {FUSE_UNLINK, "unlink"},
                             {FUSE_RMDIR, "rmdir"},
                             {FUSE_OPEN, "open"},
                             {FUSE_READ, "read"},
                             {FUSE_WRITE, "write"},
                             {FUSE_RELEASE, "release"},
                             {FUSE_FSYNC, "fsync"},
                             {FUSE_FLUSH, "flush"},
                             {FUSE_OPENDIR, "opendir"},
                             {FUSE_READDIR, "readdir"},
                             {FUSE_RELEASEDIR, "releasedir"},
                             {FUSE_CREATE, "create"},
                             {FUSE_READDIRPLUS, "readdirplus"}};

/// User time of requests of one kind of call, from the log of what the daemon served meanwhile.
class Served {
  public:
    explicit Served(const NullMount& mount) {
        // The daemon logs a request that nobody waits for after its caller has gone on.
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        all_ = mount.served();
    }

    double typical(unsigned opcode) const {
        static const double log = append_cost();
        std::vector<double> times;
        for (std::size_t i = 0; i + 1 < all_.size(); ++i) {
            const stamps::Served& one = all_[i];
            if (one.opcode != opcode) {
                continue;
            }
            std::uint64_t ticks = all_[i + 1].read_entered - one.read_returned;
            const bool replied = one.reply_entered != 0;
            if (replied) {
                ticks -= one.reply_returned - one.reply_entered;
            }
            times.push_back(static_cast<double>(ticks) * tick_ns() -
                            (replied ? 2 : 1) * stamp_ns() - log);
        }
        return middle_mean(std::move(times));
    }

    /// From the reply to the next read.
    double loop() const {
        static const double log = append_cost();
        std::vector<double> times;
        for (std::size_t i = 0; i + 1 < all_.size(); ++i) {
            if (all_[i].reply_returned != 0) {
                times.push_back(
                    static_cast<double>(all_[i + 1].read_entered - all_[i].reply_returned) *
                        tick_ns() -
                    stamp_ns() - log);
            }
        }
        return middle_mean(std::move(times));
    }

  private:
    std::vector<stamps::Served> all_;
};

/// A stamped mount on which kinds of calls are made one after the other.
class Bench {
  public:
    Bench(NullMount::Setup setup, const std::string& options, double seconds)
        : mount_((setup.options = options, setup)),
          directory_(mount_.point(), O_RDONLY | O_DIRECTORY),
          seconds_(seconds) {}

    int directory() const { return directory_.get(); }

    template <typename Once>
    Served make(Once once) {
        once();  // what only the first one asks
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        mount_.clear();
        repeat_for(seconds_, once);
        return Served(mount_);
    }

  private:
    NullMount mount_;
    Descriptor directory_;
    double seconds_;
};

void take(const Served& served, std::initializer_list<unsigned> which, Times& times) {
    for (const unsigned opcode : which) {
        for (const Named& one : opcodes) {
            if (one.opcode == opcode) {
                times[one.name] = served.typical(opcode);
            }
        }
    }
}

void time_data(Bench& bench, Times& times) {
    const int directory = bench.directory();
    struct stat out {};

    alignas(4096) static char data[4096];
    static int number = 0;
    take(bench.make([&] { static_cast<void>(fstatat(directory, "file0", &out, 0)); }),
         {FUSE_LOOKUP},
         times);
    times["lookup_missing"] = bench
                                  .make([&] {
                                      const std::string name = "missing" + std::to_string(++number);
                                      static_cast<void>(fstatat(directory, name.c_str(), &out, 0));
                                  })
                                  .typical(FUSE_LOOKUP);
    const int fd = openat(directory, "file0", O_RDWR | O_CLOEXEC);
    const Served getattr = bench.make([&] { fstat(fd, &out); });
    take(getattr, {FUSE_GETATTR}, times);
    times["loop"] = getattr.loop();
    take(bench.make([&] { fsync(fd); }), {FUSE_FSYNC}, times);
    take(bench.make([&] { static_cast<void>(!pread(fd, data, sizeof data, 0)); }),
         {FUSE_READ},
         times);
    take(bench.make([&] { static_cast<void>(!pwrite(fd, data, sizeof data, 0)); }),
         {FUSE_WRITE},
         times);
    take(
        bench.make([&] { static_cast<void>(!ftruncate(fd, sizeof data)); }), {FUSE_SETATTR}, times);
    close(fd);
}

void time_names(Bench& bench, Times& times) {
    const int directory = bench.directory();
    take(bench.make([&] { close(openat(directory, "file0", O_RDWR | O_CLOEXEC)); }),
         {FUSE_OPEN, FUSE_FLUSH, FUSE_RELEASE},
         times);
    take(bench.make([&] {
        close(openat(directory, "new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        unlinkat(directory, "new", 0);
    }),
         {FUSE_CREATE, FUSE_UNLINK, FUSE_FORGET},
         times);
    take(bench.make([&] {
        mkdirat(directory, "new", 0700);
        unlinkat(directory, "new", AT_REMOVEDIR);
    }),
         {FUSE_MKDIR, FUSE_RMDIR},
         times);
}

/// Opening, listing and closing a directory of so many files: its requests.
Served list(const NullMount::Setup& setup, const std::string& options, double seconds) {
    Bench bench(setup, "entry_timeout=1000,attr_timeout=1000," + options, seconds);
    return bench.make([&] {
        alignas(8) static char buffer[32 * 1024];
        const int fd = openat(bench.directory(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        while (syscall(SYS_getdents64, fd, buffer, sizeof buffer) > 0) {
        }
        close(fd);
    });
}

void time_lists(const NullMount::Setup& setup, double seconds, Times& times) {
    constexpr double few = few_files + 2;  // "." and ".."
    constexpr double many = many_files + 2;
    const std::string few_names = "files=" + std::to_string(few_files);
    const std::string many_names = "files=" + std::to_string(many_files);
    const Served plus = list(setup, few_names, seconds);
    const Served more = list(setup, many_names + ",no_readdirplus", seconds);
    const double opendir = plus.typical(FUSE_OPENDIR);
    const double nothing = plus.typical(FUSE_READDIR);  // the last one gives no name
    times["opendir_entry"] = (more.typical(FUSE_OPENDIR) - opendir) / (many - few);
    times["opendir"] = opendir - few * times["opendir_entry"];
    times["releasedir"] = plus.typical(FUSE_RELEASEDIR);
    times["readdir"] = nothing;
    times["readdirplus_entry"] = (plus.typical(FUSE_READDIRPLUS) - nothing) / few;
    // One READDIR with all names, and one with none.
    times["readdir_entry"] = 2 * (more.typical(FUSE_READDIR) - nothing) / many;
}

}  // namespace

double append_cost() {
    constexpr std::uint64_t room = 1u << 14;
    Shared memory(sizeof(stamps::Log) + room * sizeof(stamps::Served));
    auto* log = memory.as<stamps::Log>();
    log->capacity = room;
    const stamps::Served served{};
    const std::uint64_t began = stamps::ticks();
    for (std::uint64_t i = 0; i < room; ++i) {
        log->append(served);
    }
    return static_cast<double>(stamps::ticks() - began) * tick_ns() / static_cast<double>(room);
}

Times measure_library(const std::filesystem::path& daemon,
                      const std::filesystem::path& directory,
                      int core,
                      double seconds) {
    NullMount::Setup setup;
    setup.daemon = daemon;
    setup.directory = directory;
    setup.core = core;
    setup.policy = SCHED_BATCH;
    setup.stamped = true;
    const Policy batch(SCHED_BATCH);
    Times times;
    {
        Bench data(setup, "entry_timeout=0,attr_timeout=0,direct_io,files=4", seconds);
        time_data(data, times);
    }
    {
        Bench names(setup, "entry_timeout=1000,attr_timeout=1000,files=4", seconds);
        time_names(names, times);
    }
    time_lists(setup, seconds, times);
    return times;
}

}  // namespace fusesim::calibrate
