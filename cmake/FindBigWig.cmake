# libBigWig: BigWig::BigWig. Debian's package has no file for pkg-config.
find_path(BigWig_INCLUDE_DIR bigWig.h PATH_SUFFIXES libBigWig libbigwig)
find_library(BigWig_LIBRARY BigWig)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BigWig REQUIRED_VARS BigWig_LIBRARY BigWig_INCLUDE_DIR)
if(BigWig_FOUND AND NOT TARGET BigWig::BigWig)
  add_library(BigWig::BigWig UNKNOWN IMPORTED)
  # Only files are written: no need of curl, whose headers the library's own would ask for.
  set_target_properties(BigWig::BigWig PROPERTIES IMPORTED_LOCATION ${BigWig_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${BigWig_INCLUDE_DIR} INTERFACE_COMPILE_DEFINITIONS NOCURL)
endif()
