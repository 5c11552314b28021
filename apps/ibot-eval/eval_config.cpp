#include "ibot-eval/eval_config.h"

namespace ibot::config {

template Sections sections_of(apps::EvalConfig& config);
template void validate_sections(apps::EvalConfig config);

}  // namespace ibot::config
