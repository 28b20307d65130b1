#include "guest.h"

#include "commands.h"

#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

extern char** environ;

namespace fusesim::commands {

namespace {

constexpr const char* run_script = FUSESIM_GUEST "/run";

/// Waits for the script; passes on that the user wants to stop.
int wait_for(pid_t script, const std::atomic<bool>& stop_asked) {
    bool told = false;
    int status = 0;
    while (waitpid(script, &status, WNOHANG) == 0) {
        if (stop_asked && !told) {
            told = true;
            kill(script, SIGTERM);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

void run_in_guest(const std::string& command,
                  const std::vector<std::filesystem::path>& add,
                  const std::filesystem::path& out,
                  const std::atomic<bool>& stop_asked) {
    if (access(run_script, X_OK) != 0) {
        throw Unavailable(fmt::format("the guest needs {}, which is not there", run_script));
    }
    // The build folder, as the programs lie in it.
    const auto program = std::filesystem::read_symlink("/proc/self/exe");
    const auto build = program.parent_path().parent_path().parent_path();
    std::vector<std::string> words{run_script, "--build", build.string(), "--out", out.string()};
    for (const auto& file : add) {
        words.insert(words.end(), {"--add", file.string()});
    }
    words.insert(words.end(), {"--", "sh", "-c", command});
    std::vector<char*> arguments;
    for (std::string& word : words) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    pid_t script = 0;
    if (const int error =
            posix_spawn(&script, run_script, nullptr, nullptr, arguments.data(), environ);
        error != 0) {
        throw std::system_error(error, std::generic_category(), run_script);
    }
    const int code = wait_for(script, stop_asked);
    if (stop_asked) {
        throw Unavailable("interrupted while the guest ran");
    }
    if (code == Exit::unavailable) {
        throw Unavailable("the guest cannot be booted on this machine; the reason is above");
    }
    if (code != 0) {
        throw Unavailable(
            fmt::format("the guest failed with exit code {}; its console is above", code));
    }
}

}  // namespace fusesim::commands
