# Where packages are, other than in the system's folders: those of an active conda environment, and those that
# scripts/bootstrap.sh unpacked below .deps for lack of root.

set(IBOT_UNPACKED "${CMAKE_CURRENT_SOURCE_DIR}/.deps/system/usr")
foreach(prefix "$ENV{CONDA_PREFIX}" "${IBOT_UNPACKED}")
  if(EXISTS "${prefix}/include/xxhash.h" OR EXISTS "${prefix}/include/nlohmann/json.hpp")
    list(APPEND CMAKE_PREFIX_PATH "${prefix}")
    list(APPEND CMAKE_BUILD_RPATH "${prefix}/lib/${CMAKE_LIBRARY_ARCHITECTURE}")
    # An RPATH, unlike a RUNPATH, also finds what the packages' libraries load themselves.
    add_link_options(-Wl,--disable-new-dtags)
  endif()
endforeach()
