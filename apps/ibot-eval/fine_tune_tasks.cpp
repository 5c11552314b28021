#include "ibot-eval/fine_tune.h"

namespace ibot::apps {

eval::Report run_finetune(const TaskRequest& request) {
  return fine_tune(request, "finetune", request.weights.config.finetune);
}

eval::Report run_semi(const TaskRequest& request) {
  return fine_tune(request, "semi", request.weights.config.semi);
}

eval::Report run_transfer(const TaskRequest& request) {
  return fine_tune(request, "transfer", request.weights.config.transfer);
}

}  // namespace ibot::apps
