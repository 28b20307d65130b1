#include "process.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <system_error>

namespace fusesim::real {

void run_on(const std::vector<int>& cores) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int core : cores) {
        CPU_SET(static_cast<std::size_t>(core), &set);
    }
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
    }
}

void pin(int core) {
    run_on({core});
}

std::vector<int> usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> cores;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        for (int core = 0; core < CPU_SETSIZE; ++core) {
            if (CPU_ISSET(static_cast<std::size_t>(core), &set)) {
                cores.push_back(core);
            }
        }
    }
    return cores;
}

Child::Child(const std::function<void()>& work) : pid_(fork()) {
    if (pid_ < 0) {
        throw std::system_error(errno, std::generic_category(), "fork");
    }
    if (pid_ > 0) {
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int status = 0;
    try {
        work();
    } catch (const std::exception& error) {
        static_cast<void>(!write(2, error.what(), std::strlen(error.what())));
        static_cast<void>(!write(2, "\n", 1));
        status = 1;
    }
    _exit(status);
}

Child::~Child() {
    stop(SIGKILL);
}

int Child::wait() {
    if (pid_ <= 0) {
        return -1;
    }
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool Child::ended() {
    if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = 0;
        return true;
    }
    return false;
}

void Child::stop(int signal) {
    if (pid_ > 0) {
        kill(pid_, signal);
        wait();
    }
}

}  // namespace fusesim::real
