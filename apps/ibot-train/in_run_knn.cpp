#include "ibot-train/in_run_knn.h"

#include <algorithm>

#include "ibot/data/labeled_loader.h"
#include "ibot/data/open_dataset.h"
#include "ibot/eval/features.h"
#include "ibot/eval/knn.h"

namespace ibot::apps {

InRunKnn::InRunKnn(const eval::InRunOptions& options, int64_t epochs, int64_t workers,
                   const batch::Normalization& normalization)
    : options_(options),
      epochs_(epochs),
      workers_(workers),
      normalization_(normalization),
      train_(data::open_images(options.path + "/train")),
      test_(data::open_images(options.path + "/val")) {
  options_.k = eval::numbers_of_neighbours(options.k, train_->size());
  const auto largest = *std::max_element(options_.k.begin(), options_.k.end());
  IBOT_CHECK_AS(ConfigError, largest <= train_->size(), "eval.k: expected at most the ",
                train_->size(), " training images, got ", largest);
}

std::optional<train::EvaluationRecord> InRunKnn::evaluate(
    models::Backbone& backbone, torch::Device device, int64_t epoch,
    const std::function<void()>& glance) const {
  if ((epoch + 1) % options_.every_epochs != 0 && epoch + 1 != epochs_) return std::nullopt;
  const auto bank = [&](const data::Dataset& images) {
    data::LabeledLoaderOptions loading;
    loading.transform.resize_size = options_.resize_size;
    loading.transform.crop_size = options_.crop_size;
    loading.batch_size = options_.batch_size;
    loading.workers = workers_;
    data::LabeledLoader loader(images, loading);
    return eval::extract_features(backbone, loader, eval::resolved({}, false, {}), normalization_,
                                  device, [&](int64_t) { glance(); });
  };
  const eval::KnnOptions knn{.k = options_.k, .temperature = options_.temperature};
  const auto train = bank(*train_);
  auto test = bank(*test_);
  test.features = test.features.to(device);
  const auto accuracies = eval::classify_knn(train, test, knn);
  double best = 0.0;
  for (const auto& accuracy : accuracies) best = std::max(best, accuracy.top1);
  return train::EvaluationRecord{.step = 0,
                                 .epoch = epoch,
                                 .name = "knn",
                                 .metrics = eval::knn_metrics(accuracies),
                                 .score = best};
}

}  // namespace ibot::apps
