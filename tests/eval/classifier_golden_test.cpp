#include <gtest/gtest.h>

#include "ibot/batch/mixing.h"
#include "ibot/eval/fine_tune_step.h"
#include "ibot/models/network.h"
#include "ibot/models/weights.h"
#include "ibot/optim/layer_decay.h"
#include "support/golden_options.h"
#include "support/golden_tensors.h"
#include "support/test_device.h"

namespace ibot::eval {
namespace {

using testing::GoldenCase;
using testing::GoldenTensors;
using testing::ReadJson;

/// The reference's name of a parameter: the backbone's have no prefix there.
std::string reference_name(const std::string& name) {
  constexpr std::string_view kPrefix = "backbone.";
  return name.rfind(kPrefix, 0) == 0 ? name.substr(kPrefix.size()) : name;
}

void load(Classifier& classifier, const std::map<std::string, torch::Tensor>& weights,
          const std::string& prefix) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : models::named_state(classifier)) {
    if (models::is_derived(name)) continue;
    const auto found = weights.find(prefix + reference_name(name));
    ASSERT_NE(found, weights.end()) << name;
    ASSERT_EQ(tensor.sizes(), found->second.sizes()) << name;
    torch::Tensor(tensor).copy_(found->second);
  }
}

bool is_swin(const ReadJson& config) { return config.contains("window"); }

/// The reference describes its Swin by other names.
models::BackboneOptions backbone_of(const ReadJson& config, int64_t image_size) {
  const bool swin = is_swin(config);
  models::BackboneOptions options;
  options.arch = swin ? "swin_tiny" : "vit_tiny";
  options.image_size = image_size;
  options.patch_size = config.value("patch_size", int64_t{4});
  options.embed_dim = config[swin ? "embed" : "embed_dim"];
  options.depth = testing::integers_of(config[swin ? "depths" : "depth"]);
  options.heads = testing::integers_of(config[swin ? "heads" : "num_heads"]);
  options.mlp_ratio = config.value("mlp_ratio", 4.0);
  options.qkv_bias = config.value("qkv_bias", true);
  options.drop_path = 0.0;
  if (swin) options.window_size = config["window"];
  return options;
}

/// Of a case that tells its model in `config`.
ClassifierOptions options_of(const ReadJson& config) {
  ClassifierOptions options;
  options.classes = config["num_classes"];
  options.backbone = backbone_of(config, config[is_swin(config) ? "img" : "img_size"]);
  if (is_swin(config)) return options;
  options.backbone.layer_scale = config["init_values"];
  options.backbone.mean_pooling = config["use_mean_pooling"];
  testing::expect_built_in(config["norm_eps"], 1e-6);
  testing::expect_built_in(config["use_abs_pos_emb"], true);
  testing::expect_built_in(config["use_learned_abs_pos_emb"], true);
  return options;
}

/// Relative position bias in a ViT is an option of the reference's fine-tuning model that its
/// recipes leave off; it is not built here.
bool has_position_bias(const ReadJson& config) {
  return !is_swin(config) && config["use_rel_pos_bias"];
}

/// Cases of whole models without training.
std::vector<GoldenCase> model_cases() {
  std::vector<GoldenCase> cases;
  for (const auto& golden : testing::golden_cases("11_finetune")) {
    if (!golden.json.contains("weights") || has_position_bias(golden.json["config"])) continue;
    cases.push_back(golden);
  }
  EXPECT_FALSE(cases.empty());
  return cases;
}

TEST(ClassifierGolden, Logits) {
  for (const auto& golden : model_cases()) {
    SCOPED_TRACE(golden.name);
    Classifier classifier(options_of(golden.json["config"]), 0);
    load(classifier, golden.tensors("weights"), "");
    classifier.to(testing::test_device());
    classifier.eval();
    const torch::NoGradGuard no_grad;
    const GoldenTensors expected(testing::on_test_device(golden.tensors()),
                                 testing::on_test_device(golden.tolerance()));
    const auto images = expected.at("images");
    expected.compare(classifier.forward(images), "logits");
    if (expected.has("features")) {
      expected.compare(classifier.backbone().forward(images).class_token, "features");
    }
    expected.expect_all_used();
    golden.json.expect_all_read({"config/init_scale"});  // of weights that are loaded here
  }
}

