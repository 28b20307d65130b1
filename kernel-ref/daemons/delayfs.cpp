#include "null_filesystem.h"

int main(int argc, char** argv) {
    return fusesim::daemons::run_null_filesystem(argc, argv, "delayfs", true);
}
