# genossm_export(TARGETS...): part of what is installed for programs that link the library, as genossm::NAME.
function(genossm_export)
  foreach(target ${ARGN})
    string(REPLACE genossm_ "" name ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY GENOSSM_EXPORTED ${ARGN})
endfunction()

# genossm_add_op(NAME [LINK libs...] [MORE files...] [CUDA more.cu...]): one op folder: NAME.h, reference.cc,
# cpu.cc, and cuda.cu (where there is one) with the further files named after CUDA where the CUDA engine is built.
function(genossm_add_op name)
  cmake_parse_arguments(op "" "" "LINK;MORE;CUDA" ${ARGN})
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/cpu.cc)
    return()
  endif()
  add_library(genossm_op_${name} STATIC ${name}/reference.cc ${name}/cpu.cc ${op_MORE})
  if(GENOSSM_HAS_CUDA AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/cuda.cu)
    list(TRANSFORM op_CUDA PREPEND ${name}/)
    target_sources(genossm_op_${name} PRIVATE ${name}/cuda.cu ${op_CUDA})
  endif()
  target_link_libraries(genossm_op_${name} PUBLIC genossm_kernels_core
                        PRIVATE $<BUILD_INTERFACE:genossm_warnings> PkgConfig::HWY ${op_LINK})
  target_link_libraries(genossm_kernels INTERFACE genossm_op_${name})
  genossm_export(genossm_op_${name})
endfunction()

# genossm_add_layer(NAME SOURCES... LINK PUBLIC-LIBS... PRIVATE_LINK LIBS...): one row of the layer table.
function(genossm_add_layer name)
  cmake_parse_arguments(layer "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(genossm_${name} STATIC ${layer_SOURCES})
  target_link_libraries(genossm_${name} PUBLIC ${layer_LINK}
                        PRIVATE $<BUILD_INTERFACE:genossm_warnings> ${layer_PRIVATE_LINK})
  genossm_export(genossm_${name})
endfunction()

# genossm_add_test(NAME SOURCES... LINK LIBS... [LABELS ...]): a GoogleTest program, one ctest entry a case.
# Cases with Cuda in their name also get the label gpu; they skip where there is none.
function(genossm_add_test name)
  cmake_parse_arguments(test "" "" "SOURCES;LINK;LABELS" ${ARGN})
  add_executable(${name} ${test_SOURCES})
  target_link_libraries(${name} PRIVATE ${test_LINK} genossm_test_support genossm_warnings GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    GENOSSM_SOURCE_DIR="${CMAKE_SOURCE_DIR}" GENOSSM_SHARED_DATA="${GENOSSM_SHARED_DATA}")
  gtest_discover_tests(${name} TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 120
                       TEST_FILTER "-*Cuda*" TEST_LIST ${name}_cpu_tests
                       PROPERTIES LABELS "${test_LABELS}" TIMEOUT 1200)
  gtest_discover_tests(${name} TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 120
                       TEST_FILTER "*Cuda*" TEST_LIST ${name}_gpu_tests
                       PROPERTIES LABELS "${test_LABELS};gpu" TIMEOUT 1200)
endfunction()
include(GoogleTest)
