# The installed tree, which can be moved. Component `programs`: in bin/ a launcher per program, which finds LibTorch and
# starts the program of libexec/ibot; the configurations. Component `library`: static libraries, headers, and the package
# that find_package(ibot) finds; LibTorch is found where it was, or where those who use it say.

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
  set(IBOT_LIBEXEC_DIR "${CMAKE_INSTALL_LIBEXECDIR}/ibot")
  # The launcher names LibTorch; scripts/package.sh puts other libraries into lib/ibot. Without them, those that the build
  # has beside the system's are used where they are.
  set_target_properties(${programs} PROPERTIES
    INSTALL_RPATH "$ORIGIN/../../${CMAKE_INSTALL_LIBDIR}/ibot;${IBOT_DEPS_RPATH}")
  configure_file("${CMAKE_CURRENT_LIST_DIR}/launch.sh.in" "${CMAKE_BINARY_DIR}/install/launch" @ONLY)
  file(WRITE "${CMAKE_BINARY_DIR}/install/torch-folder" "${IBOT_TORCH_ROOT}\n")
  file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/install/bin")
  file(RELATIVE_PATH launch "/${CMAKE_INSTALL_BINDIR}" "/${IBOT_LIBEXEC_DIR}/launch")
  foreach(program IN LISTS programs)
    file(CREATE_LINK "${launch}" "${CMAKE_BINARY_DIR}/install/bin/${program}" SYMBOLIC)
  endforeach()
  install(TARGETS ${programs} RUNTIME DESTINATION "${IBOT_LIBEXEC_DIR}" COMPONENT programs)
  install(PROGRAMS "${CMAKE_BINARY_DIR}/install/launch" DESTINATION "${IBOT_LIBEXEC_DIR}" COMPONENT programs)
  install(FILES "${CMAKE_BINARY_DIR}/install/torch-folder" DESTINATION "${IBOT_LIBEXEC_DIR}" COMPONENT programs)
  install(DIRECTORY "${CMAKE_BINARY_DIR}/install/bin/" DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT programs)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/configs" DESTINATION "${CMAKE_INSTALL_DATADIR}/ibot" COMPONENT programs)
  install(PROGRAMS "${PROJECT_SOURCE_DIR}/scripts/submit_sweep.sh" DESTINATION "${CMAKE_INSTALL_DATADIR}/ibot" COMPONENT programs)
  install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/ibot" COMPONENT programs)
  # Of code that programs contain.
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/third_party" DESTINATION "${CMAKE_INSTALL_DATADIR}/ibot" COMPONENT programs
    FILES_MATCHING PATTERN LICENSE)
endif()
install(TARGETS ${libraries} ${packages} EXPORT ibotTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  COMPONENT library)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/ibot" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT library)
install(EXPORT ibotTargets NAMESPACE ibot:: DESTINATION "${IBOT_PACKAGE_DIR}" COMPONENT library)
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/ibotConfig.cmake.in"
  "${CMAKE_BINARY_DIR}/ibotConfig.cmake" INSTALL_DESTINATION "${IBOT_PACKAGE_DIR}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/ibotConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_LIST_DIR}/IbotTorch.cmake" "${CMAKE_BINARY_DIR}/ibotConfig.cmake"
  "${CMAKE_BINARY_DIR}/ibotConfigVersion.cmake" DESTINATION "${IBOT_PACKAGE_DIR}" COMPONENT library)

# What scripts/package.sh must know of the build.
file(WRITE "${CMAKE_BINARY_DIR}/install/package.json"
  "{\"version\": \"${PROJECT_VERSION}\", \"torch\": \"${IBOT_TORCH_VERSION}\", \"torch_folder\": \"${IBOT_TORCH_ROOT}\", \"cuda\": \"${IBOT_CUDA}\"}\n")
