# Everything comes from the distribution; nothing is downloaded at configure time.
find_package(PkgConfig REQUIRED)
find_package(Boost 1.74 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(SYSTEMC REQUIRED IMPORTED_TARGET systemc)

# Debian builds SystemC as C++17 and checks at link time that its users say so too.
add_library(fusesim_systemc INTERFACE)
add_library(fusesim::systemc ALIAS fusesim_systemc)
target_link_libraries(fusesim_systemc INTERFACE PkgConfig::SYSTEMC)
target_compile_definitions(fusesim_systemc INTERFACE SC_CPLUSPLUS=201703L)
