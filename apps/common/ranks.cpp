#include "common/ranks.h"

#include "common/logging.h"
#include "common/signals.h"
#include "ibot/dist/rendezvous.h"

namespace ibot::apps {

dist::Group join_ranks(torch::Device device, const train::TrainOptions& timeouts) {
  return dist::connect(dist::launch_of_process(),
                       {.device = device,
                        .rank_timeout = std::chrono::seconds(timeouts.rank_timeout_s),
                        .stall_timeout = std::chrono::seconds(timeouts.stall_timeout_s),
                        .on_wait = log_warning,
                        .leaving = stop_requested});
}

}  // namespace ibot::apps
