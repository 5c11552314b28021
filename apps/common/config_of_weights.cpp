#include "common/config_of_weights.h"

#include <array>
#include <cstdlib>
#include <map>
#include <type_traits>
#include <utility>
#include <variant>

#include "ibot/config/section.h"
#include "ibot/config/yaml.h"
#include "ibot/models/architecture.h"

namespace ibot::apps {
namespace {

/// The table of configs/README.md. Architecture and shapes are inferred from tensors; paths and
/// processes belong to a machine, not to the run.
constexpr std::array<std::pair<const char*, const char*>, 37> kOfficial{
    {{"out_dim", "head.prototypes"},
     {"patch_out_dim", "head.patch_prototypes"},
     {"shared_head", "head.shared"},
     {"shared_head_teacher", "head.shared_teacher"},
     {"norm_last_layer", "head.norm_last_layer"},
     {"norm_in_head", "head.norm"},
     {"act_in_head", "head.activation"},
     {"use_masked_im_modeling", "backbone.masked_modeling"},
     {"drop_path", "backbone.drop_path"},
     {"momentum_teacher", "schedule.momentum_teacher"},
     {"warmup_epochs", "schedule.warmup_epochs"},
     {"pred_ratio", "mask.ratio"},
     {"pred_ratio_var", "mask.ratio_var"},
     {"pred_shape", "mask.shape"},
     {"pred_start_epoch", "mask.start_epoch"},
     {"lambda1", "loss.weight_cls"},
     {"lambda2", "loss.weight_patch"},
     {"warmup_teacher_temp", "loss.warmup_teacher_temp"},
     {"teacher_temp", "loss.teacher_temp"},
     {"warmup_teacher_patch_temp", "loss.warmup_teacher_patch_temp"},
     {"teacher_patch_temp", "loss.teacher_patch_temp"},
     {"warmup_teacher_temp_epochs", "loss.warmup_teacher_temp_epochs"},
     {"optimizer", "optim.optimizer"},
     {"lr", "optim.lr"},
     {"min_lr", "optim.min_lr"},
     {"weight_decay", "optim.weight_decay"},
     {"weight_decay_end", "optim.weight_decay_end"},
     {"clip_grad", "optim.clip_grad"},
     {"freeze_last_layer", "optim.freeze_last_layer"},
     {"epochs", "train.epochs"},
     {"batch_size_per_gpu", "train.batch_size"},
     {"saveckp_freq", "train.save_every_epochs"},
     {"seed", "train.seed"},
     {"global_crops_scale", "augment.global_scale"},
     {"local_crops_scale", "augment.local_scale"},
     {"global_crops_number", "augment.global_crops"},
     {"local_crops_number", "augment.local_crops"}}};

int64_t heads_in(const std::vector<std::string>& overrides) {
  const std::string key = "backbone.heads=";
  int64_t heads = 0;
  for (const auto& assignment : overrides) {
    if (assignment.rfind(key, 0) == 0) heads = std::atoll(assignment.c_str() + key.size());
  }
  return heads;
}

/// Appends `section.key=value` for each key of the section.
void append_section(std::vector<std::string>& overrides, const config::RunConfig& config,
                    const std::string& section) {
  for (const auto& [key, value] : config::flat_values(config)) {
    if (key.rfind(section + ".", 0) == 0) overrides.push_back(key + "=" + value);
  }
}

/// Rounds default crop sizes up to multiples of the patch size where they are not.
void append_crop_sizes(std::vector<std::string>& overrides, const config::RunConfig& config) {
  const auto patch = models::token_pixels(config.backbone);
  for (const auto& [key, side] : {std::pair{"augment.global_size", config.augment.global_size},
                                  {"augment.local_size", config.augment.local_size}}) {
    if (side % patch != 0) overrides.push_back(concat(key, "=", (side / patch + 1) * patch));
  }
}

/// Evaluates at the size of the position embeddings where that is below the usual one: a larger
/// size is evaluated at the usual one, as published. The short side before the crop is in
/// proportion.
void append_evaluation_size(std::vector<std::string>& overrides, const config::RunConfig& config) {
  const auto side = config.backbone.image_size;
  const auto usual = config.eval.crop_size;
  if (side >= usual) return;
  overrides.push_back(concat("eval.crop_size=", side));
  overrides.push_back(concat("eval.resize_size=", side * config.eval.resize_size / usual));
}

bool has_head(const models::Weights& weights) {
  const auto first = weights.tensors.lower_bound("head.");
  return first != weights.tensors.end() && first->first.rfind("head.", 0) == 0;
}

template <class T>
io::Value value_of(const T& slot) {
  if constexpr (std::is_same_v<T, config::EnumSlot>) {
    return slot.name() == "none" ? io::Value() : io::Value(slot.name());
  } else if constexpr (requires { slot->begin(); } && !std::is_same_v<T, std::string*>) {
    io::List list;
    for (const auto& item : *slot) list.items.emplace_back(item);
    return list;
  } else {
    return *slot;
  }
}

/// The reference passes `drop_path` only to ViTs; other backbones use the value of their
/// constructor.
std::string value_of_argument(const models::Weights& weights, const std::string& argument,
                              const std::string& value) {
  const auto arch = weights.arguments.find("arch");
  if (argument != "drop_path" || arch == weights.arguments.end()) return value;
  const auto* preset = models::find_preset(arch->second);
  if (preset == nullptr || !preset->fixed_drop_path) return value;
  return concat(*preset->fixed_drop_path);
}

}  // namespace

std::vector<std::string> overrides_of_weights(const models::Weights& weights,
                                              const std::vector<std::string>& overrides) {
  config::RunConfig config;
  config.backbone = models::infer_backbone(weights, heads_in(overrides));
  std::vector<std::string> result;
  append_section(result, config, "backbone");
  append_crop_sizes(result, config);
  append_evaluation_size(result, config);
  if (has_head(weights)) {
    config.head = models::infer_head(weights);
    append_section(result, config, "head");
  }
  // Later entries win: shapes, then the file's arguments, then the command line.
  const auto told = overrides_of_arguments(weights);
  result.insert(result.end(), told.begin(), told.end());
  result.insert(result.end(), overrides.begin(), overrides.end());
  return result;
}

std::optional<int64_t> guessed_heads(const models::Weights& weights,
                                     const std::vector<std::string>& overrides) {
  if (!weights.config.empty() || weights.arguments.count("arch") > 0 || heads_in(overrides) > 0) {
    return std::nullopt;
  }
  const auto options = models::infer_backbone(weights);
  const bool is_preset = options.embed_dim == 0;
  const bool in_shapes = models::infer_backbone(weights, 1).heads == options.heads &&
                         options.heads != std::vector<int64_t>{1};
  if (is_preset || in_shapes) return std::nullopt;
  return options.heads.front();
}

std::vector<std::string> overrides_of_arguments(const models::Weights& weights) {
  std::vector<std::string> result;
  for (const auto& [argument, key] : kOfficial) {
    const auto found = weights.arguments.find(argument);
    if (found == weights.arguments.end()) continue;
    result.push_back(concat(key, "=", value_of_argument(weights, argument, found->second)));
  }
  const auto half = weights.arguments.find("use_fp16");
  if (half != weights.arguments.end()) {
    result.push_back(std::string("train.precision=") + (half->second == "true" ? "fp16" : "fp32"));
  }
  return result;
}

io::Dict official_arguments(config::RunConfig config) {
  std::map<std::string, io::Value> values;
  for (const auto& section : config::sections_of(config)) {
    for (const auto& field : section.fields) {
      values[section.name + "." + field.name] =
          std::visit([](const auto& slot) { return value_of(slot); }, field.slot);
    }
  }
  io::Dict arguments{{{"arch", config.backbone.arch}, {"patch_size", config.backbone.patch_size}},
                     ""};
  for (const auto& [argument, key] : kOfficial) {
    arguments.items.emplace_back(argument, values.at(key));
  }
  arguments.items.emplace_back("use_fp16", config.train.precision != train::Precision::kFp32);
  return arguments;
}

}  // namespace ibot::apps
