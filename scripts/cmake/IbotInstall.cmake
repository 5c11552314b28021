# The installed tree: programs, static libraries, headers, and the package that find_package(ibot)
# finds. It can be moved; LibTorch is found where it was, or where those who use it say.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(IBOT_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/ibot")
get_property(libraries GLOBAL PROPERTY IBOT_LIBRARIES)
get_property(programs GLOBAL PROPERTY IBOT_PROGRAMS)
# The targets that stand for other packages are empty once installed; ibotConfig.cmake fills them.
set(packages ibot_torch ibot_json ibot_xxhash)
if(TARGET ibot_opencv)
  list(APPEND packages ibot_opencv ibot_images)
endif()

if(programs)
  set_target_properties(${programs} PROPERTIES
    INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR};${IBOT_TORCH_ROOT}/lib")
  install(TARGETS ${programs} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(TARGETS ${libraries} ${packages} EXPORT ibotTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/ibot" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT ibotTargets NAMESPACE ibot:: DESTINATION "${IBOT_PACKAGE_DIR}")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/ibotConfig.cmake.in"
  "${CMAKE_BINARY_DIR}/ibotConfig.cmake" INSTALL_DESTINATION "${IBOT_PACKAGE_DIR}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/ibotConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_LIST_DIR}/IbotTorch.cmake" "${CMAKE_BINARY_DIR}/ibotConfig.cmake"
  "${CMAKE_BINARY_DIR}/ibotConfigVersion.cmake" DESTINATION "${IBOT_PACKAGE_DIR}")
