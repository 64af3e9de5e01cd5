# cmake --install: the program with its models (component runtime), and the library for programs of others
# (component development): headers, static archives, genossmConfig.cmake and genossm.pc.
include(CMakePackageConfigHelpers)
set(GENOSSM_INSTALL_ARCHIVES ${CMAKE_INSTALL_LIBDIR}/genossm)
set(GENOSSM_INSTALL_CMAKE ${CMAKE_INSTALL_LIBDIR}/cmake/genossm)

install(TARGETS genossm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/data/models ${CMAKE_SOURCE_DIR}/data/heads
        DESTINATION ${CMAKE_INSTALL_DATADIR}/genossm COMPONENT runtime)

include(texts)

# Everything at once: genossm::libgenossm.
add_library(libgenossm INTERFACE)
target_link_libraries(libgenossm INTERFACE genossm_jobs)
set_target_properties(libgenossm PROPERTIES EXPORT_NAME libgenossm)
get_property(exported GLOBAL PROPERTY GENOSSM_EXPORTED)
install(TARGETS libgenossm ${exported} EXPORT genossm
        ARCHIVE DESTINATION ${GENOSSM_INSTALL_ARCHIVES} COMPONENT development)
install(EXPORT genossm NAMESPACE genossm:: FILE genossmTargets.cmake DESTINATION ${GENOSSM_INSTALL_CMAKE}
        COMPONENT development)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/kernels ${CMAKE_SOURCE_DIR}/libgenossm ${CMAKE_BINARY_DIR}/generated/kernels
        DESTINATION ${GENOSSM_INSTALL_INCLUDE} COMPONENT development
        FILES_MATCHING PATTERN "*.h" PATTERN cuda EXCLUDE PATTERN "*-inl.h" EXCLUDE)

configure_package_config_file(cmake/genossmConfig.cmake.in genossmConfig.cmake
                              INSTALL_DESTINATION ${GENOSSM_INSTALL_CMAKE})
write_basic_package_version_file(genossmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/genossmConfig.cmake ${CMAKE_BINARY_DIR}/genossmConfigVersion.cmake
              cmake/FindBigWig.cmake cmake/FindBlosc.cmake
        DESTINATION ${GENOSSM_INSTALL_CMAKE} COMPONENT development)

# genossm.pc: all archives in one group, since they may be named in any order; the libraries below them by their
# own .pc files where Debian has them.
set(GENOSSM_PC_LIBS "")
foreach(target ${exported})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL STATIC_LIBRARY)
    string(APPEND GENOSSM_PC_LIBS " -l${target}")
  endif()
endforeach()
set(GENOSSM_PC_VARIABLES "")
set(GENOSSM_PC_REQUIRES "htslib, libhwy, tbb, zlib")
set(GENOSSM_PC_MORE "-ldnnl ${OpenMP_CXX_FLAGS}")
if(GENOSSM_HDF5)
  string(APPEND GENOSSM_PC_REQUIRES ", ${HDF5_MODULE_NAME}")
endif()
if(GENOSSM_BIGWIG)
  string(APPEND GENOSSM_PC_MORE " -lBigWig")
endif()
if(GENOSSM_BLOSC)
  string(APPEND GENOSSM_PC_MORE " -lblosc")
endif()
if(GENOSSM_HAS_CUDA)
  find_package(CUDAToolkit REQUIRED)
  # A variable, which pkg-config --define-variable=cudalibdir=... replaces where the toolkit is elsewhere.
  set(GENOSSM_PC_VARIABLES "cudalibdir=${CUDAToolkit_LIBRARY_DIR}\n")
  string(APPEND GENOSSM_PC_MORE " -L\${cudalibdir} -lcudart_static -lrt -ldl -lpthread")
endif()
file(RELATIVE_PATH GENOSSM_PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" GENOSSM_PC_UP "${GENOSSM_PC_UP}")
configure_file(cmake/genossm.pc.in genossm.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/genossm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
