#include "ibot-eval/task_identity.h"

namespace ibot::apps {
namespace {

/// Of every method here; one whose results change for the same inputs has its own from then on.
constexpr int64_t kVersion = 1;

/// Keys that decide frozen features; how images are read among them.
const std::vector<std::string> kFeatureKeys{"features.",   "backbone.",      "augment.mean",
                                            "augment.std", "eval.crop_size", "eval.resize_size",
                                            "data."};

std::string bank_hash(const eval::FeatureBank& bank) {
  return tensors_hash({{"features", bank.features}, {"labels", bank.labels}});
}

void add_keys(Identity& identity, const EvalConfig& config,
              const std::vector<std::string>& wanted) {
  identity.add_keys(result_values(config), wanted, result_values(EvalConfig()));
}

}  // namespace

Identity loaded_identity(const FeatureBanks& banks, const evaluation::About& evaluation) {
  Identity identity(evaluation.name, evaluation.version);
  identity.add_hash("features of train", bank_hash(banks.train));
  identity.add_hash("features of test", bank_hash(banks.test));
  return identity;
}

Identity classifier_identity(const TaskRequest& request, const std::string& images_hash) {
  const auto& classifiers = *request.classifiers;
  Identity identity("classifier", kVersion);
  identity.add_hash("weights", request.weights.backbone_hash);
  identity.add_images(images_hash);
  identity.add_hash("classifiers",
                    tensors_hash({{"weight", classifiers.weight}, {"bias", classifiers.bias}}));
  add_keys(identity, request.weights.config, kFeatureKeys);
  return identity;
}

Identity linear_identity(const TaskRequest& request, const LabeledImages& images) {
  Identity identity("linear", kVersion);
  identity.add_hash("weights", request.weights.backbone_hash);
  identity.add_images(images);
  add_keys(identity, request.weights.config, kFeatureKeys);
  add_keys(identity, request.weights.config, {"linear."});
  return identity;
}

Identity fine_tune_identity(const TaskRequest& request, const LabeledImages& images,
                            const std::string& task, bool keeps_head) {
  const auto& config = request.weights.config;
  Identity identity(task, kVersion);
  identity.add_hash("weights", request.weights.backbone_hash);
  identity.add_images(images);
  add_keys(
      identity, config,
      {task + ".", "transform.", "mixing.", "backbone.", "augment.mean", "augment.std", "data."});
  if (!keeps_head) return identity;
  identity.add_hash("weights of the head", request.weights.head_hash);
  add_keys(identity, config, {"head."});
  return identity;
}

Identity segment_identity(const TaskRequest& request, const std::string& weights,
                          const data::SegmentationSet& train, const data::SegmentationSet& val) {
  Identity identity("segment", kVersion);
  identity.add_hash("weights", weights);
  for (const auto& [name, set] : {std::pair{"train", &train}, {"val", &val}}) {
    identity.add_hash(concat("label maps of ", name), set->labels.content_hash());
  }
  identity.add_images(train.images.content_hash() + val.images.content_hash());
  add_keys(identity, request.weights.config,
           {"segment.", "backbone.", "augment.mean", "augment.std", "data."});
  return identity;
}

Identity detect_identity(const TaskRequest& request, const coco::ImageSet* train,
                         const coco::ImageSet& val) {
  Identity identity("detect", kVersion);
  identity.add_hash("weights", request.weights.backbone_hash);
  if (train != nullptr) identity.add_hash("annotated training images", coco::content_hash(*train));
  identity.add_images(coco::content_hash(val));
  add_keys(identity, request.weights.config,
           {"detect.", "backbone.", "augment.mean", "augment.std", "data."});
  return identity;
}

}  // namespace ibot::apps
