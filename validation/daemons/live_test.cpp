// Runs a reference daemon and uses its mount.
//   daemons_live tree|linkless|data|stopped|null DAEMON [OPTION,...]
// tree  a random sequence of operations gives the same tree as on a plain directory
// linkless  the same without hard links
// data  what is written through the mount is read through it and lies below
// stopped  an open file is read and written while the daemon is stopped
// null  names, sizes and zeros of a file system without data, from four threads
// Needs root and /dev/fuse; exits with 77 and a reason where something is missing.

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace fs = std::filesystem;

namespace {

constexpr int skipped = 77;
constexpr int unavailable = 4;  // how a daemon says that this machine lacks something

[[noreturn]] void skip(const std::string& reason) {
    std::printf("skipped: %s\n", reason.c_str());
    std::exit(skipped);
}

void check(bool fine, const std::string& what) {
    if (!fine) {
        throw std::runtime_error(what);
    }
}

/// A directory of its own with a daemon mounted in it, in a mount table of its own: whatever ends
/// the test, nothing stays mounted.
class Bench {
  public:
    Bench(std::string daemon, std::string options)
        : daemon_(std::move(daemon)), options_(std::move(options)) {
        std::string name = fs::temp_directory_path() / "fusesim-daemons-XXXXXX";
        check(mkdtemp(name.data()) != nullptr, "a temporary directory");
        base_ = name;
        for (const char* part : {"mount", "below", "plain"}) {
            fs::create_directory(base_ / part);
        }
    }

    ~Bench() {
        stop();
        std::error_code none;
        fs::remove_all(base_, none);
    }

    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    fs::path mount() const { return base_ / "mount"; }

    fs::path below() const { return base_ / "below"; }

    fs::path plain() const { return base_ / "plain"; }

