#include "ibot-eval/features.h"

#include "common/run_main.h"
#include "ibot-eval/feature_files.h"
#include "ibot-eval/stage_progress.h"
#include "ibot-eval/task_identity.h"
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

FeatureBanks image_features(const TaskRequest& request, const std::string& task,
                            const FeatureNeeds& needs) {
  const auto check = [&](int64_t train, int64_t test, const std::filesystem::path& where) {
    IBOT_CHECK_AS(RequestError, train >= needs.train_images, where.string(), ": expected at least ",
                  needs.train_images, " training images, found ", train,
                  "; ask for fewer neighbours");
    IBOT_CHECK_AS(RequestError, test >= needs.test_images, where.string(), ": expected at least ",
                  needs.test_images, " test images, found ", test, "; ask for fewer clusters");
  };
  if (!request.load_features.empty()) {
    auto banks = read_features(request.load_features);
    check(banks.train.labels.size(0), banks.test.labels.size(0), request.load_features);
    banks.identity = loaded_identity(banks, task).summary();
    return banks;
  }
  const LabeledImages images(request.data, request.weights.config.dataset);
  check(images.train().size(), images.test().size(), request.data);
  FeatureBanks banks{bank_of(request, images, data::Split::kTrain),
                     bank_of(request, images, data::Split::kVal), images.classes(),
                     task_identity(request, images, task).summary()};
  if (!request.dump_features.empty()) write_features(request.dump_features, banks);
  return banks;
}

void share_features(const TaskRequest& request, Reads reads) {
  const LabeledImages images(request.data, request.weights.config.dataset);
  if (reads == Reads::kFeatures) bank_of(request, images, data::Split::kTrain);
  bank_of(request, images, data::Split::kVal);
}

}  // namespace ibot::apps
