# Where packages are, other than in the system's folders: those of environment.yml, where that is active, and those
# that scripts/bootstrap.sh unpacked for lack of root.

set(prefixes)
if(EXISTS "$ENV{CONDA_PREFIX}/include/xxhash.h")
  list(APPEND prefixes "$ENV{CONDA_PREFIX}")
endif()
if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/.deps/system/usr/include")
  list(APPEND prefixes "${CMAKE_CURRENT_SOURCE_DIR}/.deps/system/usr")
endif()
foreach(prefix IN LISTS prefixes)
  list(APPEND CMAKE_PREFIX_PATH "${prefix}")
  list(APPEND IBOT_DEPS_RPATH "${prefix}/lib" "${prefix}/lib/${CMAKE_LIBRARY_ARCHITECTURE}")
  # An RPATH, unlike a RUNPATH, also finds what the packages' libraries load themselves.
  add_link_options(-Wl,--disable-new-dtags)
endforeach()
list(APPEND CMAKE_BUILD_RPATH ${IBOT_DEPS_RPATH})
