#include "common/identity.h"

#include "common/run_main.h"

namespace ibot::apps {

void check_identity(const Identity& identity, const std::string& kept, const std::string& file) {
  const auto differing = kept.empty()
                             ? "weights, images and keys that an earlier version did not record"
                             : identity.differences(kept);
  IBOT_CHECK_AS(RequestError, differing.empty(), file, ": begun with other inputs: ", differing,
                "; choose another --output or remove it");
}

}  // namespace ibot::apps