/// The optimizer's view of the model that has a description of its own.
void check_decay(const ReadJson& model, double layer_decay, double weight_decay) {
  const auto config = testing::golden_case("11_finetune", model["name"]).json["config"];
  const Classifier classifier(options_of(config), 0);
  const auto& backbone = classifier.options().backbone;
  const auto expected = model["parameters"];
  const auto parameters = optim::layer_decayed_parameters(classifier, backbone, layer_decay, false);
  EXPECT_EQ(parameters.size(), expected.size());
  for (const auto& parameter : parameters) {
    const auto one = expected[reference_name(parameter.name)];
    EXPECT_EQ(parameter.decays ? weight_decay : 0.0, one["weight_decay"].get<double>())
        << parameter.name;
    EXPECT_DOUBLE_EQ(parameter.lr_scale, one["lr_scale"]) << parameter.name;
  }
  for (const auto& parameter : optim::layer_decayed_parameters(classifier, backbone, 1.0, true)) {
    EXPECT_EQ(parameter.decays, parameter.tensor.dim() > 1) << parameter.name;
    EXPECT_EQ(parameter.lr_scale, 1.0);
  }
}

TEST(LayerDecayGolden, DecayOfAClassifiersParameters) {
  std::set<std::string> names;
  for (const auto& golden : model_cases()) names.insert(golden.name);
  int checked = 0;
  for (const auto& golden : testing::golden_cases("11_finetune")) {
    if (!golden.json.contains("models")) continue;
    for (const auto& model : golden.json["models"].elements()) {
      if (names.count(model["name"]) == 0) continue;
      SCOPED_TRACE(model["name"].get<std::string>());
      check_decay(model, golden.json["layer_decay"], golden.json["weight_decay"]);
      ++checked;
    }
  }
  EXPECT_GT(checked, 0);
}

/// Of a case that trains: its model under `model_config`.
ClassifierOptions trained_options(const ReadJson& config) {
  const auto model = config["model_config"];
  EXPECT_EQ(config["model"].get<std::string>() == "swin", is_swin(model));
  ClassifierOptions options;
  options.classes = config["num_classes"];
  options.backbone = backbone_of(model, config["img_size"]);
  options.backbone.drop_path = config["drop_path"];
  if (is_swin(model)) {
    EXPECT_EQ(options.backbone.image_size, model["img"].get<int64_t>());
    return options;
  }
  options.backbone.layer_scale = model["layer_scale"];
  options.backbone.mean_pooling = model["pooling"].get<std::string>() != "cls";
  testing::expect_built_in(model["rel_pos_bias"], false);
  return options;
}

FineTuneOptions tune_options(const ReadJson& config) {
  FineTuneOptions options;
  options.epochs = config["epochs_argument"];
  options.batch_size = config["batch_size"];
  options.lr = config["lr"];
  options.min_lr = config["min_lr"];
  options.warmup_epochs = config["warmup_epochs"];
  options.weight_decay = config["weight_decay"];
  const auto end = config["weight_decay_end"];
  options.weight_decay_end = end.is_null() ? options.weight_decay : end.get<double>();
  options.layer_decay = config["layer_decay"];
  options.run.precision = optim::Precision::kFp32;
  options.betas = config["betas"];
  options.eps = config["eps"];
  return options;
}

/// Without entries whose exact gradient is zero.
torch::Tensor comparable(const std::string& name, const torch::Tensor& tensor) {
  if (name.find("attn.qkv.bias") == std::string::npos) return tensor;
  const auto third = tensor.size(0) / 3;
  return torch::cat({tensor.narrow(0, 0, third), tensor.narrow(0, 2 * third, third)});
}

