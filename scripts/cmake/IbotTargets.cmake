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
    # GCC takes a source that a unity file includes for a header, whose unnamed namespaces many sources would see.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)
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

# ibot_sources(result below FOLDERS ... SOURCES ...): all sources of the folders, and those named, as
# paths. A new file is found by the next build; no list names it.
function(ibot_sources result below)
  cmake_parse_arguments(ARG "" "" "FOLDERS;SOURCES" ${ARGN})
  set(sources ${ARG_SOURCES})
  list(TRANSFORM sources PREPEND "${PROJECT_SOURCE_DIR}/${below}/")
  foreach(folder ${ARG_FOLDERS})
    file(GLOB found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${below}/${folder}/*.cpp")
    if(NOT found)
      message(FATAL_ERROR "${below}/${folder}: expected sources, found none")
    endif()
    list(APPEND sources ${found})
  endforeach()
  set(${result} ${sources} PARENT_SCOPE)
endfunction()

# ibot_library(name LINK [PUBLIC ...] [PRIVATE ...] ROOMS ...): the target ibot::name, of rooms of src/.
function(ibot_library name)
  cmake_parse_arguments(ARG "" "" "LINK;ROOMS" ${ARGN})
  set(target ibot_${name})
  ibot_sources(sources src FOLDERS ${ARG_ROOMS})
  add_library(${target} STATIC ${sources})
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

# ibot_embed(target namespace name=file ...): each file's text as the std::string_view namespace::name.
function(ibot_embed target namespace)
  set(code "#include <string_view>\n\nnamespace ${namespace} {\n")
  foreach(entry ${ARGN})
    string(REGEX MATCH "^([^=]+)=(.+)$" matched "${entry}")
    set(name "${CMAKE_MATCH_1}")
    set(file "${PROJECT_SOURCE_DIR}/${CMAKE_MATCH_2}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    file(READ "${file}" text)
    string(APPEND code "extern const std::string_view ${name};\n"
      "const std::string_view ${name} = R\"ibot(${text})ibot\";\n")
  endforeach()
  set(source "${CMAKE_BINARY_DIR}/embedded/${target}.cpp")
  file(WRITE "${source}.new" "${code}}  // namespace ${namespace}\n")
  file(COPY_FILE "${source}.new" "${source}" ONLY_IF_DIFFERENT)
  target_sources(${target} PRIVATE "${source}")
endfunction()

# ibot_apps_library(name LINK ... SOURCES ... | FOLDERS ...): ibot_apps_<name> from apps/, what programs share:
# sources by name, or those of folders that no earlier library has. Not installed.
function(ibot_apps_library name)
  cmake_parse_arguments(ARG "" "" "LINK;FOLDERS;SOURCES" ${ARGN})
  set(target ibot_apps_${name})
  ibot_sources(sources apps FOLDERS ${ARG_FOLDERS} SOURCES ${ARG_SOURCES})
  get_property(taken GLOBAL PROPERTY IBOT_APPS_SOURCES)
  list(REMOVE_ITEM sources ${taken})
  set_property(GLOBAL APPEND PROPERTY IBOT_APPS_SOURCES ${sources})
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}/apps")
  target_link_libraries(${target} ${ARG_LINK})
  ibot_settings(${target} PCH ibot_pch)
endfunction()

# ibot_program(name LINK ...): build/bin/name from apps/name/.
function(ibot_program name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  ibot_sources(sources apps FOLDERS ${name})
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/apps")
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  ibot_settings(${name} PCH ibot_pch)
  set_property(GLOBAL APPEND PROPERTY IBOT_PROGRAMS ${name})
endfunction()

# ibot_link_programs(): the target `programs`, all of them, with a link to each in IBOT_BIN: one place whatever the
# preset, of what was built last.
function(ibot_link_programs)
  get_property(programs GLOBAL PROPERTY IBOT_PROGRAMS)
  add_custom_target(programs ALL DEPENDS ${programs})
  if(IBOT_BIN)
    file(RELATIVE_PATH folder "${IBOT_BIN}" "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
    foreach(program IN LISTS programs)
      list(APPEND links COMMAND "${CMAKE_COMMAND}" -E create_symlink "${folder}/${program}" "${IBOT_BIN}/${program}")
    endforeach()
    file(MAKE_DIRECTORY "${IBOT_BIN}")
    add_custom_command(TARGET programs POST_BUILD ${links} VERBATIM)
  endif()
endfunction()

# ibot_tests(name LINK ... FOLDERS ... SOURCES ...): one binary of the GoogleTest files of folders of
# tests/, and of further sources. Suites whose
# name ends in Golden (values of tests/goldens) or Dense (of tests/goldens_dense) carry the label
# "golden" or "dense" instead of the binary's: discovery takes one label.
function(ibot_tests name)
  cmake_parse_arguments(ARG "" "" "LINK;FOLDERS;SOURCES" ${ARGN})
  ibot_sources(sources tests FOLDERS ${ARG_FOLDERS} SOURCES ${ARG_SOURCES})
  set(target ibot_${name}_tests)
  add_executable(${target} ${sources})
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
  ibot_settings(ibot_device_double PCH ibot_pch)
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
