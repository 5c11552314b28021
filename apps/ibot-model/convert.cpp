#include <algorithm>

#include "common/config_of_weights.h"
#include "common/logging.h"
#include "common/output_folder.h"
#include "common/run_main.h"
#include "common/step_of_config.h"
#include "ibot-model/commands.h"
#include "ibot-model/model_file.h"
#include "ibot/config/yaml.h"
#include "ibot/dense/weights.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/train/official_checkpoint.h"

namespace ibot::apps {
namespace {

bool is_pth(const std::string& path) {
  const auto ending = std::filesystem::path(path).extension();
  IBOT_CHECK_AS(ConfigError, ending == ".pth" || ending == ".safetensors",
                "OUT: expected a name ending in .safetensors or .pth, got ", path);
  return ending == ".pth";
}

constexpr std::string_view kBackbone = "backbone.";

/// Information that later readers cannot infer from shapes, above all the number of heads: the
/// configuration as YAML; empty if nothing is known beyond the shapes.
std::string config_text(const ModelFile& file, const models::Weights& weights,
                        const std::vector<std::string>& overrides) {
  if (overrides.empty() && (!weights.config.empty() || weights.arguments.empty())) {
    return weights.config;
  }
  try {
    return config::write_config(config_of(file, overrides));
  } catch (const RequestError&) {
    if (!overrides.empty()) throw;
    return {};  // the arguments do not give the number of heads either
  }
}

/// A .pth with the configuration next to its networks, where our programs look for it.
void write_pth(const std::string& to, io::Dict root, const std::string& config) {
  if (!config.empty()) {
    root.items.emplace_back("ibot", io::Dict{{{"config", config}}, ""});
  }
  io::write_torch_file(to, root);
}

void write_safetensors(const std::string& to, std::map<std::string, torch::Tensor> tensors,
                       const std::string& config) {
  io::Safetensors file{.tensors = std::move(tensors), .metadata = {{"format", "pt"}}};
  if (!config.empty()) file.metadata["config"] = config;
  io::write_safetensors(to, file);
}

/// The backbone's tensors by name, without prefix.
io::Dict bare_backbone(const models::Weights& weights) {
  io::Dict backbone{{}, "collections.OrderedDict"};
  for (const auto& [name, tensor] : weights.tensors) {
    if (name.starts_with(kBackbone)) {
      backbone.items.emplace_back(name.substr(kBackbone.size()), tensor);
    }
  }
  return backbone;
}

void convert_backbone(const models::Weights& weights, const std::string& to,
                      const std::string& config) {
  const auto backbone = bare_backbone(weights);
  if (is_pth(to)) return write_pth(to, io::Dict{{{"state_dict", backbone}}, ""}, config);
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& [name, value] : backbone.items) tensors[*name.text()] = *value.tensor();
  write_safetensors(to, models::timm_tensors(std::move(tensors)), config);
}

/// For all official programs: evaluations strip `module.` and `backbone.`, unsup_cls.py requires
/// both, and run_class_finetuning.py reads the bare backbone under `model`.
void convert_network(const models::Weights& weights, const std::string& key, const std::string& to,
                     const std::string& config) {
  if (!is_pth(to)) return write_safetensors(to, weights.tensors, config);
  io::Dict network{{}, "collections.OrderedDict"};
  for (const auto& [name, tensor] : weights.tensors) {
    network.items.emplace_back("module." + name, tensor);
  }
  write_pth(to, io::Dict{{{key, network}, {"model", bare_backbone(weights)}}, ""}, config);
}

/// Throws RequestError if the checkpoint lacks tensors that a run needs to resume.
void check_whole(const ModelFile& file, const train::Checkpoint& checkpoint,
                 const train::TrainStep& step) {
  std::string missing;
  for (const auto& [name, tensor] : step.state()) {
    const auto found = checkpoint.tensors.find(name);
    if (found != checkpoint.tensors.end() && found->second.sizes() == tensor.sizes()) continue;
    missing += (missing.empty() ? "" : ", ") + name;
  }
  IBOT_CHECK_AS(RequestError, missing.empty(), file.path.string(),
                ": expected a whole run, found none of ", missing, "; nothing was written");
}

/// The whole run, from either program's checkpoint to either's.
void convert_all(const ModelFile& file, const ConvertArguments& arguments) {
  const auto config = config_of(file, arguments.overrides);
  auto options = step_options(config);
  options.precision = train::Precision::kFp32;  // irrelevant here, and fp16 requires a GPU
  const train::TrainStep step(options, torch::kCPU);
  train::Checkpoint checkpoint;
  if (file.checkpoint) {
    checkpoint = *file.checkpoint;
  } else {
    IBOT_CHECK_AS(RequestError, train::is_official_checkpoint(file.root), file.path.string(),
                  ": expected a whole run to convert, got ", file.content,
                  "; use --part network or backbone");
    checkpoint =
        open_input([&] { return train::from_official(file.root, file.path.string(), step); });
  }
  check_whole(file, checkpoint, step);
  if (checkpoint.config.empty()) checkpoint.config = config::write_config(config);
  if (!is_pth(arguments.to)) {
    train::save_checkpoint(arguments.to, checkpoint);
    return;
  }
  const auto run = checkpoint.run.with_steps(1);
  const optim::RunLength length{config.train.epochs, run.steps_per_epoch, config.train.batch_size};
  const auto last = std::max<int64_t>(std::min(run.step, length.total_steps()) - 1, 0);
  const auto values = optim::step_values(config.optim, config.schedule, length, last);
  io::write_torch_file(arguments.to,
                       train::to_official(checkpoint, step, values, official_arguments(config)));
}

/// A segmentor or detector, whose tensors have the same names in every format.
int convert_dense(const ConvertArguments& arguments) {
  const auto file = open_input([&] { return dense::read_network(arguments.from); });
  const bool has_head = std::any_of(file.tensors.begin(), file.tensors.end(), [](const auto& item) {
    return item.first.find("_head.") != std::string::npos;
  });
  IBOT_CHECK_AS(
      RequestError, has_head, arguments.from,
      ": expected a segmentor or detector, found no tensor of a head; use --part backbone");
  check_file(arguments.to);
  dense::write_network(arguments.to, file);
  log_info("wrote " + arguments.to);
  return kDone;
}

}  // namespace

int convert(const ConvertArguments& arguments) {
  is_pth(arguments.to);
  if (arguments.part == "dense") return convert_dense(arguments);
  const auto file = read_model_file(arguments.from, arguments.key);
  std::error_code none;
  IBOT_CHECK_AS(RequestError, !std::filesystem::equivalent(arguments.from, arguments.to, none),
                "OUT: expected another file than IN, got ", arguments.to);
  check_file(arguments.to);
  // Unknown keys are refused even if no part needs them.
  if (!arguments.overrides.empty()) config_of(file, arguments.overrides);
  if (arguments.part == "all") {
    convert_all(file, arguments);
  } else {
    const auto& weights = whole(network_of(file, arguments.key));
    const auto config = config_text(file, weights, arguments.overrides);
    arguments.part == "network" ? convert_network(weights, arguments.key, arguments.to, config)
                                : convert_backbone(weights, arguments.to, config);
  }
  log_info("wrote " + arguments.to);
  return kDone;
}

}  // namespace ibot::apps
