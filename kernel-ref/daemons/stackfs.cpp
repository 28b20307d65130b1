#include "stack_filesystem.h"

int main(int argc, char** argv) {
    using fusesim::daemons::Program;
    return fusesim::daemons::run_stack_filesystem(argc, argv, {"stackfs", Program::Takes::source});
}
