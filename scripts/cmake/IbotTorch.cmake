# LibTorch as the imported target ibot_torch.
#
# The wheel's own TorchConfig.cmake asks for a whole CUDA toolkit even where only the CPU libraries
# are used, so the target is made here from the folder that holds include/ and lib/:
# LIBTORCH (variable or environment), else what Torch_DIR points into, else a folder of
# CMAKE_PREFIX_PATH, else the project's .deps. Installed beside ibotConfig.cmake, which reads it too
# and sets IBOT_BUILT_TORCH and IBOT_BUILT_TORCH_VERSION: the last place to look, and the version that
# the libraries need. IBOT_TORCH_PROBLEM says in one line why there is no target.

set(IBOT_TORCH_HINT "set LIBTORCH to the folder of LibTorch that holds include/ and lib/")

function(ibot_find_torch_root out)
  set(named ${LIBTORCH} $ENV{LIBTORCH})
  set(candidates ${named})
  if(NOT named)
    set(candidates "${Torch_DIR}/../../.." "$ENV{Torch_DIR}/../../..")
    foreach(prefix IN LISTS CMAKE_PREFIX_PATH)
      # The second: what torch.utils.cmake_prefix_path gives.
      list(APPEND candidates "${prefix}" "${prefix}/../..")
    endforeach()
    list(APPEND candidates "${CMAKE_CURRENT_SOURCE_DIR}/.deps/python/torch" ${IBOT_BUILT_TORCH})
  endif()
  foreach(candidate IN LISTS candidates)
    if(EXISTS "${candidate}/include/torch/csrc/api/include/torch/version.h")
      get_filename_component(root "${candidate}" REALPATH)
      set(${out} "${root}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${out} "" PARENT_SCOPE)
  list(JOIN named " and " named)
  if(named)
    set(problem "LibTorch: expected it in LIBTORCH, found none in ${named}; ${IBOT_TORCH_HINT}")
  elseif(IBOT_BUILT_TORCH)
    set(problem "LibTorch: expected ${IBOT_BUILT_TORCH_VERSION} in ${IBOT_BUILT_TORCH}, where ibot was built with it, found none; ${IBOT_TORCH_HINT}")
  else()
    set(problem "LibTorch: expected it in LIBTORCH, Torch_DIR, CMAKE_PREFIX_PATH or .deps, found none; ${IBOT_TORCH_HINT}, or run scripts/bootstrap.sh")
  endif()
  set(IBOT_TORCH_PROBLEM "${problem}" PARENT_SCOPE)
endfunction()

set(IBOT_TORCH_PROBLEM "")
ibot_find_torch_root(IBOT_TORCH_ROOT)
if(IBOT_TORCH_PROBLEM)
  return()
endif()
# The version's macros moved from the first header to the second after 2.7.
set(IBOT_TORCH_VERSION 0.0)
foreach(header csrc/api/include/torch/version.h headeronly/version.h)
  set(header "${IBOT_TORCH_ROOT}/include/torch/${header}")
  if(EXISTS "${header}")
    file(STRINGS "${header}" lines REGEX "define TORCH_VERSION_(MAJOR|MINOR)")
    if(lines MATCHES "MAJOR ([0-9]+).*MINOR ([0-9]+)")
      set(IBOT_TORCH_VERSION "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}")
    endif()
  endif()
endforeach()
if(IBOT_TORCH_VERSION VERSION_LESS 2.7)
  set(IBOT_TORCH_PROBLEM "LibTorch in ${IBOT_TORCH_ROOT}: expected 2.7 or later, found ${IBOT_TORCH_VERSION}; earlier wheels use the old C++ ABI")
elseif(IBOT_BUILT_TORCH AND NOT IBOT_TORCH_VERSION VERSION_EQUAL IBOT_BUILT_TORCH_VERSION)
  set(IBOT_TORCH_PROBLEM "LibTorch in ${IBOT_TORCH_ROOT}: expected ${IBOT_BUILT_TORCH_VERSION}, with which ibot was built, found ${IBOT_TORCH_VERSION}; ${IBOT_TORCH_HINT}")
endif()
if(IBOT_TORCH_PROBLEM)
  return()
endif()

add_library(ibot_torch INTERFACE)
target_compile_features(ibot_torch INTERFACE cxx_std_20)
target_include_directories(ibot_torch SYSTEM INTERFACE
  $<BUILD_INTERFACE:${IBOT_TORCH_ROOT}/include> $<BUILD_INTERFACE:${IBOT_TORCH_ROOT}/include/torch/csrc/api/include>)
target_link_directories(ibot_torch INTERFACE $<BUILD_INTERFACE:${IBOT_TORCH_ROOT}/lib>)
set(IBOT_TORCH_LIBRARIES torch_cpu c10)
if(IBOT_CUDA)
  # c10's CUDA headers include those of the runtime and of some of its libraries. The wheel brings them: in one
  # folder since CUDA 13, in one each before.
  file(GLOB IBOT_CUDA_INCLUDES "${IBOT_TORCH_ROOT}/../nvidia/cu13/include"
       "${IBOT_TORCH_ROOT}/../nvidia/cu[bs]*/include" "${IBOT_TORCH_ROOT}/../nvidia/cuda_runtime/include")
  find_path(IBOT_CUDA_RUNTIME_INCLUDE cuda_runtime_api.h PATHS ${IBOT_CUDA_INCLUDES} NO_DEFAULT_PATH)
  if(NOT IBOT_CUDA_RUNTIME_INCLUDE)
    find_package(CUDAToolkit REQUIRED)
    set(IBOT_CUDA_INCLUDES ${CUDAToolkit_INCLUDE_DIRS})
  endif()
  target_include_directories(ibot_torch SYSTEM INTERFACE "$<BUILD_INTERFACE:${IBOT_CUDA_INCLUDES}>")
  # Nothing calls into torch_cuda directly: it registers its kernels when it is loaded.
  target_compile_definitions(ibot_torch INTERFACE IBOT_WITH_CUDA)
  list(APPEND IBOT_TORCH_LIBRARIES -Wl,--no-as-needed torch_cuda c10_cuda -Wl,--as-needed)
  # The runtime that LibTorch brings, not one beside it: own kernels are launched through it.
  file(GLOB IBOT_CUDA_RUNTIME "${IBOT_TORCH_ROOT}/../nvidia/cu13/lib/libcudart.so.*"
       "${IBOT_TORCH_ROOT}/../nvidia/cuda_runtime/lib/libcudart.so.*" "${IBOT_TORCH_ROOT}/lib/libcudart*.so*")
  if(NOT IBOT_CUDA_RUNTIME)
    find_package(CUDAToolkit REQUIRED)
    set(IBOT_CUDA_RUNTIME CUDA::cudart)
  endif()
  list(GET IBOT_CUDA_RUNTIME 0 IBOT_CUDA_RUNTIME)
  list(APPEND IBOT_TORCH_LIBRARIES "${IBOT_CUDA_RUNTIME}")
endif()
target_link_libraries(ibot_torch INTERFACE $<BUILD_INTERFACE:${IBOT_TORCH_LIBRARIES}>)
list(APPEND CMAKE_BUILD_RPATH "${IBOT_TORCH_ROOT}/lib")
message(STATUS "LibTorch ${IBOT_TORCH_VERSION} in ${IBOT_TORCH_ROOT}")
