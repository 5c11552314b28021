#define IBOT_LOOPS_NAME avx512_loops
#include "kernels/vector_loops_body.h"
