# Installs BUILD_DIR, moves the installed tree, then configures, builds and runs the consumer on it.
set(work "${BUILD_DIR}/consumer")
file(REMOVE_RECURSE "${work}")
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${work}/installed")
file(RENAME "${work}/installed" "${work}/moved")
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${work}/build" -G "${GENERATOR}"
  -D CMAKE_BUILD_TYPE=${BUILD_TYPE} -D CMAKE_CXX_COMPILER=${COMPILER}
  -D CMAKE_PREFIX_PATH=${work}/moved -D LIBTORCH=${LIBTORCH})
run("${CMAKE_COMMAND}" --build "${work}/build")
execute_process(COMMAND "${work}/build/consumer" WORKING_DIRECTORY "${work}" COMMAND_ERROR_IS_FATAL ANY)

# Nothing in the package may name a folder of the machine that built it.
file(GLOB package "${work}/moved/lib*/cmake/ibot/*.cmake" "${work}/moved/lib/*/cmake/ibot/*.cmake")
foreach(file IN LISTS package)
  file(STRINGS "${file}" lines)
  foreach(folder "${SOURCE_DIR}" "${BUILD_DIR}")
    string(FIND "${lines}" "${folder}" position)
    if(NOT position EQUAL -1)
      message(FATAL_ERROR "${file} names ${folder}")
    endif()
  endforeach()
endforeach()
if(NOT package)
  message(FATAL_ERROR "no package files in ${work}/moved")
endif()
