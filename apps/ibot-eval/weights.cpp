#include "ibot-eval/weights.h"

#include "common/config_of_weights.h"
#include "common/identity.h"
#include "common/logging.h"
#include "common/run_main.h"
#include "ibot/base/error.h"
#include "ibot/config/yaml.h"
#include "ibot/models/network.h"
#include "ibot/models/weights.h"
#include "ibot/train/student_teacher.h"

namespace ibot::apps {
namespace {

EvalConfig config_of(const WeightsArguments& arguments, const models::Weights& weights) {
  if (!arguments.config.empty()) {
    return config::read_config<EvalConfig>(arguments.config, arguments.overrides);
  }
  if (!weights.config.empty()) {
    return config::parse_config<EvalConfig>(weights.config, arguments.file + " (config)",
                                            arguments.overrides);
  }
  if (const auto heads = open_input([&] { return guessed_heads(weights, arguments.overrides); })) {
    log_warning(concat(arguments.file, ": does not tell the number of attention heads; ", *heads,
                       " taken, one for 64 numbers; if there are others, results are wrong: set ",
                       "backbone.heads=N"));
  }
  return config::read_config<EvalConfig>(
      "", open_input([&] { return overrides_of_weights(weights, arguments.overrides); }));
}

/// Of "random" and "pixels".
EvalConfig config_without_weights(const WeightsArguments& arguments) {
  if (!arguments.config.empty() || arguments.like.empty()) {
    return config::read_config<EvalConfig>(arguments.config, arguments.overrides);
  }
  log_info(concat(arguments.file, ": architecture and size of images as of ", arguments.like));
  auto other = arguments;
  other.file = arguments.like;
  return config_of(other, open_input([&] { return models::read_weights(other.file, other.key); }));
}

Weights read(const WeightsArguments& arguments) {
  if (is_no_file(arguments.file)) {
    Weights weights{.config = config_without_weights(arguments)};
    if (arguments.file == "pixels") return weights;
    // As the run itself begins, so that "untrained" is the very network that is trained.
    const auto& run = weights.config.run;
    train::StudentTeacher networks(run.backbone, run.head, static_cast<uint64_t>(run.train.seed));
    weights.backbone = networks.teacher().backbone;
    weights.backbone->eval();
    for (const auto& [name, tensor] : models::named_state(*networks.teacher().head)) {
      weights.head.emplace(name, tensor);
    }
    return weights;
  }
  const auto stored =
      open_input([&] { return models::read_weights(arguments.file, arguments.key); });
  Weights weights{.config = config_of(arguments, stored)};
  weights.backbone = models::build_backbone(weights.config.run.backbone, models::Role::kTeacher);
  if (arguments.only_shape) return weights;
  const auto report =
      open_input([&] { return models::load_weights_(*weights.backbone, stored, "backbone."); });
  log_info(arguments.file + ": " + models::summary(report));
  weights.backbone->eval();
  const std::string head = "head.";
  for (const auto& [name, tensor] : stored.tensors) {
    if (name.rfind(head, 0) == 0) weights.head.emplace(name.substr(head.size()), tensor);
  }
  return weights;
}

}  // namespace

bool is_no_file(const std::string& weights) { return weights == "random" || weights == "pixels"; }

Weights load_weights(const WeightsArguments& arguments) {
  auto weights = read(arguments);
  if (weights.backbone != nullptr) {
    weights.backbone_hash = tensors_hash(models::named_state(*weights.backbone));
  }
  if (!weights.head.empty()) {
    weights.head_hash = tensors_hash({weights.head.begin(), weights.head.end()});
  }
  return weights;
}

models::Weights backbone_tensors(const Weights& weights) {
  models::Weights tensors{.source = "--weights"};
  for (const auto& [name, tensor] : models::named_state(*weights.backbone)) {
    tensors.tensors.emplace("backbone." + name, tensor.to(torch::kCPU));
  }
  return tensors;
}

}  // namespace ibot::apps
