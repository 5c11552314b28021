# Tests of the repository as a whole: its layers and its installed package.

find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME layers COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/scripts/check_layers.py")
  add_test(NAME scripts
    COMMAND Python3::Interpreter -m unittest discover -s "${PROJECT_SOURCE_DIR}/tests/scripts" -p "*_test.py")
  set_tests_properties(scripts PROPERTIES LABELS scripts)
  if(IBOT_BUILD_APPS)
    set_tests_properties(scripts PROPERTIES ENVIRONMENT "IBOT_PROGRAMS=${CMAKE_BINARY_DIR}/bin")
  endif()
endif()

# The CUDA sources of a build without CUDA.
find_program(IBOT_CHECK_NVCC nvcc PATHS /usr/local/cuda/bin)
if(IBOT_CHECK_NVCC AND NOT IBOT_CUDA)
  add_test(NAME cuda_sources COMMAND "${PROJECT_SOURCE_DIR}/scripts/check_cuda.sh")
  set_tests_properties(cuda_sources PROPERTIES LABELS cuda TIMEOUT 600)
endif()

find_program(IBOT_DOXYGEN doxygen)
if(IBOT_DOXYGEN)
  add_test(NAME reference COMMAND bash "${PROJECT_SOURCE_DIR}/scripts/docs.sh" "${CMAKE_BINARY_DIR}/docs")
  set_tests_properties(reference PROPERTIES LABELS scripts)
endif()

add_test(NAME package COMMAND "${CMAKE_COMMAND}"
  -D SOURCE_DIR=${PROJECT_SOURCE_DIR} -D BUILD_DIR=${CMAKE_BINARY_DIR} -D BUILD_TYPE=${CMAKE_BUILD_TYPE}
  -D GENERATOR=${CMAKE_GENERATOR} -D COMPILER=${CMAKE_CXX_COMPILER} -D LIBTORCH=${IBOT_TORCH_ROOT}
  -P "${PROJECT_SOURCE_DIR}/tests/consumer/run.cmake")
# Without the variables that may have named LibTorch to this build: the package finds it by itself.
set_tests_properties(package PROPERTIES LABELS package TIMEOUT 600
  ENVIRONMENT_MODIFICATION "LIBTORCH=unset:;Torch_DIR=unset:")
if(IBOT_BUILD_APPS)
  add_test(NAME archive COMMAND bash "${PROJECT_SOURCE_DIR}/tests/package/run.sh" "${CMAKE_BINARY_DIR}" "${IBOT_TORCH_ROOT}")
  set_tests_properties(archive PROPERTIES LABELS package TIMEOUT 300 SKIP_RETURN_CODE 77
    ENVIRONMENT_MODIFICATION "LIBTORCH=unset:")
endif()
