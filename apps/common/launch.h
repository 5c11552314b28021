// Which of several processes of one job this is.
#pragma once

#include <cstdint>

namespace ibot::apps {

struct Launch {
  int64_t rank = 0;
  int64_t world = 1;
};

/// From the variables of torchrun (RANK, WORLD_SIZE), Slurm (SLURM_PROCID, SLURM_NTASKS) or Open
/// MPI (OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE), the first pair that is set; alone without any.
/// Throws RequestError where a pair makes no sense.
Launch launched_as();

}  // namespace ibot::apps