    void start(bool stacked) {
        std::string options = options_;
        if (stacked) {
            options = "source=" + below().string() + (options.empty() ? "" : "," + options);
        }
        pid_ = fork();
        check(pid_ >= 0, "fork");
        if (pid_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            std::vector<const char*> words{daemon_.c_str(), "-f"};
            if (!options.empty()) {
                words.insert(words.end(), {"-o", options.c_str()});
            }
            const std::string point = mount().string();
            words.insert(words.end(), {point.c_str(), nullptr});
            execv(daemon_.c_str(), const_cast<char* const*>(words.data()));
            std::_Exit(127);
        }
        for (int i = 0; i < 1000; ++i) {
            struct stat here {};

            struct stat above {};

            if (stat(mount().c_str(), &here) == 0 && stat(base_.c_str(), &above) == 0 &&
                here.st_dev != above.st_dev) {
                return;
            }
            int status = 0;
            if (waitpid(pid_, &status, WNOHANG) == pid_) {
                pid_ = 0;
                if (WIFEXITED(status) && WEXITSTATUS(status) == unavailable) {
                    skip("the daemon lacks something, see above");
                }
                break;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        throw std::runtime_error("the daemon did not mount");
    }

    /// Unmounts and waits for the daemon to end; returns its exit code.
    int stop() {
        if (pid_ <= 0) {
            return 0;
        }
        // The answer to this says that releases before it have been read: those that are not when
        // the mount goes are dropped, and libfuse's path API would leak what they were to free.
        struct statvfs space {};

        statvfs(mount().c_str(), &space);
        umount2(mount().c_str(), MNT_DETACH);
        int status = 0;
        for (int i = 0; i < 500; ++i) {
            if (waitpid(pid_, &status, WNOHANG) == pid_) {
                pid_ = 0;
                return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        kill(pid_, SIGKILL);
        waitpid(pid_, &status, 0);
        pid_ = 0;
        return -1;
    }

    void signal(int number) const { kill(pid_, number); }

  private:
    std::string daemon_;
    std::string options_;
    fs::path base_;
    pid_t pid_ = 0;
};

std::string contents(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

std::string describe_one(const fs::path& path, const struct stat& attributes) {
    std::ostringstream line;
    line << std::oct << attributes.st_mode << std::dec;
    if (S_ISREG(attributes.st_mode)) {
        const std::string data = contents(path);
        line << " links " << attributes.st_nlink << " size " << attributes.st_size << " data "
             << std::hash<std::string>()(data) << " of " << data.size();
    } else if (S_ISLNK(attributes.st_mode)) {
        line << " to " << fs::read_symlink(path).string();
    }
    return line.str();
}

/// Everything below a directory that two trees can have in common, a line for each name.
void describe(const fs::path& root,
              const std::string& inside,
              std::map<std::string, std::string>& out) {
    for (const auto& entry : fs::directory_iterator(root / inside)) {
        struct stat attributes {};

        check(lstat(entry.path().c_str(), &attributes) == 0, "lstat " + entry.path().string());
        const std::string name = inside + "/" + entry.path().filename().string();
        out[name] = describe_one(entry.path(), attributes);
        if (S_ISDIR(attributes.st_mode)) {
            describe(root, name.substr(name.front() == '/' ? 1 : 0), out);
        }
    }
}

void compare_trees(const fs::path& a, const fs::path& b) {
    std::map<std::string, std::string> left;
    std::map<std::string, std::string> right;
    describe(a, "", left);
    describe(b, "", right);
    for (const auto& [name, line] : left) {
        const auto other = right.find(name);
        check(other != right.end(), name + " is in " + a.string() + " only");
        check(other->second == line, name + ": " + line + " against " + other->second);
    }
    check(left.size() == right.size(), "as many names in both trees");
}

/// One random operation, the same wherever it is applied.
struct Step {
    unsigned kind;
    std::string name;
    std::string other;
    std::size_t size;
    off_t offset;
    unsigned mode;
};

constexpr unsigned hard_link = 6;

class Steps {
  public:
    explicit Steps(unsigned seed) : random_(seed) {}

    Step next() {
        return {pick(16),
                name(),
                name(),
                1 + pick(200'000),
                static_cast<off_t>(pick(100'000)),
                0400 + pick(0400)};
    }

  private:
    unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }

    /// Few names, so that steps meet each other's.
    std::string name() {
        std::string out = "n" + std::to_string(pick(6));
        while (pick(3) == 0) {
            out += "/n" + std::to_string(pick(6));
        }
        return out;
    }

    std::mt19937 random_;
};

std::string data_of(const Step& step) {
    std::string data(step.size, '\0');
    for (std::size_t i = 0; i < data.size(); ++i) {
        data[i] =
            static_cast<char>((i * 31 + step.size + static_cast<std::size_t>(step.offset)) % 251);
    }
    return data;
}

/// 0 or the error number; checks what it reads against nothing but itself.
int apply(const Step& step, const fs::path& root) {
    const std::string name = (root / step.name).string();
    const std::string other = (root / step.other).string();
    const auto result = [](long value) { return value < 0 ? errno : 0; };
    const auto with_file = [&](int flags, const std::function<long(int)>& use) {
        const int fd = open(name.c_str(), flags, 0600);
        if (fd < 0) {
            return errno;
        }
        const int error = result(use(fd));
        close(fd);
        return error;
    };
    switch (step.kind) {
        case 0:
        case 1:
            return result(mkdir(name.c_str(), 0700 | step.mode));
        case 2:
            return result(rmdir(name.c_str()));
        case 3:
            return result(unlink(name.c_str()));
        case 4:
            return result(rename(name.c_str(), other.c_str()));
        case 5:
            return result(symlink(step.other.c_str(), name.c_str()));
        case hard_link:
            return result(link(name.c_str(), other.c_str()));
        case 7:
            return result(truncate(name.c_str(), step.offset));
        case 8:
            return result(chmod(name.c_str(), 0600 | step.mode));
        case 9:
            return with_file(O_WRONLY | O_CREAT | O_EXCL, [](int) { return 0L; });
        case 10:
        case 11:
            return with_file(O_WRONLY | O_CREAT, [&](int fd) {
                const std::string data = data_of(step);
                return static_cast<long>(pwrite(fd, data.data(), data.size(), step.offset));
            });
        case 12:
            return with_file(O_WRONLY | O_APPEND,
                             [&](int fd) { return static_cast<long>(write(fd, "more", 4)); });
        case 13:
            return with_file(O_RDWR | O_TRUNC,
                             [&](int fd) { return static_cast<long>(write(fd, "again", 5)); });
        case 14:
            return with_file(O_RDWR, [&](int fd) { return static_cast<long>(fsync(fd)); });
        default:
            return result(mknod(name.c_str(), S_IFREG | step.mode, 0));
    }
}

void test_steps(Bench& bench, bool links) {
    bench.start(true);
    for (unsigned seed = 1; seed <= 5; ++seed) {
        Steps steps(seed);
        int failed = 0;
        for (int i = 0; i < 300; ++i) {
            const Step step = steps.next();
            if (step.kind == hard_link && !links) {
                continue;
            }
            const int expected = apply(step, bench.plain());
            const int got = apply(step, bench.mount());
            check(got == expected,
                  "seed " + std::to_string(seed) + " step " + std::to_string(i) + ", kind " +
                      std::to_string(step.kind) + " of " + step.name + ": " + std::strerror(got) +
                      ", not " + std::strerror(expected));
            failed += expected != 0 ? 1 : 0;
        }
        std::printf("seed %u: 300 steps, of which %d fail alike\n", seed, failed);
        compare_trees(bench.plain(), bench.mount());
    }
    for (int i = 0; i < 500; ++i) {  // more than one reply's worth of names
        std::ofstream(bench.mount() / ("many" + std::to_string(i))) << i;
        std::ofstream(bench.plain() / ("many" + std::to_string(i))) << i;
    }
    compare_trees(bench.plain(), bench.mount());
    check(bench.stop() == 0, "the daemon ends well");
    compare_trees(bench.plain(), bench.below());
}

void test_tree(Bench& bench) {
    test_steps(bench, true);
}

void test_linkless(Bench& bench) {
    test_steps(bench, false);
}

/// A file of known bytes, written and read in pieces of many sizes.
void test_data(Bench& bench) {
    bench.start(true);
    const Step step{0, "", "", 5'000'003, 7, 0};
    const std::string data = data_of(step);
    const fs::path file = bench.mount() / "file";
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    check(fd >= 0, "the file is made");
    std::mt19937 random(1);
    const std::size_t sizes[] = {1, 100, 4096, 5000, 16384, 65536, 131072, 262144, 1048576};
    for (std::size_t at = 0; at < data.size();) {
        const std::size_t size = std::min(sizes[random() % std::size(sizes)], data.size() - at);
        check(pwrite(fd, data.data() + at, size, static_cast<off_t>(at)) ==
                  static_cast<ssize_t>(size),
              "a piece is written");
        at += size;
    }
    std::string back(data.size(), '\0');
    const auto read_all = [&](int from) {
        std::fill(back.begin(), back.end(), '\0');
        for (std::size_t at = 0; at < data.size();) {
            const std::size_t size = std::min(sizes[random() % std::size(sizes)], data.size() - at);
            check(pread(from, back.data() + at, size, static_cast<off_t>(at)) ==
                      static_cast<ssize_t>(size),
                  "a piece is read");
            at += size;
        }
        return back == data;
    };
    check(read_all(fd), "what was written is read while it is open");
    check(fsync(fd) == 0 && close(fd) == 0, "the file is kept");
    check(contents(bench.below() / "file") == data, "what was written lies below");
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    const int again = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    const int other = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    posix_fadvise(again, 0, 0, POSIX_FADV_DONTNEED);
    check(again >= 0 && read_all(again), "what was written is read after another open");
    check(other >= 0 && read_all(other), "and by a second one beside it");
    check(close(again) == 0 && close(other) == 0, "both are closed");
    check(unlink(file.c_str()) == 0, "the file goes");
    check(!fs::exists(bench.below() / "file"), "below, too");
    check(bench.stop() == 0, "the daemon ends well");
}

/// Reads and writes of an open file need no daemon.
void test_stopped(Bench& bench) {
    bench.start(true);
    const std::string name = (bench.mount() / "file").string();
    const int fd = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const int other = open(name.c_str(), O_RDONLY | O_CLOEXEC);
    check(fd >= 0 && other >= 0, "the file is open twice");
    check(pwrite(fd, "primed", 6, 0) == 6, "what the kernel asks once has been asked");
    bench.signal(SIGSTOP);
    // What waits for the daemon waits until this gives up.
    std::atomic<bool> done = false;
    std::atomic<bool> gave_up = false;
    std::thread guard([&] {
        for (int i = 0; i < 1000 && !done; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        gave_up = !done;
        bench.signal(SIGCONT);
    });
    char back[5] = {};
    const bool moved = pwrite(fd, "data", 4, 0) == 4 && pread(other, back, 4, 0) == 4;
    done = true;
    guard.join();
    check(moved && std::string(back) == "data", "data goes through");
    check(!gave_up, "without the daemon");
    check(contents(bench.below() / "file") == "dataed", "and lies below");
    check(close(fd) == 0 && close(other) == 0, "it is closed");
    check(bench.stop() == 0, "the daemon ends well");
}

/// One thread's share: a file is made, grows, is read as zeros, and goes.
void use_null(const fs::path& mount, int number) {
    const fs::path directory = mount / ("d" + std::to_string(number));
    check(mkdir(directory.c_str(), 0700) == 0, "a directory is made");
    const std::string ones(100'000, '1');
    std::string back(ones.size() + 100, 'x');
    for (int i = 0; i < 50; ++i) {
        const std::string name = (directory / ("f" + std::to_string(i))).string();
        const int fd = open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        check(fd >= 0, "a file is made");
        check(write(fd, ones.data(), ones.size()) == static_cast<ssize_t>(ones.size()),
              "data is taken");

        struct stat attributes {};

        check(fstat(fd, &attributes) == 0, "it has attributes");
        check(attributes.st_size == static_cast<off_t>(ones.size()), "it has grown");
        check(attributes.st_mode == (S_IFREG | 0640), "it has its mode");
        check(pread(fd, back.data(), back.size(), 50) == static_cast<ssize_t>(ones.size() - 50),
              "a read ends with the file");
        check(fsync(fd) == 0 && ftruncate(fd, 10) == 0, "it is kept and cut");
        check(close(fd) == 0, "it is closed");
        check(fs::file_size(name) == 10, "it has been cut");
        check(
            open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640) < 0 && errno == EEXIST,
            "it is not made twice");
    }
    std::size_t names = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(directory)) {
        ++names;
    }
    check(names == 50, "all files are listed");
    check(rmdir(directory.c_str()) != 0 && errno == ENOTEMPTY, "a full directory stays");
    for (int i = 0; i < 50; ++i) {
        const std::string name = (directory / ("f" + std::to_string(i))).string();
        check(unlink(name.c_str()) == 0, "a file goes");
        check(access(name.c_str(), F_OK) != 0 && errno == ENOENT, "it has gone");
    }
    check(rmdir(directory.c_str()) == 0, "the directory goes");
}

void read_zeros(const fs::path& mount) {
    const int fd = open((mount / "file0").c_str(), O_RDONLY | O_CLOEXEC);
    check(fd >= 0, "the first file opens");
    std::vector<char> data(1 << 20, 'x');
    for (const std::size_t size : {1u, 4096u, 5000u, 131072u, 1u << 20}) {
        std::fill(data.begin(), data.end(), 'x');
        check(pread(fd, data.data(), size, 4096) == static_cast<ssize_t>(size), "a read is whole");
        const auto end = data.begin() + static_cast<std::ptrdiff_t>(size);
        check(std::all_of(data.begin(), end, [](char c) { return c == 0; }), "zeros are read");
    }
    check(close(fd) == 0, "it is closed");
}

void test_null(Bench& bench) {
    bench.start(false);
    read_zeros(bench.mount());
    std::vector<std::thread> threads;
    std::vector<std::string> complaints(4);
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            try {
                use_null(bench.mount(), i);
            } catch (const std::exception& error) {
                complaints[static_cast<std::size_t>(i)] = error.what();
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const std::string& complaint : complaints) {
        check(complaint.empty(), complaint);
    }
    check(bench.stop() == 0, "the daemon ends well");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::printf("usage: daemons_live tree|linkless|data|stopped|null DAEMON [OPTION,...]\n");
        return 2;
    }
    if (geteuid() != 0) {
        skip("needs root");
    }
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        skip("needs /dev/fuse");
    }
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        skip("needs a mount table of its own");
    }
    umask(022);
    const std::map<std::string, void (*)(Bench&)> tests{{"tree", test_tree},
                                                        {"linkless", test_linkless},
                                                        {"data", test_data},
                                                        {"stopped", test_stopped},
                                                        {"null", test_null}};
    const auto test = tests.find(argv[1]);
    try {
        check(test != tests.end(), std::string("no test is called ") + argv[1]);
        Bench bench(argv[2], argc > 3 ? argv[3] : "");
        test->second(bench);
    } catch (const std::exception& error) {
        std::printf("failed: %s\n", error.what());
        return 1;
    }
    return 0;
}
