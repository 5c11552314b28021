#include "evaluation/oblong_images.h"

#include "ibot/base/error.h"
#include "ibot/models/architecture.h"

namespace ibot::evaluation {

void check_takes_oblong(const Subject& subject, const std::string& evaluation) {
  IBOT_CHECK_AS(ConfigError, !models::architecture_of(subject.options.arch).hierarchical,
                evaluation, ": expected a ViT, which takes images of any shape, got ",
                subject.options.arch);
}

}  // namespace ibot::evaluation
