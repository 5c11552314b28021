# One helper a kind of target.

find_program(IBOT_CCACHE ccache)
if(IBOT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers need the two sloppiness settings (ccache's manual, "Precompiled headers").
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${IBOT_CCACHE})
endif()
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

# ibot_compile_together(target): its sources by fours, those of a folder with each other. A source stays
# in its group when others come or go, so that these alone are compiled.
function(ibot_compile_together target)
  get_target_property(sources ${target} SOURCES)
  foreach(source ${sources})
    cmake_path(GET source PARENT_PATH folder)
    list(APPEND folders "${folder}")
  endforeach()
  foreach(source folder IN ZIP_LISTS sources folders)
    set(others ${folders})
    list(FILTER others INCLUDE REGEX "^${folder}$")
    list(LENGTH others count)
    set(groups 1)
    while(count GREATER_EQUAL 6)
      math(EXPR groups "${groups} * 2")
      math(EXPR count "${count} / 2")
    endwhile()
    cmake_path(GET source FILENAME file)
    string(MD5 hash "${file}")
    string(SUBSTRING "${hash}" 0 6 hash)
    math(EXPR group "0x${hash} % ${groups}")
    cmake_path(GET folder FILENAME name)
    set_source_files_properties("${source}" PROPERTIES UNITY_GROUP "${name}_${group}")
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
endfunction()

# ibot_settings(target [PCH library]): compile settings of our targets alone. -fPIC everywhere: the
# static libraries then fit into a user's shared library, and all can share one precompiled header.
function(ibot_settings target)
  cmake_parse_arguments(ARG "" "PCH" "" ${ARGN})
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE -fPIC -Wall -Wextra -Wshadow -Wno-unknown-pragmas -Wno-missing-field-initializers
    $<$<BOOL:${IBOT_WERROR}>:-Werror>)
  if(NOT IBOT_SANITIZE STREQUAL none)
    target_compile_options(${target} PRIVATE -fsanitize=${IBOT_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${IBOT_SANITIZE})
  endif()
  if(IBOT_UNITY)
    ibot_compile_together(${target})
  endif()
  if(IBOT_PCH AND ARG_PCH)
    target_precompile_headers(${target} REUSE_FROM ${ARG_PCH})
  endif()
endfunction()

# ibot_pch_library(name OPTIONS ... LINK ... HEADERS ...): a precompiled header and the options that
# it needs of its users.
function(ibot_pch_library name)
  cmake_parse_arguments(ARG "" "" "OPTIONS;LINK;HEADERS" ${ARGN})
  file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/${name}.cpp" CONTENT "")
  add_library(${name} STATIC "${CMAKE_BINARY_DIR}/${name}.cpp")
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  ibot_settings(${name})
  target_compile_options(${name} PRIVATE ${ARG_OPTIONS})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()

# Tests run for seconds and compile for minutes: they are not optimized.
set(IBOT_TEST_OPTIONS -O0)
# What most sources include and no more: gcc instantiates what a precompiled header's templates left
# pending anew in every source, which is most of the time of a small one (<torch/torch.h>: 4.8 s an
# empty source; these: 2 s).
set(IBOT_PCH_HEADERS <torch/types.h> <torch/nn/modules/linear.h>)
if(IBOT_PCH)
  ibot_pch_library(ibot_pch LINK ibot_torch HEADERS ${IBOT_PCH_HEADERS})
  if(IBOT_BUILD_TESTS)
    ibot_pch_library(ibot_test_pch OPTIONS ${IBOT_TEST_OPTIONS} LINK ibot_torch ibot_json GTest::gtest
      HEADERS ${IBOT_PCH_HEADERS} <gtest/gtest.h> <nlohmann/json.hpp>)
  endif()
endif()

# ibot_library(name LINK [PUBLIC ...] [PRIVATE ...] SOURCES ...): the target ibot::name from src/.
function(ibot_library name)
  cmake_parse_arguments(ARG "" "" "LINK;SOURCES" ${ARGN})
  set(target ibot_${name})
  list(TRANSFORM ARG_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/src/")
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(ibot::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(${target}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>
    PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} ${ARG_LINK})
  ibot_settings(${target} PCH ibot_pch)
  set_property(GLOBAL APPEND PROPERTY IBOT_LIBRARIES ${target})
endfunction()

# ibot_commit(source): IBOT_COMMIT, the checkout's commit, for that source alone, so that a new commit
# compiles one file. The log of HEAD is younger after each; outside a checkout the name is empty.
function(ibot_commit source)
  if(EXISTS "${PROJECT_SOURCE_DIR}/.git")
    execute_process(COMMAND git rev-parse --short=12 HEAD WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
      OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  if(EXISTS "${PROJECT_SOURCE_DIR}/.git/logs/HEAD")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/.git/logs/HEAD")
  endif()
  set_source_files_properties(${source} PROPERTIES
    COMPILE_DEFINITIONS "IBOT_COMMIT=\"${commit}\"" SKIP_PRECOMPILE_HEADERS ON)
endfunction()

# ibot_apps_library(name LINK ... SOURCES ...): ibot_apps_<name> from apps/, what programs share. Not
# installed.
function(ibot_apps_library name)
  cmake_parse_arguments(ARG "" "" "LINK;SOURCES" ${ARGN})
  set(target ibot_apps_${name})
  list(TRANSFORM ARG_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/apps/")
  add_library(${target} STATIC ${ARG_SOURCES})
  target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}/apps")
  target_link_libraries(${target} ${ARG_LINK})
  ibot_settings(${target} PCH ibot_pch)
endfunction()

# ibot_program(name LINK ... SOURCES ...): build/bin/name from apps/.
function(ibot_program name)
  cmake_parse_arguments(ARG "" "" "LINK;SOURCES" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/apps/")
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/apps")
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  ibot_settings(${name} PCH ibot_pch)
  set_property(GLOBAL APPEND PROPERTY IBOT_PROGRAMS ${name})
endfunction()

# ibot_tests(name LINK ... SOURCES ...): one binary of GoogleTest files below tests/. Suites whose
# name ends in Golden (values of tests/goldens) or Dense (of tests/goldens_dense) carry the label
# "golden" or "dense" instead of the binary's: discovery takes one label.
function(ibot_tests name)
  cmake_parse_arguments(ARG "" "" "LINK;SOURCES" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/tests/")
  set(target ibot_${name}_tests)
  add_executable(${target} ${ARG_SOURCES})
  target_include_directories(${target} PRIVATE
    "${PROJECT_SOURCE_DIR}/tests" "${PROJECT_SOURCE_DIR}/apps" "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} PRIVATE ${ARG_LINK} GTest::gtest_main)
  target_compile_definitions(${target} PRIVATE IBOT_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    IBOT_PROGRAM_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  ibot_settings(${target} PCH ibot_test_pch)
  target_compile_options(${target} PRIVATE ${IBOT_TEST_OPTIONS})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST TEST_FILTER "-*Golden.*:*Dense.*"
    PROPERTIES LABELS ${name} TIMEOUT 300)
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST TEST_FILTER "*Golden.*"
    PROPERTIES LABELS golden TIMEOUT 300)
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST TEST_FILTER "*Dense.*"
    PROPERTIES LABELS dense TIMEOUT 300)
endfunction()

# ibot_device_double(source): the tests' stand-in for a GPU as a shared library. LD_PRELOAD brings it to
# programs, which then know the device hpu (scripts/gpu_check.sh --device double).
function(ibot_device_double source)
  add_library(ibot_device_double SHARED "${PROJECT_SOURCE_DIR}/tests/${source}")
  target_include_directories(ibot_device_double PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(ibot_device_double PRIVATE ibot_torch)
  ibot_settings(ibot_device_double PCH ibot_test_pch)
  target_compile_options(ibot_device_double PRIVATE ${IBOT_TEST_OPTIONS})
  set_target_properties(ibot_device_double PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
endfunction()

# ibot_fuzz(name LINK ... SOURCES ...): build/bin/<name>_fuzz of tests/fuzz/<name>_fuzz.cpp and those
# sources of src/ that it reaches, instrumented; libraries would bring all of LibTorch's users along.
function(ibot_fuzz name)
  cmake_parse_arguments(ARG "" "" "LINK;SOURCES" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/src/")
  set(target ${name}_fuzz)
  add_executable(${target} EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/tests/fuzz/${name}_fuzz.cpp" ${ARG_SOURCES})
  target_include_directories(${target} PRIVATE
    "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${target} PRIVATE ${ARG_LINK})
  target_compile_features(${target} PRIVATE cxx_std_20)
  target_compile_definitions(${target} PRIVATE IBOT_FUZZ)
  target_compile_options(${target} PRIVATE -fsanitize=fuzzer,address,undefined
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(${target} PRIVATE -fsanitize=fuzzer,address,undefined)
endfunction()