torch::Tensor targets_of(const GoldenTensors& tensors, const std::string& batch,
                         const ReadJson& config) {
  const auto smoothing = config["smoothing"];
  const auto labels = tensors.at("labels" + batch);
  EXPECT_EQ(smoothing.is_null(), tensors.has("soft_targets" + batch));
  if (smoothing.is_null()) return tensors.at("soft_targets" + batch);
  return batch::smooth_targets(labels, config["num_classes"], smoothing);
}

void check_step(FineTuneStep& step, const GoldenTensors& tensors, const ReadJson& json,
                int64_t number) {
  SCOPED_TRACE(concat("step ", number));
  const auto config = json["config"];
  const int64_t per_epoch = config["iterations_per_epoch"];
  const auto batch = std::to_string(number % per_epoch);
  const auto images = tensors.at("images" + batch);
  EXPECT_EQ(images.size(0), config["batch_size"].get<int64_t>());
  const auto result = step.accumulate(images, targets_of(tensors, batch, config));
  const double norm =
      step.update(fine_tune_values(step.options(), per_epoch, number)).grad_norm.item<double>();
  const testing::Tolerance loss{0.0, json["tolerance"]["loss"]};
  EXPECT_NEAR(result.loss.item<double>(), json["loss_per_step"][number],
              testing::on_test_device(loss).atol);
  EXPECT_NEAR(norm, json["global_grad_norm_per_step"][number], 1e-3);
}

void expect_schedules(const FineTuneOptions& options, const ReadJson& json) {
  const int64_t per_epoch = json["config"]["iterations_per_epoch"];
  ASSERT_EQ(static_cast<int64_t>(json["lr_schedule"].size()), options.epochs * per_epoch);
  for (int64_t i = 0; i < options.epochs * per_epoch; ++i) {
    const auto values = fine_tune_values(options, per_epoch, i);
    EXPECT_NEAR(values.lr, json["lr_schedule"][i], 1e-12);
    EXPECT_NEAR(values.weight_decay, json["weight_decay_schedule"][i], 1e-12);
  }
}

void expect_training(const GoldenCase& golden) {
  const auto& json = golden.json;
  const auto config = json["config"];
  const testing::Tolerance weights{json["tolerance"]["weights"]["rtol"],
                                   json["tolerance"]["weights"]["atol"]};
  const GoldenTensors tensors(testing::on_test_device(golden.tensors()),
                              testing::on_test_device(weights));
  const auto options = tune_options(config);
  auto classifier = std::make_shared<Classifier>(trained_options(config), 0);
  load(*classifier, golden.tensors(), "init.");
  expect_schedules(options, json);
  FineTuneStep step(options, classifier, testing::test_device());
  const int64_t steps =
      config["epochs_run"].get<int64_t>() * config["iterations_per_epoch"].get<int64_t>();
  for (int64_t i = 0; i < steps; ++i) check_step(step, tensors, json, i);
  for (const auto& [name, tensor] : models::named_state(*classifier)) {
    if (models::is_derived(name)) continue;
    EXPECT_TENSOR_NEAR(comparable(name, tensor),
                       comparable(name, tensors.at("final." + reference_name(name))),
                       tensors.tolerance())
        << name;
  }
}

TEST(FineTuneStepGolden, WholeSteps) {
  int cases = 0;
  for (const auto& golden : testing::golden_cases("11_finetune")) {
    if (!golden.json.contains("loss_per_step")) continue;
    SCOPED_TRACE(golden.name);
    expect_training(golden);
    golden.json.expect_all_read();
    ++cases;
  }
  EXPECT_GT(cases, 0);
}

// Nothing of the group is left out: each case is of a kind that a test takes.
TEST(ClassifierGolden, EveryCaseIsOfAKnownKind) {
  for (const auto& golden : testing::golden_cases("11_finetune")) {
    const auto& json = golden.json;
    const bool known = json.contains("weights") || json.contains("loss_per_step") ||
                       json.contains("models") || json.contains("items") ||
                       json.contains("smoothing") || golden.name.rfind("pos_embed", 0) == 0;
    EXPECT_TRUE(known) << golden.name << ": a case that no test takes";
  }
}

}  // namespace
}  // namespace ibot::eval
