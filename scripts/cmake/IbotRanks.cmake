# What ranks talk through: Gloo on CPUs, NCCL on GPUs. LibTorch contains both; their headers, which it
# leaves out or has in another wheel, decide whether a build can use them.

find_path(IBOT_GLOO_INCLUDE gloo/algorithm.h)
set(IBOT_RANK_DEFINITIONS)
set(IBOT_RANK_INCLUDES)
if(IBOT_GLOO_INCLUDE)
  list(APPEND IBOT_RANK_DEFINITIONS USE_C10D_GLOO)
  list(APPEND IBOT_RANK_INCLUDES "${IBOT_GLOO_INCLUDE}")
else()
  message(STATUS "Gloo's headers not found (libgloo-dev): CPU runs have one rank")
endif()
if(IBOT_CUDA)
  # The wheel's own first: the layout of NCCL's options, which LibTorch fills in, is its version's.
  find_path(IBOT_NCCL_INCLUDE nccl.h PATHS "${IBOT_TORCH_ROOT}/../nvidia/nccl/include" NO_DEFAULT_PATH)
  find_path(IBOT_NCCL_INCLUDE nccl.h)
  if(IBOT_NCCL_INCLUDE)
    list(APPEND IBOT_RANK_DEFINITIONS USE_C10D_NCCL)
    list(APPEND IBOT_RANK_INCLUDES "${IBOT_NCCL_INCLUDE}")
  else()
    message(STATUS "NCCL's header not found: GPU runs have one rank")
  endif()
endif()

# ibot_rank_backends(source): gives the one source that makes backends what it needs.
function(ibot_rank_backends source)
  set_source_files_properties("${PROJECT_SOURCE_DIR}/${source}" PROPERTIES
    COMPILE_DEFINITIONS "${IBOT_RANK_DEFINITIONS}" SKIP_PRECOMPILE_HEADERS ON)
  foreach(folder IN LISTS IBOT_RANK_INCLUDES)
    if(NOT folder STREQUAL "/usr/include")  # naming a system folder would reorder the others
      set_property(SOURCE "${PROJECT_SOURCE_DIR}/${source}" APPEND PROPERTY INCLUDE_DIRECTORIES "${folder}")
    endif()
  endforeach()
endfunction()
