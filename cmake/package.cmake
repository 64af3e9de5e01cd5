# cpack: genossm_VERSION_ARCH.deb (the program and its models), libgenossm-dev_VERSION_ARCH.deb (the library) and
# tar files of both.
set(GENOSSM_MAINTAINER "genossm maintainers <maintainers@genossm.example>" CACHE STRING
    "Name and address in Debian packages; yours, if you hand packages on")
set(CPACK_PACKAGE_NAME genossm)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT ${GENOSSM_MAINTAINER})
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
# Folders as Debian wants them, whatever the builder's umask.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${GENOSSM_MAINTAINER})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME genossm)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION science)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
# The first line of both is the project's own description.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "Embeddings and per-base likelihoods of FASTA, FASTQ, SAM, BAM and CRAM
files; effects of the variants of a VCF; classes of sequences and reads; new
bases from a causal model. Reads published checkpoints (Mamba, Mamba-2,
Caduceus, PlantCaduceus, HyenaDNA, Evo) as they are, and brings two small
models along. This is the program.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libgenossm-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "libhts-dev, libhwy-dev, libtbb-dev, libdnnl-dev, zlib1g-dev, ocl-icd-opencl-dev")
if(GENOSSM_HDF5)
  string(APPEND CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS ", libhdf5-dev")
endif()
if(GENOSSM_BIGWIG)
  string(APPEND CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS ", libbigwig-dev")
endif()
if(GENOSSM_BLOSC)
  string(APPEND CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS ", libblosc-dev")
endif()
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Headers and static archives of genossm, with files for CMake (find_package)
and for pkg-config. This is the library.")

# What every Debian package holds of its own origin.
find_program(GENOSSM_GZIP gzip)
if(GENOSSM_GZIP)
  configure_file(cmake/debian/changelog.in debian/changelog @ONLY)
  execute_process(COMMAND ${GENOSSM_GZIP} -9nkf ${CMAKE_BINARY_DIR}/debian/changelog COMMAND_ERROR_IS_FATAL ANY)
  foreach(pair runtime:genossm development:libgenossm-dev)
    string(REPLACE ":" ";" pair ${pair})
    list(GET pair 0 component)
    list(GET pair 1 package)
    install(FILES cmake/debian/copyright ${CMAKE_BINARY_DIR}/debian/changelog.gz
            DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component})
  endforeach()
endif()
include(CPack)
