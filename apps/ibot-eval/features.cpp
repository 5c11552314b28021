#include "ibot-eval/features.h"

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
  const auto& run = request.weights.config.run;
  const auto launch = dist::launch_of_process();
  return {.features = request.weights.config.features,
          .resize_size = run.eval.resize_size,
          .crop_size = run.eval.crop_size,
          .normalization = {run.augment.mean, run.augment.std},
          .decode = run.data.decode,
          .batch_size = run.eval.batch_size,
          .workers = run.data.workers,
          .prefetch_batches = run.data.prefetch_batches,
          .cache = request.cache,
          .rank = launch.rank,
          .processes = launch.world};
}

eval::FeatureBank bank_of(const TaskRequest& request, const LabeledImages& images,
                          data::Split split) {
  return bank_of(request, images.of(split), images.hash(split),
                 split == data::Split::kTrain ? "train" : "val");
}

eval::FeatureBank bank_of(const TaskRequest& request, const data::Dataset& images,
                          const std::string& hash, const std::string& name) {
  StageProgress progress;
  return evaluation::extract(subject_of(request), images, hash, name, extraction_options(request),
                             progress.listener());
}

void share_features(const TaskRequest& request, const evaluation::Reads& reads) {
  const LabeledImages images(request.data, request.weights.config.dataset);
  if (reads.train_features) bank_of(request, images, data::Split::kTrain);
  if (reads.test_features) bank_of(request, images, data::Split::kVal);
}

}  // namespace ibot::apps
