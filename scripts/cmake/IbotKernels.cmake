# Sources of src/kernels that are compiled otherwise than their target.

# ibot_vector_loops(library avx2 avx512 avx512_bf16): code for each set of vector instructions; which of it
# runs is decided by the processor. Elsewhere than on x86-64 there are none, and LibTorch's operators
# serve.
function(ibot_vector_loops library avx2 avx512 avx512_bf16)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    return()
  endif()
  set(avx2_options -mavx2 -mfma -mf16c -DCPU_CAPABILITY=AVX2 -DCPU_CAPABILITY_AVX2)
  set(avx512_options -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c
      -DCPU_CAPABILITY=AVX512 -DCPU_CAPABILITY_AVX512)
  set(avx512_bf16_options ${avx512_options} -mavx512bf16)
  foreach(kind avx2 avx512 avx512_bf16)
    target_sources(ibot_${library} PRIVATE "${${kind}}")
    # gcc 12 warns of its own headers. Never without optimization, where a loop calls what it should inline.
    set_source_files_properties("${${kind}}" PROPERTIES SKIP_PRECOMPILE_HEADERS ON
      SKIP_UNITY_BUILD_INCLUSION ON
      COMPILE_OPTIONS "${${kind}_options};-O3;-Wno-uninitialized;-Wno-maybe-uninitialized")
  endforeach()
  set_source_files_properties(src/kernels/vector_loops.cpp src/kernels/row_products.cpp PROPERTIES
    COMPILE_DEFINITIONS IBOT_VECTOR_LOOPS SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# The architectures that CUDA sources are compiled for: TORCH_CUDA_ARCH_LIST, as PyTorch's own builds
# read it, such as "8.0;9.0"; else V100, A100 and H100, as far as the compiler knows them.
function(ibot_cuda_architectures out)
  set(list ${TORCH_CUDA_ARCH_LIST} $ENV{TORCH_CUDA_ARCH_LIST})
  if(NOT list)
    set(list 8.0 9.0)
    find_program(IBOT_NVCC nvcc PATHS "${CMAKE_CUDA_COMPILER}" "$ENV{CUDACXX}" /usr/local/cuda/bin)
    execute_process(COMMAND "${IBOT_NVCC}" --list-gpu-arch OUTPUT_VARIABLE known ERROR_QUIET)
    if(known MATCHES compute_70)
      list(PREPEND list 7.0)  # CUDA 13 compiles for no Volta
    endif()
  endif()
  string(REGEX MATCHALL "[0-9]+\\.[0-9]" list "${list}")
  list(REMOVE_DUPLICATES list)
  list(TRANSFORM list REPLACE "\\." "")
  set(${out} "${list}" PARENT_SCOPE)
endfunction()

if(IBOT_CUDA)
  ibot_cuda_architectures(CMAKE_CUDA_ARCHITECTURES)
  # The runtime is LibTorch's, which ibot_torch names.
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)
  enable_language(CUDA)
  list(JOIN CMAKE_CUDA_ARCHITECTURES ", sm_" architectures)
  message(STATUS "CUDA kernels for sm_${architectures}, nvcc ${CMAKE_CUDA_COMPILER_VERSION}")
endif()

# ibot_cuda_kernels(library sources...): own code for GPUs, or what stands for it without CUDA.
function(ibot_cuda_kernels library)
  set(target ibot_${library})
  if(NOT IBOT_CUDA)
    target_sources(${target} PRIVATE src/kernels/cuda/none.cpp)
    return()
  endif()
  # Without LibTorch's flags and headers, of which the sources need none.
  add_library(${target}_cuda OBJECT ${ARGN})
  set_target_properties(${target}_cuda PROPERTIES CUDA_STANDARD 17 POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${target}_cuda PRIVATE "${PROJECT_SOURCE_DIR}/src")
  # Fused multiply-add rounds otherwise than the CPU: which box remains would hang on it.
  set_source_files_properties(src/kernels/cuda/regions.cu PROPERTIES COMPILE_OPTIONS --fmad=false)
  set_source_files_properties(src/kernels/cuda/functions.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_sources(${target} PRIVATE src/kernels/cuda/functions.cpp $<TARGET_OBJECTS:${target}_cuda>)
endfunction()
