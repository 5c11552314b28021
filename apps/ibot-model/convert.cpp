#include <algorithm>

#include "common/config_of_weights.h"
#include "common/logging.h"
#include "common/run_main.h"
#include "common/step_of_config.h"
#include "ibot-model/commands.h"
#include "ibot-model/model_file.h"
#include "ibot/config/yaml.h"
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

/// The backbone's name in timm; the mask token has none there.
std::string timm_name(std::string name) {
  for (const auto& [own, theirs] :
       {std::pair{".gamma_1", ".ls1.gamma"}, std::pair{".gamma_2", ".ls2.gamma"}}) {
    const auto at = name.find(own);
    if (at != std::string::npos) name.replace(at, std::string_view(own).size(), theirs);
  }
  return name;
}

void convert_backbone(const models::Weights& weights, const std::string& to) {
  const std::string prefix = "backbone.";
  io::Safetensors timm;
  io::Dict official{{}, "collections.OrderedDict"};
  for (const auto& [name, tensor] : weights.tensors) {
    if (name.rfind(prefix, 0) != 0) continue;
    const auto short_name = name.substr(prefix.size());
    official.items.emplace_back(short_name, tensor);
    if (short_name != "masked_embed" && !models::is_derived(short_name))
      timm.tensors[timm_name(short_name)] = tensor;
  }
  IBOT_CHECK_AS(RequestError, !official.items.empty(), weights.source,
                ": expected a backbone, found none");
  if (is_pth(to)) {
    io::write_torch_file(to, io::Dict{{{"state_dict", official}}, ""});
  } else {
    timm.metadata["format"] = "pt";
    if (!weights.config.empty()) timm.metadata["config"] = weights.config;
    io::write_safetensors(to, timm);
  }
}

void convert_network(const models::Weights& weights, const std::string& key,
                     const std::string& to) {
  if (!is_pth(to)) {
    io::Safetensors file{.tensors = weights.tensors, .metadata = {{"format", "pt"}}};
    if (!weights.config.empty()) file.metadata["config"] = weights.config;
    io::write_safetensors(to, file);
    return;
  }
  io::Dict network{{}, "collections.OrderedDict"};
  for (const auto& [name, tensor] : weights.tensors) network.items.emplace_back(name, tensor);
  io::write_torch_file(to, io::Dict{{{key, network}}, ""});
}

/// The whole run, from either program's checkpoint to either's.
void convert_all(const ModelFile& file, const ConvertArguments& arguments) {
  const auto config = config_of(file, arguments.overrides);
  auto options = step_options(config);
  options.precision = train::Precision::kFp32;  // a matter of the device that trains
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

}  // namespace

int convert(const ConvertArguments& arguments) {
  is_pth(arguments.to);
  const auto file = read_model_file(arguments.from);
  if (arguments.part == "all") {
    convert_all(file, arguments);
  } else if (arguments.part == "network") {
    convert_network(network_of(file, arguments.key), arguments.key, arguments.to);
  } else {
    convert_backbone(network_of(file, arguments.key), arguments.to);
  }
  log_info("wrote " + arguments.to);
  return kDone;
}

}  // namespace ibot::apps
