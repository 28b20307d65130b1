#include "config/error.h"

#include <catch2/catch.hpp>

using fusesim::config::Error;
using fusesim::config::Place;

TEST_CASE("a place in a text file reads file:line:col, in a binary file its byte", "[unit]") {
    CHECK(Place{"a.yaml", 3, 7}.text() == "a.yaml:3:7");
    CHECK(Place{"a.fst", 0, 0, 123}.text() == "a.fst:byte 123");
    CHECK(Place{"a.fst"}.text() == "a.fst");
}

TEST_CASE("an error names its place first and its hint last", "[unit]") {
    const Error error(Place{"a.yaml", 3, 7}, "unknown key 'x'", "did you mean 'y'?");
    CHECK(std::string(error.what()) ==
          "a.yaml:3:7: error: unknown key 'x'\n  hint: did you mean 'y'?");
}
