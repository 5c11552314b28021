#include <gtest/gtest.h>

#include "ibot/batch/mixing.h"
#include "ibot/eval/fine_tune_step.h"
#include "ibot/models/network.h"
#include "ibot/models/resize_weights.h"
#include "ibot/models/weights.h"
#include "ibot/optim/layer_decay.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/golden_options.h"

namespace ibot::eval {
namespace {

using testing::near;
using testing::Tolerance;
using Tensors = std::map<std::string, torch::Tensor>;

Tolerance tolerance_of(const nlohmann::json& json) { return {json["rtol"], json["atol"]}; }

/// The reference's name of a parameter: the backbone's have no prefix there.
std::string reference_name(const std::string& name) {
  constexpr std::string_view kPrefix = "backbone.";
  return name.rfind(kPrefix, 0) == 0 ? name.substr(kPrefix.size()) : name;
}

void load(Classifier& classifier, const Tensors& weights, const std::string& prefix) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : models::named_state(classifier)) {
    if (models::is_derived(name)) continue;
    const auto found = weights.find(prefix + reference_name(name));
    ASSERT_NE(found, weights.end()) << name;
    ASSERT_EQ(tensor.sizes(), found->second.sizes()) << name;
    torch::Tensor(tensor).copy_(found->second);
  }
}

/// The reference describes its Swin by other names.
models::BackboneOptions backbone_of(const nlohmann::json& config, int64_t image_size) {
  const bool swin = config.contains("window");
  models::BackboneOptions options;
  options.arch = swin ? "swin_tiny" : "vit_tiny";
  options.image_size = image_size;
  options.patch_size = config.value("patch_size", int64_t{4});
  options.embed_dim = config[swin ? "embed" : "embed_dim"];
  options.depth = testing::integers_of(config[swin ? "depths" : "depth"]);
  options.heads = testing::integers_of(config[swin ? "heads" : "num_heads"]);
  options.drop_path = 0.0;
  if (swin) options.window_size = config["window"];
  return options;
}

ClassifierOptions options_of(const nlohmann::json& config, int64_t image_size, int64_t classes) {
  ClassifierOptions options;
  options.classes = classes;
  options.backbone = backbone_of(config, image_size);
  return options;
}

TEST(PositionResizeGolden, BySize) {
  const auto folder = testing::golden_root() / "11_finetune";
  const auto tolerance =
      tolerance_of(testing::read_json(folder / "pos_embed_resize.json")["tolerance"]);
  const auto tensors = io::read_safetensors(folder / "pos_embed_resize.safetensors").tensors;
  int cases = 0;
  for (const auto& [name, expected] : tensors) {
    if (name == "pos_embed_checkpoint") continue;
    ++cases;
    EXPECT_TENSOR_NEAR(
        models::resize_weight("pos_embed", tensors.at("pos_embed_checkpoint"), expected.sizes()),
        expected, tolerance)
        << name;
  }
  EXPECT_GT(cases, 0);
}

// Relative position bias in a ViT is an option of the reference's fine-tuning model that its
// recipes leave off; it is not built here.
TEST(ClassifierGolden, Logits) {
  int cases = 0;
  for (const auto& item : testing::golden_cases("11_finetune")) {
    if (item.name.rfind("vit_", 0) != 0 || item.json["config"]["use_rel_pos_bias"]) continue;
    ++cases;
    const auto& config = item.json["config"];
    auto options = options_of(config, config["img_size"], config["num_classes"]);
    options.backbone.layer_scale = config["init_values"];
    options.backbone.mean_pooling = config["use_mean_pooling"];
    Classifier classifier(options, 0);
    load(classifier, item.tensors("weights."), "");
    classifier.eval();
    const torch::NoGradGuard no_grad;
    const auto tensors = item.tensors();
    const auto tolerance = tolerance_of(item.json["tolerance"]);
    EXPECT_TENSOR_NEAR(classifier.backbone().forward(tensors.at("images")).class_token,
                       tensors.at("features"), tolerance)
        << item.name;
    EXPECT_TENSOR_NEAR(classifier.forward(tensors.at("images")), tensors.at("logits"), tolerance)
        << item.name;
  }
  EXPECT_GT(cases, 0);
}

TEST(ClassifierGolden, LogitsOfSwin) {
  const auto folder = testing::golden_root() / "11_finetune";
  const auto json = testing::read_json(folder / "swin.json");
  const auto& config = json["config"];
  Classifier classifier(options_of(config, config["img"], config["num_classes"]), 0);
  load(classifier, io::read_safetensors(folder / "swin.weights.safetensors").tensors, "");
  classifier.eval();
  const torch::NoGradGuard no_grad;
  const auto tensors = io::read_safetensors(folder / "swin.safetensors").tensors;
  EXPECT_TENSOR_NEAR(classifier.forward(tensors.at("images")), tensors.at("logits"),
                     tolerance_of(json["tolerance"]));
}

