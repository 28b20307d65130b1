#include "null_filesystem.h"

int main(int argc, char** argv) {
    using fusesim::daemons::Program;
    return fusesim::daemons::run_null_filesystem(argc, argv, {"nullfs", Program::Takes::files});
}
