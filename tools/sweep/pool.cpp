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
#include <set>
#include <system_error>

namespace fusesim::sweep {

namespace {

pid_t start(const std::function<int(std::size_t)>& work, std::size_t number) {
    std::fflush(nullptr);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) {
        throw std::system_error(errno, std::generic_category(), "fork");
    }
    if (pid == 0) {
        std::signal(SIGTERM, SIG_DFL);
        std::signal(SIGINT, SIG_IGN);  // the parent decides
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

void end_all(const std::set<pid_t>& children) {
    for (const pid_t child : children) {
        kill(child, SIGTERM);
    }
    for (const pid_t child : children) {
        waitpid(child, nullptr, 0);
    }
}

}  // namespace

int run_in_processes(std::size_t count,
                     const std::function<int(std::size_t)>& work,
                     const PoolOptions& options) {
    std::set<pid_t> children;
    std::size_t started = 0;
    std::size_t ended = 0;
    int worst = 0;
    while (ended < count) {
        if (options.stop != nullptr && *options.stop) {
            end_all(children);
            return 130;
        }
        while (started < count && children.size() < std::max(1U, options.jobs)) {
            children.insert(start(work, started++));
        }
        int status = 0;
        const pid_t child = waitpid(-1, &status, WNOHANG);
        if (child <= 0 || children.erase(child) == 0) {
            const timespec pause{0, 2'000'000};  // a signal cuts it short
            nanosleep(&pause, nullptr);
            continue;
        }
        ++ended;
        worst = std::max(worst, WIFEXITED(status) ? WEXITSTATUS(status) : 1);
        if (options.finished) {
            options.finished(ended);
        }
    }
    return worst;
}

}  // namespace fusesim::sweep
