#include "fuse/kernel.h"

#include <catch2/catch.hpp>

#include <stdexcept>

using namespace fusesim::fuse;

TEST_CASE("kernels are found by version and by release", "[unit]") {
    for (const KernelBehaviour& row : kernel_behaviours()) {
        CHECK(&kernel_behaviour(row.version) == &row);
        CHECK(&nearest_kernel_behaviour(row.version) == &row);
    }
    CHECK(kernel_behaviour("6.1.0-13-amd64").version == "6.1");
    CHECK(kernel_behaviour("6.12-rc3").version == "6.12");
}

TEST_CASE("an unknown kernel is refused with the known ones", "[unit]") {
    for (const char* text : {"6.2", "6.", "6", "", "5.", "six", "6.1x", "6.10", "-6.1"}) {
        CAPTURE(text);
        CHECK_THROWS_WITH(kernel_behaviour(text),
                          Catch::Contains("'" + std::string(text) + "'") &&
                              Catch::Contains("4.1, 4.4, 4.15, 4.18, 5.4, 5.10, 5.15, 6.1, 6.8, "
                                              "6.12, 6.14, 6.17, 6.18, 7.0"));
    }
}

TEST_CASE("a release between known kernels behaves like the one before", "[unit]") {
    CHECK(nearest_kernel_behaviour("6.5.0-9-generic").version == "6.1");
    CHECK(nearest_kernel_behaviour("6.10").version == "6.8");
    CHECK(nearest_kernel_behaviour("8.3").version == "7.0");
    CHECK(nearest_kernel_behaviour("3.10").version == "4.1");
    CHECK_THROWS_AS(nearest_kernel_behaviour("linux"), std::invalid_argument);
}

TEST_CASE("versions differ where the kernels do", "[unit]") {
    const auto at = [](const char* version) -> const KernelBehaviour& {
        return kernel_behaviour(version);
    };
    CHECK(at("4.1").input_lock == InputLock::connection);
    CHECK(at("4.4").input_lock == InputLock::waitqueue);
    CHECK(at("4.18").input_lock == InputLock::waitqueue);
    CHECK(at("5.4").input_lock == InputLock::own);
    CHECK_FALSE(at("4.18").background_lock);
    CHECK(at("5.4").background_lock);
    CHECK_FALSE(at("4.1").clone_fd);
    CHECK(at("4.4").clone_fd);
    CHECK(at("4.18").unique_step == 1);
    CHECK(at("5.4").unique_step == 2);
    CHECK(at("4.18").processing_lists == 1);
    CHECK(at("5.4").processing_lists == 256);
    CHECK(at("4.18").max_max_pages == 32);
    CHECK(at("5.4").max_max_pages == 256);
    CHECK(at("4.4").directory_lock == DirectoryLock::mutex);
    CHECK(at("4.15").directory_lock == DirectoryLock::rwsem);
    CHECK(at("5.15").congestion_on_bdi);
    CHECK_FALSE(at("6.1").congestion_on_bdi);
    CHECK(at("6.14").writeback_temp_copy);
    CHECK_FALSE(at("6.17").writeback_temp_copy);
    CHECK_FALSE(at("6.14").readdir_fits_getdents);
    CHECK(at("6.17").readdir_fits_getdents);
    CHECK(at("4.18").getattr_after_read);
    CHECK_FALSE(at("5.4").getattr_after_read);
    CHECK_FALSE(at("6.12").io_uring);
    CHECK(at("6.14").io_uring);
    CHECK_FALSE(at("6.14").request_timeout);
    CHECK(at("6.17").request_timeout);
    CHECK_FALSE(at("6.8").passthrough);
    CHECK(at("6.12").passthrough);
    CHECK(at("6.8").send_tracepoint == SendTracepoint::absent);
    CHECK(at("6.17").send_tracepoint == SendTracepoint::before_id);
    CHECK(at("7.0").send_tracepoint == SendTracepoint::at_queueing);
    CHECK(at("6.1").lowest_error == -512);
    CHECK(at("4.18").lowest_error == -1000);
}
