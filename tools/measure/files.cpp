#include "files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <vector>

namespace fusesim::measure {

namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

/// A descriptor that is closed again.
class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}

    ~Descriptor() { close(number_); }

    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int number() const { return number_; }

  private:
    int number_;
};

void write_all(int file, std::uint64_t size, const std::string& name) {
    const std::vector<char> data(1u << 20, 'x');
    for (std::uint64_t at = 0; at < size;) {
        const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), size - at));
        const ssize_t put = pwrite(file, data.data(), part, static_cast<off_t>(at));
        if (put <= 0) {
            fail("writing " + name);
        }
        at += static_cast<std::uint64_t>(put);
    }
}

void make_file(const std::filesystem::path& path, std::uint64_t size, bool with_data) {
    const Descriptor file(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    if (file.number() < 0) {
        fail(path.string());
    }
    if (with_data) {
        write_all(file.number(), size, path.string());
    } else if (size > 0 && ftruncate(file.number(), static_cast<off_t>(size)) != 0) {
        fail(path.string());
    }
}

}  // namespace

std::string thread_name(unsigned thread) {
    return fmt::format("thread{}", thread);
}

std::string file_name(std::uint64_t number) {
    return fmt::format("file{}", number);
}

std::string missing_name(std::uint64_t number) {
    return fmt::format("missing{}", number);
}

std::string created_name(std::uint64_t number) {
    return fmt::format("new{}", number);
}

void lay_out(const system::Scenario& scenario,
             const std::filesystem::path& root,
             bool with_data,
             const std::function<bool()>& stopped) {
    const workload::FilesConfig& files = scenario.workload.files;
    for (unsigned thread = 0; thread < scenario.workload.threads; ++thread) {
        const std::filesystem::path directory = root / thread_name(thread);
        if (mkdir(directory.c_str(), 0755) != 0) {
            fail(directory.string());
        }
        for (unsigned i = 0; i < files.count && !stopped(); ++i) {
            make_file(directory / file_name(i), files.size.count, with_data);
        }
    }
}

TemporaryFolder::TemporaryFolder(const std::filesystem::path& parent) {
    std::filesystem::create_directories(parent);
    std::string name = (parent / "fusesim-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
        fail("a folder in " + parent.string());
    }
    path_ = name;
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fail("pipe");
    }
    alive_ = ends[1];
    cleaner_ = fork();
    if (cleaner_ == 0) {
        setpgid(0, 0);  // Ctrl-C and a closed terminal are for the others
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
            ::signal(signal, SIG_IGN);
        }
        close(ends[1]);
        char none = 0;
        while (read(ends[0], &none, 1) < 0 && errno == EINTR) {
        }
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
        _exit(0);
    }
    close(ends[0]);
}

TemporaryFolder::~TemporaryFolder() {
    close(alive_);
    if (cleaner_ > 0) {
        while (waitpid(cleaner_, nullptr, 0) < 0 && errno == EINTR) {
        }
    } else {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
}

}  // namespace fusesim::measure
