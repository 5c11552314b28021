#define IBOT_LOOPS_NAME avx2_loops
#include "kernels/vector_loops_body.h"
