#include "ibot/evaluation/extraction.h"

#include <torch/utils.h>

#include <functional>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "evaluation/feature_parts.h"
#include "ibot/base/error.h"
#include "ibot/base/option_text.h"
#include "ibot/eval/evaluation_mode.h"
#include "ibot/loading/labeled_loader.h"
#include "ibot/models/network.h"

namespace ibot::evaluation {
namespace {

// Goes up when the same inputs give other features.
constexpr int64_t kFeaturesVersion = 3;

/// How extraction hears of images that do not decode; none: they end it.
std::function<void(const data::DamagedFile&)> told_of(const ExtractionOptions& options,
                                                      const Listener& listener,
                                                      std::vector<int64_t>& unreadable) {
  if (!options.leaves_out_unreadable) return nullptr;
  return [&](const data::DamagedFile& file) {
    unreadable.push_back(file.sample);
    listener.warning(concat(file.path, ": ", file.reason, "; left out"));
  };
}

/// Where an extraction computes and whom it tells.
struct Place {
  torch::Device device;
  const Listener& listener;
};

eval::FeatureBank compute(const Embedder& embedder, const data::Dataset& images, int64_t begin,
                          int64_t count, const ExtractionOptions& options, const Place& place,
                          const eval::FeatureProgress& progress) {
  std::vector<int64_t> unreadable;
  data::LabeledLoader loader(images, {.transform = {.resize_size = options.resize_size,
                                                    .crop_size = options.crop_size,
                                                    .filter = options.filter},
                                      .decode = options.decode,
                                      .begin = begin,
                                      .end = begin + count,
                                      .on_unreadable = told_of(options, place.listener, unreadable),
                                      .batch_size = options.batch_size,
                                      .workers = options.workers,
                                      .prefetch_batches = options.prefetch_batches,
                                      .pin_memory = place.device.is_cuda()});
  int64_t first = begin;
  // Samples arrive in order; what was unreadable is not counted here.
  const auto embed = [&](const torch::Tensor& pixels) {
    const auto rows = embedder.embed(pixels, first);
    first += pixels.size(0);
    return rows;
  };
  auto part = eval::collect_features(embed, loader, place.device, progress);
  if (!unreadable.empty()) part.unreadable = torch::tensor(unreadable, torch::kLong);
  return part;
}

/// Puts each row of the part at the place of its sample among `images`.
void store_part(eval::FeatureBank& bank, int64_t images, const eval::FeatureBank& part,
                std::vector<torch::Tensor>& unreadable) {
  if (part.unreadable.defined()) unreadable.push_back(part.unreadable);
  if (part.features.size(0) == 0) return;
  if (!bank.features.defined()) {
    bank.features = torch::empty({images, part.features.size(1)});
    bank.labels = torch::empty({images}, torch::kLong);
    bank.sample_id = torch::empty({images}, torch::kLong);
  }
  bank.features.index_copy_(0, part.sample_id, part.features);
  bank.labels.index_copy_(0, part.sample_id, part.labels);
  bank.sample_id.index_copy_(0, part.sample_id, part.sample_id);
}

/// The bank without the rows of samples that were left out.
eval::FeatureBank without(const eval::FeatureBank& bank, torch::Tensor unreadable, int64_t images) {
  IBOT_CHECK_AS(DataError, bank.features.defined(),
                "features: expected at least one readable image, found none of ", images);
  // Parts of several processes arrive in any order.
  unreadable = std::get<0>(unreadable.sort());
  const auto kept = torch::ones({images}, torch::kBool).index_fill_(0, unreadable, false);
  const auto rows = kept.nonzero().squeeze(1);  // [S]
  return {bank.features.index_select(0, rows), bank.labels.index_select(0, rows),
          bank.sample_id.index_select(0, rows), bank.name, std::move(unreadable)};
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
  // Whatever changes a value of a feature is a key: cached features are found by all of them.
  keys.merge(result_texts("backbone", subject.options));
  keys.merge(result_texts("data", options.decode));
  keys.merge(result_texts("features", options.features));
  // Absent where they have no part, so that features of before they were keys stay the same.
  if (options.features.patches == 0) keys.erase("features.patches");
  if (options.filter != data::Filter::kBicubic) keys["eval.filter"] = enum_name(options.filter);
  return keys;
}

Identity feature_identity(const Subject& subject, const std::string& images_hash,
                          const ExtractionOptions& options) {
  Identity identity("features", kFeaturesVersion);
  identity.add_hash("weights", subject.hash);
  identity.add_images(images_hash);
  identity.add_keys(feature_keys(subject, options));
  return identity;
}

eval::FeatureBank extract(const Subject& subject, const data::Dataset& images,
                          const std::string& hash, const std::string& name,
                          const ExtractionOptions& options, const Listener& listener) {
  std::optional<eval::EvaluationMode> evaluation_mode;
  if (subject.backbone != nullptr) evaluation_mode.emplace(*subject.backbone);
  const auto embed = [&](const torch::Tensor& pixels, int64_t /*first*/) {
    const auto normalized = batch::normalized(pixels, options.normalization);
    return subject.backbone == nullptr
               ? normalized.flatten(1)
               : eval::image_features(*subject.backbone, normalized, options.features);
  };
  return extract({embed, feature_identity(subject, hash, options)}, images, name, options,
                 subject.device, listener);
}

eval::FeatureBank extract(const Embedder& embedder, const data::Dataset& images,
                          const std::string& name, const ExtractionOptions& options,
                          torch::Device device, const Listener& listener) {
  eval::FeatureBank bank;
  std::vector<torch::Tensor> unreadable;
  FeatureParts parts(images.size(), embedder.part, name, embedder.identity.text(), options,
                     listener);
  parts.run(
      [&](int64_t begin, int64_t count, const eval::FeatureProgress& progress) {
        return compute(embedder, images, begin, count, options, {device, listener}, progress);
      },
      [&](int64_t /*begin*/, const eval::FeatureBank& part) {
        store_part(bank, images.size(), part, unreadable);
      });
  return unreadable.empty() ? bank : without(bank, torch::cat(unreadable), images.size());
}

}  // namespace ibot::evaluation
