add_library(fusesim_options INTERFACE)
target_compile_features(fusesim_options INTERFACE cxx_std_20)
target_compile_options(fusesim_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow)
# Where several sources are one unit, g++ takes types of an anonymous namespace for a header's.
if(CMAKE_UNITY_BUILD)
    target_compile_options(fusesim_options INTERFACE
                           $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)
endif()
if(FUSESIM_WERROR)
    # g++ 12 sees overlapping copies in any assignment of a short text to a std::string (GCC bug 105651).
    target_compile_options(fusesim_options INTERFACE -Werror
                           $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>)
endif()
if(FUSESIM_SANITIZE)
    target_compile_options(fusesim_options INTERFACE -fsanitize=address,undefined
                           -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    # g++ 12 sees uninitialised variables in <regex> and <optional> only when it instruments them.
    target_compile_options(fusesim_options INTERFACE
                           $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_options(fusesim_options INTERFACE -fsanitize=address,undefined)
endif()
