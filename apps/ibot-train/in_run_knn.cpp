#include "ibot-train/in_run_knn.h"

#include <algorithm>

#include "common/run_main.h"
#include "ibot/data/labeled_loader.h"
#include "ibot/eval/knn.h"

namespace ibot::apps {
namespace {

// 1 compared classes by their places instead of their names.
constexpr int64_t kVersion = 2;

Identity identity_of(const config::RunConfig& config, const LabeledImages& images) {
  Identity identity("knn of a run", kVersion);
  identity.add_images(images);
  identity.add_keys(result_values(config), {"eval.", "augment.mean", "augment.std", "data."});
  return identity;
}

}  // namespace

InRunKnn::InRunKnn(const config::RunConfig& config)
    : config_(config), images_(config.eval.path, {}), identity_(identity_of(config, images_)) {
  const auto images = images_.train().size();
  config_.eval.k = eval::numbers_of_neighbours(config.eval.k, images);
  const auto largest = *std::max_element(config_.eval.k.begin(), config_.eval.k.end());
  IBOT_CHECK_AS(ConfigError, largest <= images, "eval.k: expected at most the ", images,
                " training images, got ", largest);
}

eval::FeatureBank InRunKnn::bank_of(models::Backbone& backbone, torch::Device device,
                                    data::Split split, const std::function<void()>& glance) const {
  const auto& eval = config_.eval;
  data::LabeledLoader loader(images_.of(split), {.transform = {.resize_size = eval.resize_size,
                                                               .crop_size = eval.crop_size},
                                                 .decode = config_.data.decode,
                                                 .batch_size = eval.batch_size,
                                                 .workers = config_.data.workers});
  return eval::extract_features(backbone, loader, eval::resolved({}, false, config_.backbone.arch),
                                {config_.augment.mean, config_.augment.std}, device,
                                [&](int64_t) { glance(); });
}

std::optional<train::EvaluationRecord> InRunKnn::evaluate(
    models::Backbone& backbone, torch::Device device, int64_t epoch,
    const std::function<void()>& glance) const {
  if ((epoch + 1) % config_.eval.every_epochs != 0 && epoch + 1 != config_.train.epochs) {
    return std::nullopt;
  }
  const auto train = bank_of(backbone, device, data::Split::kTrain, glance);
  auto test = bank_of(backbone, device, data::Split::kVal, glance);
  test.features = test.features.to(device);
  const auto accuracies = eval::classify_knn(
      train, test, {.k = config_.eval.k, .temperature = config_.eval.temperature});
  double best = 0.0;
  for (const auto& accuracy : accuracies) best = std::max(best, accuracy.top1);
  return train::EvaluationRecord{.step = 0,
                                 .epoch = epoch,
                                 .name = "knn",
                                 .metrics = eval::knn_metrics(accuracies),
                                 .score = best,
                                 .identity = identity_.text()};
}

}  // namespace ibot::apps
