#define CATCH_CONFIG_RUNNER
#include <systemc>

#include <catch2/catch.hpp>

#include <cstdlib>

/// Called by SystemC once it is set up; Catch2 gets its arguments from here.
int sc_main(int argc, char** argv) {
    return Catch::Session().run(argc, argv);
}

/// SystemC would print its banner otherwise, and standard output is for data.
int main(int argc, char** argv) {
    setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
    return sc_core::sc_elab_and_sim(argc, argv);
}
