#include "stop.h"

#include <signal.h>

namespace fusesim::commands {

namespace {

std::atomic<bool> signalled{false};

void ask_to_stop(int) {
    signalled = true;
}

}  // namespace

const std::atomic<bool>& stop_on(std::initializer_list<int> signals) {
    struct sigaction action {};

    action.sa_handler = ask_to_stop;
    for (const int signal : signals) {
        sigaction(signal, &action, nullptr);
    }
    return signalled;
}

}  // namespace fusesim::commands
