# What find_package(fusesim) reads.
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/fusesim-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES tools/cmake/fusesim-config.cmake tools/cmake/dependencies.cmake ${CMAKE_BINARY_DIR}/fusesim-config-version.cmake
        DESTINATION lib/cmake/fusesim)

# cpack makes a Debian package of what is installed.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "simulator of the Linux FUSE stack")
set(CPACK_PACKAGE_CONTACT "the fusesim developers <fusesim@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
include(CPack)
