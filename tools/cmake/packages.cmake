# Everything comes from the distribution; nothing is downloaded at configure time.
include(dependencies)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)

# Debian builds SystemC as C++17 and checks at link time that its users say so too.
add_library(fusesim_systemc INTERFACE)
add_library(fusesim::systemc ALIAS fusesim_systemc)
target_link_libraries(fusesim_systemc INTERFACE PkgConfig::SYSTEMC)
target_compile_definitions(fusesim_systemc INTERFACE SC_CPLUSPLUS=201703L)
