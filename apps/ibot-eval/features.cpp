#include "ibot-eval/features.h"

#include <algorithm>

#include "common/progress.h"
#include "common/run_main.h"
#include "ibot-eval/feature_files.h"
#include "ibot-eval/task_identity.h"
#include "ibot/data/labeled_loader.h"
#include "ibot/dist/rendezvous.h"
#include "ibot/eval/feature_store.h"

namespace ibot::apps {
namespace {

// Samples of one part: what an interrupted extraction loses at most.
constexpr int64_t kPart = 8192;

/// Computes or reads the features of one set of images, part by part.
class Extraction {
 public:
  Extraction(const TaskRequest& request, const data::Dataset& images, const std::string& hash,
             const std::string& name)
      : request_(request),
        images_(images),
        progress_({.label = name, .unit = "images", .total = images.size(), .item = "images"}) {
    if (!request.cache.empty()) {
      store_.emplace(request.cache, feature_identity(request, hash).text());
    }
  }

  /// Its own parts first, then what others have not finished: a process that died is not waited
  /// for.
  eval::FeatureBank run() {
    const auto launch = dist::launch_of_process();
    const int64_t parts = (images_.size() + kPart - 1) / kPart;
    for (int64_t first = 0; first < launch.world; ++first) {
      const int64_t owner = (launch.rank + first) % launch.world;
      for (int64_t part = owner; part < parts; part += launch.world) take(part * kPart);
    }
    progress_.finish();
    return std::move(bank_);
  }

 private:
  void take(int64_t begin) {
    const int64_t count = std::min(kPart, images_.size() - begin);
    auto part = store_ ? store_->read(begin, count) : std::nullopt;
    if (!part) {
      part = compute(begin, count);
      if (store_) store_->write(begin, *part);
    }
    if (!bank_.features.defined()) {
      bank_.features = torch::empty({images_.size(), part->features.size(1)});
      bank_.labels = torch::empty({images_.size()}, torch::kLong);
      bank_.sample_id = torch::empty({images_.size()}, torch::kLong);
    }
    bank_.features.narrow(0, begin, count).copy_(part->features);
    bank_.labels.narrow(0, begin, count).copy_(part->labels);
    bank_.sample_id.narrow(0, begin, count).copy_(part->sample_id);
    done_ += count;
    progress_.update(done_);
  }

  eval::FeatureBank compute(int64_t begin, int64_t count) {
    const auto& config = request_.weights.config;
    const auto& run = config.run;
    data::LabeledLoader loader(images_, {.transform = {.resize_size = run.eval.resize_size,
                                                       .crop_size = run.eval.crop_size},
                                         .decode = run.data.decode,
                                         .batch_size = run.eval.batch_size,
                                         .workers = run.data.workers,
                                         .prefetch_batches = run.data.prefetch_batches,
                                         .begin = begin,
                                         .end = begin + count,
                                         .pin_memory = request_.device.is_cuda()});
    const batch::Normalization normalization{run.augment.mean, run.augment.std};
    const auto show = [&](int64_t images) { progress_.update(done_ + images); };
    if (request_.weights.backbone == nullptr) {
      const auto pixels = [](const torch::Tensor& images) { return images.flatten(1); };
      return eval::collect_features(pixels, loader, normalization, request_.device, show);
    }
    return eval::extract_features(*request_.weights.backbone, loader, config.features,
                                  normalization, request_.device, show);
  }

  const TaskRequest& request_;
  const data::Dataset& images_;
  Progress progress_;
  std::optional<eval::FeatureStore> store_;
  eval::FeatureBank bank_;
  int64_t done_ = 0;
};

}  // namespace

eval::FeatureBank bank_of(const TaskRequest& request, const LabeledImages& images,
                          data::Split split) {
  return bank_of(request, images.of(split), images.hash(split),
                 split == data::Split::kTrain ? "train" : "val");
}

eval::FeatureBank bank_of(const TaskRequest& request, const data::Dataset& images,
                          const std::string& hash, const std::string& name) {
  return Extraction(request, images, hash, name).run();
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
