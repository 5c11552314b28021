#include "ibot/evaluation/extraction.h"

#include <utility>

#include "evaluation/feature_parts.h"
#include "ibot/base/option_text.h"
#include "ibot/loading/labeled_loader.h"
#include "ibot/models/network.h"

namespace ibot::evaluation {
namespace {

// Goes up when the same inputs give other features.
constexpr int64_t kVersion = 3;

// Samples of one part: what an interrupted extraction loses at most.
constexpr int64_t kPart = 8192;

eval::FeatureBank compute(const Subject& subject, const data::Dataset& images, int64_t begin,
                          int64_t count, const ExtractionOptions& options,
                          const eval::FeatureProgress& progress) {
  data::LabeledLoader loader(
      images, {.transform = {.resize_size = options.resize_size, .crop_size = options.crop_size},
               .decode = options.decode,
               .batch_size = options.batch_size,
               .workers = options.workers,
               .prefetch_batches = options.prefetch_batches,
               .begin = begin,
               .end = begin + count,
               .pin_memory = subject.device.is_cuda()});
  if (subject.backbone == nullptr) {
    const auto pixels = [](const torch::Tensor& crops) { return crops.flatten(1); };
    return eval::collect_features(pixels, loader, options.normalization, subject.device, progress);
  }
  return eval::extract_features(*subject.backbone, loader, options.features, options.normalization,
                                subject.device, progress);
}

/// Puts the part at its place among `images` samples.
void store_part(eval::FeatureBank& bank, int64_t images, int64_t begin,
                const eval::FeatureBank& part) {
  if (!bank.features.defined()) {
    bank.features = torch::empty({images, part.features.size(1)});
    bank.labels = torch::empty({images}, torch::kLong);
    bank.sample_id = torch::empty({images}, torch::kLong);
  }
  const int64_t count = part.features.size(0);
  bank.features.narrow(0, begin, count).copy_(part.features);
  bank.labels.narrow(0, begin, count).copy_(part.labels);
  bank.sample_id.narrow(0, begin, count).copy_(part.sample_id);
}

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
  eval::FeatureBank bank;
  FeatureParts parts(images.size(), kPart, name, feature_identity(subject, hash, options).text(),
                     options, listener);
  parts.run(
      [&](int64_t begin, int64_t count, const eval::FeatureProgress& progress) {
        return compute(subject, images, begin, count, options, progress);
      },
      [&](int64_t begin, const eval::FeatureBank& part) {
        store_part(bank, images.size(), begin, part);
      });
  return bank;
}

}  // namespace ibot::evaluation