TEST(LayerDecayGolden, DecayOfAClassifiersParameters) {
  const auto folder = testing::golden_root() / "11_finetune";
  const auto json = testing::read_json(folder / "layer_decay.json");
  const auto config = testing::read_json(folder / "vit_cls.json")["config"];
  const Classifier classifier(options_of(config, config["img_size"], config["num_classes"]), 0);
  const auto& expected = json["models"][0]["parameters"];
  ASSERT_EQ(json["models"][0]["name"], "vit_cls");
  const auto parameters = optim::layer_decayed_parameters(classifier, json["layer_decay"], false);
  EXPECT_EQ(parameters.size(), expected.size());
  for (const auto& parameter : parameters) {
    const auto& one = expected.at(reference_name(parameter.name));
    EXPECT_EQ(parameter.decays, one["weight_decay"].get<double>() > 0) << parameter.name;
    EXPECT_DOUBLE_EQ(parameter.lr_scale, one["lr_scale"]) << parameter.name;
  }
  for (const auto& parameter : optim::layer_decayed_parameters(classifier, 1.0, true)) {
    EXPECT_EQ(parameter.decays, parameter.tensor.dim() > 1) << parameter.name;
    EXPECT_EQ(parameter.lr_scale, 1.0);
  }
}

FineTuneOptions tune_options(const nlohmann::json& config) {
  FineTuneOptions options;
  options.epochs = config["epochs_argument"];
  options.batch_size = config["batch_size"];
  options.lr = config["lr"];
  options.min_lr = config["min_lr"];
  options.warmup_epochs = config["warmup_epochs"];
  options.weight_decay = options.weight_decay_end = config["weight_decay"];
  options.layer_decay = config["layer_decay"];
  options.precision = optim::Precision::kFp32;
  return options;
}

/// Without entries whose exact gradient is zero.
torch::Tensor comparable(const std::string& name, const torch::Tensor& tensor) {
  if (name.find("attn.qkv.bias") == std::string::npos) return tensor;
  const auto third = tensor.size(0) / 3;
  return torch::cat({tensor.narrow(0, 0, third), tensor.narrow(0, 2 * third, third)});
}

void expect_training(const testing::GoldenCase& item) {
  const auto& config = item.json["config"];
  const auto tensors = item.tensors();
  const int64_t classes = config["num_classes"];
  const int64_t per_epoch = config["iterations_per_epoch"];
  const auto options = tune_options(config);
  auto classifier = std::make_shared<Classifier>(
      options_of(config["model_config"], config["img_size"], classes), 0);
  load(*classifier, tensors, "init.");
  FineTuneStep step(options, classifier, torch::kCPU);
  for (int64_t i = 0; i < per_epoch * config["epochs_run"].get<int64_t>(); ++i) {
    const auto number = std::to_string(i % per_epoch);
    const auto soft = tensors.find("soft_targets" + number);
    const auto targets =
        soft != tensors.end()
            ? soft->second
            : batch::smooth_targets(tensors.at("labels" + number), classes, config["smoothing"]);
    const auto values = fine_tune_values(options, per_epoch, i);
    EXPECT_NEAR(values.lr, item.json["lr_schedule"][i], 1e-12);
    EXPECT_NEAR(values.weight_decay, item.json["weight_decay_schedule"][i], 1e-12);
    const auto result = step.accumulate(tensors.at("images" + number), targets);
    const double norm = step.update(values).item<double>();
    EXPECT_NEAR(result.loss.item<double>(), item.json["loss_per_step"][i],
                item.json["tolerance"]["loss"])
        << item.name << ", step " << i;
    EXPECT_NEAR(norm, item.json["global_grad_norm_per_step"][i], 1e-3)
        << item.name << ", step " << i;
  }
  for (const auto& [name, tensor] : models::named_state(*classifier)) {
    if (models::is_derived(name)) continue;
    EXPECT_TENSOR_NEAR(comparable(name, tensor),
                       comparable(name, tensors.at("final." + reference_name(name))),
                       tolerance_of(item.json["tolerance"]["weights"]))
        << item.name << ": " << name;
  }
}

TEST(FineTuneStepGolden, WholeSteps) {
  int cases = 0;
  for (const auto& item : testing::golden_cases("11_finetune")) {
    if (item.name.rfind("train_", 0) != 0) continue;
    ++cases;
    expect_training(item);
  }
  EXPECT_GT(cases, 0);
}

}  // namespace
}  // namespace ibot::eval
