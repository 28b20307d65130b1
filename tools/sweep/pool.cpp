#include "pool.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <map>
#include <system_error>

namespace fusesim::sweep {

namespace {

pid_t start(const std::function<int(std::size_t)>& work, std::size_t number) {
    std::fflush(nullptr);
    const pid_t parent = getpid();
    // A signal that comes before the child has its own dispositions waits until it has.
    sigset_t ending;
    sigset_t before;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, &before);
    const pid_t pid = fork();
    if (pid != 0) {
        sigprocmask(SIG_SETMASK, &before, nullptr);
    }
    if (pid < 0) {
        throw std::system_error(errno, std::generic_category(), "fork");
    }
    if (pid == 0) {
        std::signal(SIGTERM, SIG_DFL);
        std::signal(SIGINT, SIG_IGN);  // the parent decides
        sigprocmask(SIG_SETMASK, &before, nullptr);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) {
            _exit(1);
        }
        const int code = work(number);
        std::fflush(nullptr);
        _exit(code);
    }
    return pid;
}

void end_all(const std::map<pid_t, std::size_t>& children) {
    for (const auto& [child, number] : children) {
        kill(child, SIGTERM);
    }
    for (const auto& [child, number] : children) {
        waitpid(child, nullptr, 0);
    }
}

}  // namespace

int run_in_processes(std::size_t count,
                     const std::function<int(std::size_t)>& work,
                     const PoolOptions& options) {
    std::map<pid_t, std::size_t> children;  // what each works on
    std::size_t started = 0;
    std::size_t ended = 0;
    int worst = 0;
    while (ended < count) {
        if (options.stop != nullptr && *options.stop) {
            end_all(children);
            return 130;
        }
        while (started < count && children.size() < std::max(1U, options.jobs)) {
            children.emplace(start(work, started), started);
            ++started;
        }
        int status = 0;
        const pid_t child = waitpid(-1, &status, WNOHANG);
        const auto found = child > 0 ? children.find(child) : children.end();
        if (found == children.end()) {
            const timespec pause{0, 2'000'000};  // a signal cuts it short
            nanosleep(&pause, nullptr);
            continue;
        }
        ++ended;
        worst = std::max(worst, WIFEXITED(status) ? WEXITSTATUS(status) : 1);
        if (WIFSIGNALED(status) && options.killed) {
            options.killed(found->second, WTERMSIG(status));
        }
        children.erase(found);
        if (options.finished) {
            options.finished(ended);
        }
    }
    return worst;
}

}  // namespace fusesim::sweep
