#include "ibot-eval/weights.h"

#include "common/run_main.h"
#include "ibot/base/error.h"
#include "ibot/config/yaml.h"
#include "ibot/io/safetensors.h"
#include "ibot/models/network.h"
#include "ibot/train/student_teacher.h"

namespace ibot::apps {
namespace {

EvalConfig config_of(const WeightsArguments& arguments, bool checkpoint) {
  if (!checkpoint || !arguments.config.empty()) {
    return config::read_config<EvalConfig>(arguments.config, arguments.overrides);
  }
  const auto metadata = open_input([&] { return io::read_safetensors_metadata(arguments.file); });
  const auto text = metadata.find("config");
  IBOT_CHECK_AS(RequestError, text != metadata.end(), arguments.file,
                ": expected the configuration of a run in its metadata, found none; name one with "
                "--config");
  return config::parse_config<EvalConfig>(text->second, arguments.file + " (config)",
                                          arguments.overrides);
}

/// Fills every parameter and buffer of `backbone`. Others, such as the student's mask token, are
/// not needed.
void load_into_(models::Backbone& backbone, const WeightsArguments& arguments) {
  const std::string prefix = arguments.key + ".backbone.";
  const auto tensors = io::read_safetensors(arguments.file, prefix).tensors;
  IBOT_CHECK_AS(RequestError, !tensors.empty(), arguments.file, ": expected tensors ", prefix,
                "*, found none; choose the network with --key");
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : models::named_state(backbone)) {
    const auto found = tensors.find(prefix + name);
    IBOT_CHECK_AS(CheckpointError, found != tensors.end(), arguments.file, ": expected tensor ",
                  prefix, name, ", found none; the backbone keys must be those of the run");
    IBOT_CHECK_AS(CheckpointError, found->second.sizes() == tensor.sizes(), arguments.file, ": ",
                  prefix, name, ": expected shape ", tensor.sizes(), ", got ",
                  found->second.sizes(), "; the backbone keys must be those of the run");
    tensor.copy_(found->second);
  }
}

}  // namespace

Weights load_weights(const WeightsArguments& arguments) {
  const bool pixels = arguments.file == "pixels";
  const bool random = arguments.file == "random";
  Weights weights{config_of(arguments, !pixels && !random), nullptr, {}};
  const auto& run = weights.config.run;
  if (random) {
    // As the run itself begins, so that "untrained" is the very network that is trained.
    train::StudentTeacher networks(run.backbone, run.head, static_cast<uint64_t>(run.train.seed));
    weights.backbone = networks.teacher().backbone;
    for (const auto& [name, tensor] : models::named_state(*networks.teacher().head)) {
      weights.head.emplace(name, tensor);
    }
  } else if (!pixels) {
    weights.backbone = models::build_backbone(run.backbone, models::Role::kTeacher);
    load_into_(*weights.backbone, arguments);
    const std::string prefix = arguments.key + ".head.";
    for (auto& [name, tensor] : io::read_safetensors(arguments.file, prefix).tensors) {
      weights.head.emplace(name.substr(prefix.size()), tensor);
    }
  }
  if (weights.backbone != nullptr) weights.backbone->eval();
  return weights;
}

}  // namespace ibot::apps
