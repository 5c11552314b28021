# Sources of src/kernels that are compiled otherwise than their target.

# ibot_vector_loops(library avx2 avx512): the loops for each set of vector instructions; which of them
# runs is decided by the processor. Elsewhere than on x86-64 there are none, and LibTorch's operators
# serve.
function(ibot_vector_loops library avx2 avx512)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    return()
  endif()
  set(avx2_options -mavx2 -mfma -mf16c -DCPU_CAPABILITY=AVX2 -DCPU_CAPABILITY_AVX2)
  set(avx512_options -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c
      -DCPU_CAPABILITY=AVX512 -DCPU_CAPABILITY_AVX512)
  foreach(kind avx2 avx512)
    target_sources(ibot_${library} PRIVATE "${${kind}}")
    # gcc 12 warns of its own headers. Never without optimization, where a loop calls what it should inline.
    set_source_files_properties("${${kind}}" PROPERTIES SKIP_PRECOMPILE_HEADERS ON
      SKIP_UNITY_BUILD_INCLUSION ON
      COMPILE_OPTIONS "${${kind}_options};-O3;-Wno-uninitialized;-Wno-maybe-uninitialized")
  endforeach()
  set_source_files_properties(src/kernels/vector_loops.cpp PROPERTIES
    COMPILE_DEFINITIONS IBOT_VECTOR_LOOPS SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# ibot_cuda_kernels(library): own code for GPUs, or what stands for it without CUDA.
function(ibot_cuda_kernels library)
  target_sources(ibot_${library} PRIVATE src/kernels/cuda/none.cpp)
endfunction()
