#include "ibot/evaluation/extraction.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "ibot/base/option_text.h"
#include "ibot/eval/feature_store.h"
#include "ibot/loading/labeled_loader.h"
#include "ibot/models/network.h"

namespace ibot::evaluation {
namespace {

// Goes up when the same inputs give other features.
constexpr int64_t kVersion = 3;

// Samples of one part: what an interrupted extraction loses at most.
constexpr int64_t kPart = 8192;

/// Computes or reads the features of one set of images, part by part.
class Extraction {
 public:
  Extraction(const Subject& subject, const data::Dataset& images, const std::string& hash,
             const std::string& name, const ExtractionOptions& options, const Listener& listener)
      : subject_(subject), images_(images), options_(options), listener_(listener) {
    stage_ = {.label = name, .unit = "images", .total = images.size()};
    if (!options.cache.empty()) {
      store_.emplace(options.cache, feature_identity(subject, hash, options).text());
    }
  }

  eval::FeatureBank run() {
    tell(0);
    const int64_t parts = (images_.size() + kPart - 1) / kPart;
    for (int64_t first = 0; first < options_.processes; ++first) {
      const int64_t owner = (options_.rank + first) % options_.processes;
      for (int64_t part = owner; part < parts; part += options_.processes) take(part * kPart);
    }
    stage_.finished = true;
    tell(0);
    return std::move(bank_);
  }

 private:
  /// `images` more than the parts that are done.
  void tell(int64_t images) {
    auto stage = stage_;
    stage.done += images;
    listener_.progress(stage);
  }

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
    stage_.done += count;
    tell(0);
  }

  eval::FeatureBank compute(int64_t begin, int64_t count) {
    data::LabeledLoader loader(images_, {.transform = {.resize_size = options_.resize_size,
                                                       .crop_size = options_.crop_size},
                                         .decode = options_.decode,
                                         .batch_size = options_.batch_size,
                                         .workers = options_.workers,
                                         .prefetch_batches = options_.prefetch_batches,
                                         .begin = begin,
                                         .end = begin + count,
                                         .pin_memory = subject_.device.is_cuda()});
    const auto show = [&](int64_t images) { tell(images); };
    if (subject_.backbone == nullptr) {
      const auto pixels = [](const torch::Tensor& images) { return images.flatten(1); };
      return eval::collect_features(pixels, loader, options_.normalization, subject_.device, show);
    }
    return eval::extract_features(*subject_.backbone, loader, options_.features,
                                  options_.normalization, subject_.device, show);
  }

  const Subject& subject_;
  const data::Dataset& images_;
  const ExtractionOptions& options_;
  const Listener& listener_;
  Stage stage_;
  std::optional<eval::FeatureStore> store_;
  eval::FeatureBank bank_;
};

}  // namespace

Subject subject_of(const models::BackboneOptions& options,
                   std::shared_ptr<models::Backbone> backbone, torch::Device device) {
  auto hash = tensors_hash(models::named_state(*backbone));
  return {.options = options,
          .backbone = std::move(backbone),
          .device = device,
          .hash = std::move(hash)};
}

std::map<std::string, std::string> feature_keys(const Subject& subject,
                                                const ExtractionOptions& options) {
  std::map<std::string, std::string> keys{{"augment.mean", option_text(options.normalization.mean)},
                                          {"augment.std", option_text(options.normalization.std)},
                                          {"eval.crop_size", option_text(options.crop_size)},
                                          {"eval.resize_size", option_text(options.resize_size)}};
  keys.merge(result_texts("backbone", subject.options));
  keys.merge(result_texts("data", options.decode));
  keys.merge(result_texts("features", options.features));
  return keys;
}

Identity feature_identity(const Subject& subject, const std::string& images_hash,
                          const ExtractionOptions& options) {
  Identity identity("features", kVersion);
  identity.add_hash("weights", subject.hash);
  identity.add_images(images_hash);
  identity.add_keys(feature_keys(subject, options));
  return identity;
}

eval::FeatureBank extract(const Subject& subject, const data::Dataset& images,
                          const std::string& hash, const std::string& name,
                          const ExtractionOptions& options, const Listener& listener) {
  return Extraction(subject, images, hash, name, options, listener).run();
}

}  // namespace ibot::evaluation
