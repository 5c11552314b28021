#include "ibot-eval/features.h"

#include "common/extraction_of_config.h"
#include "ibot-eval/stage_progress.h"
#include "ibot/dist/rendezvous.h"

namespace ibot::apps {

evaluation::Subject subject_of(const TaskRequest& request) {
  const auto& weights = request.weights;
  return {.options = weights.config.run.backbone,
          .backbone = weights.backbone,
          .device = request.device,
          .hash = weights.backbone_hash,
          .head_hash = weights.head_hash};
}

evaluation::ExtractionOptions extraction_options(const TaskRequest& request) {
  const auto launch = dist::launch_of_process();
  auto options = extraction_options(request.weights.config.run, request.weights.config.features);
  options.cache = request.cache;
  options.rank = launch.rank;
  options.processes = launch.world;
  return options;
}

eval::FeatureBank bank_of(const TaskRequest& request, const LabeledImages& images,
                          data::Split split) {
  return bank_of(request, images.of(split), images.hash(split),
                 split == data::Split::kTrain ? "train" : "val");
}

eval::FeatureBank bank_of(const TaskRequest& request, const data::Dataset& images,
                          const std::string& hash, const std::string& name) {
  StageProgress progress;
  const bool shows = request.group.rank() == 0;
  return evaluation::extract(subject_of(request), images, hash, name, extraction_options(request),
                             shows ? progress.listener() : evaluation::Listener());
}

void share_features(const TaskRequest& request, const evaluation::Reads& reads) {
  const auto& config = request.weights.config;
  const LabeledImages images(request.data, config.dataset, config.run.data);
  const bool dumps = !request.dump_features.empty();  // of both halves
  if (reads.train_features || dumps) bank_of(request, images, data::Split::kTrain);
  if (reads.test_features) bank_of(request, images, data::Split::kVal);
}

}  // namespace ibot::apps
