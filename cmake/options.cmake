# What a user of the build may choose.
include(GNUInstallDirs)
# What an install() does not say otherwise of belongs to the program, not to the library for others.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME runtime)
set(GENOSSM_INSTALL_INCLUDE ${CMAKE_INSTALL_INCLUDEDIR}/genossm)
include(CMakeDependentOption)
include(GNUInstallDirs)  # before the program, which knows where its models will lie
option(GENOSSM_BUILD_TESTS "Build the tests" ON)
option(GENOSSM_WERROR "Treat warnings as errors (developers)" OFF)
option(GENOSSM_BIGWIG "Write bigWig (libBigWig)" ON)
option(GENOSSM_HDF5 "Write HDF5 and AnnData (libhdf5)" ON)
option(GENOSSM_BLOSC "Compress Zarr with blosc (libblosc); else with zlib" ON)
set(GENOSSM_SANITIZE "" CACHE STRING "address,undefined or thread: build with these sanitizers")
set(GENOSSM_SHARED_DATA "${CMAKE_CURRENT_SOURCE_DIR}/../shared/data" CACHE PATH
    "Folder with the larger real data sets; tests on them are skipped where it does not exist")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Contraction is a matter of the source (Highway's MulAdd), never of the compiler's mood: results
# must not depend on how a loop happened to be compiled.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)

find_program(GENOSSM_CCACHE ccache)
if(GENOSSM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${GENOSSM_CCACHE})
endif()

add_library(genossm_warnings INTERFACE)
target_compile_options(genossm_warnings INTERFACE
                       # ops are aggregates whose absent views are left out on purpose
                       $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wconversion -Wshadow -Wno-missing-field-initializers>
                       $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wno-missing-field-initializers>)
if(GENOSSM_WERROR)
  target_compile_options(genossm_warnings INTERFACE
                         $<$<COMPILE_LANGUAGE:CXX>:-Werror> $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>)
endif()
if(GENOSSM_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${GENOSSM_SANITIZE}>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all>)
  add_link_options(-fsanitize=${GENOSSM_SANITIZE})
  # The unrolled vector code takes the optimiser an hour with all checks in it: less of it, and
  # fewer instruction sets.
  add_compile_options(-O1)
  add_compile_definitions("HWY_DISABLED_TARGETS=(HWY_SSSE3|HWY_SSE4)")
endif()
