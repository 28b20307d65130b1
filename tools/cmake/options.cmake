add_library(fusesim_options INTERFACE)
target_compile_features(fusesim_options INTERFACE cxx_std_20)
target_compile_options(fusesim_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow)
if(FUSESIM_WERROR)
    target_compile_options(fusesim_options INTERFACE -Werror)
endif()
if(FUSESIM_SANITIZE)
    target_compile_options(fusesim_options INTERFACE -fsanitize=address,undefined
                           -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    # g++ 12 sees uninitialised variables in <regex> and <optional> only when it instruments them.
    target_compile_options(fusesim_options INTERFACE
                           $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_options(fusesim_options INTERFACE -fsanitize=address,undefined)
endif()
