#include <gtest/gtest.h>

#include "ibot/io/torch_file.h"
#include "ibot/train/official_checkpoint.h"
#include "ibot/train/step.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/golden_options.h"
#include "support/test_device.h"
#include "support/weights.h"

namespace ibot::train {
namespace {

using testing::on_test_device;
using testing::ReadJson;
using testing::Tolerance;
using Tensors = std::map<std::string, torch::Tensor>;

StepOptions options_of(const ReadJson& config) {
  StepOptions options;
  const bool swin = config["arch"].get<std::string>() == "swin";
  options.backbone.arch = swin ? "swin_tiny" : "vit_tiny";
  if (swin) options.backbone.window_size = config["window_size"];
  options.backbone.image_size = config["global_size"];
  options.backbone.patch_size = config["patch_size"];
  options.backbone.embed_dim = config["embed_dim"];
  options.backbone.depth = testing::integers_of(config["depth"]);
  options.backbone.heads = testing::integers_of(config["num_heads"]);
  options.backbone.mlp_ratio = config["mlp_ratio"];
  options.backbone.qkv_bias = config["qkv_bias"];
  options.backbone.drop_path = config["drop_path"];
  options.backbone.masked_modeling = config["use_masked_im_modeling"];
  options.head.prototypes = config["out_dim"];
  options.head.patch_prototypes = config["patch_out_dim"];
  options.head.shared = config["shared_head"];
  options.head.shared_teacher = config["shared_head_teacher"];
  options.head.hidden_dim = config["head_hidden_dim"];
  options.head.bottleneck_dim = config["head_bottleneck_dim"];
  options.head.norm_last_layer = config["norm_last_layer"];
  EXPECT_TRUE(parse_enum(
      config["norm_in_head"].is_null() ? "none" : config["norm_in_head"].get<std::string>(),
      options.head.norm));
  EXPECT_TRUE(parse_enum(config["act_in_head"].get<std::string>(), options.head.activation));
  options.loss = testing::loss_options_of(config);
  EXPECT_TRUE(parse_enum(config["optimizer"].get<std::string>(), options.optim.optimizer));
  options.optim.lr = config["lr"];
  options.optim.min_lr = config["min_lr"];
  options.optim.weight_decay = config["weight_decay"];
  options.optim.weight_decay_end = config["weight_decay_end"];
  options.optim.clip_grad = config["clip_grad"];
  options.optim.betas = config["adamw"]["betas"];
  options.optim.eps = config["adamw"]["eps"];
  testing::expect_built_in(config["use_fp16"], false);
  options.optim.freeze_last_layer = config["freeze_last_layer"];
  options.global_views = config["global_crops_number"];
  return options;
}

batch::MultiCropBatch read_batch(const Tensors& inputs, int64_t step, const ReadJson& config) {
  const auto prefix = "step" + std::to_string(step) + ".";
  const int64_t globals = config["global_crops_number"];
  const int64_t locals = config["local_crops_number"];
  const int64_t global_size = config["global_size"];
  const int64_t local_size = config["local_size"];
  std::vector<torch::Tensor> global, local, masks;
  for (int64_t i = 0; i < globals + locals; ++i) {
    const auto crops = inputs.at(prefix + "crop" + std::to_string(i));
    EXPECT_EQ(crops.size(0), config["batch_size"].get<int64_t>());
    EXPECT_EQ(crops.size(2), i < globals ? global_size : local_size);
    (i < globals ? global : local).push_back(crops);
  }
  for (int64_t i = 0; i < globals; ++i) {
    masks.push_back(inputs.at(prefix + "mask" + std::to_string(i)).flatten(1));
  }
  batch::MultiCropBatch batch;
  batch.global = torch::cat(global);
  if (locals > 0) batch.local = torch::cat(local);
  batch.mask = torch::cat(masks).to(torch::kBool);
  batch.sample_id = torch::arange(global[0].size(0));
  batch.pairs = on_test_device(batch::masked_pairs(batch.mask));
  for (auto* tensor : {&batch.global, &batch.local, &batch.mask}) {
    if (tensor->defined()) *tensor = tensor->to(testing::test_device());
  }
  return batch;
}

/// What the case file says cannot be compared tightly: entries whose exact gradient is zero.
torch::Tensor comparable(const std::string& name, const torch::Tensor& tensor, bool batch_norm) {
  const auto ends_with = [&name](const std::string& ending) {
    return name.size() >= ending.size() &&
           name.compare(name.size() - ending.size(), ending.size(), ending) == 0;
  };
  if (ends_with("attn.qkv.bias")) {
    const auto third = tensor.size(0) / 3;
    return torch::cat({tensor.narrow(0, 0, third), tensor.narrow(0, 2 * third, third)});
  }
  const bool absorbed = ends_with("head.mlp.0.bias") || ends_with("head.mlp.3.bias") ||
                        ends_with("backbone.norm.bias");
  return batch_norm && absorbed ? tensor.narrow(0, 0, 0) : tensor;
}

::testing::AssertionResult near_here(const torch::Tensor& actual, const torch::Tensor& expected,
                                     Tolerance tolerance) {
  return testing::near(actual, expected, on_test_device(tolerance));
}

torch::Tensor scalar(double value) { return torch::tensor(value, torch::kDouble); }

class StepRun {
 public:
  explicit StepRun(const testing::GoldenCase& golden)
      : json_(golden.json),
        config_(json_["config"]),
        tensors_(golden.tensors()),
        inputs_(golden.tensors("inputs")),
        options_(options_of(config_)),
        step_(options_, testing::test_device()) {
    std::set<std::string> aliases;
    if (normed()) aliases.insert("head.mlp.4.");
    if (options_.head.shared) aliases.insert("last_layer2.");
    testing::load_weights(step_.networks().student(), tensors_, "student_init.", aliases);
    models::copy_values_(step_.networks().student(), step_.networks().teacher());
    const torch::NoGradGuard no_grad;
    for (auto& [name, value] : models::named_state(step_.networks().teacher())) {
      const auto own = tensors_.find("teacher_init." + name);
      if (own != tensors_.end()) torch::Tensor(value).copy_(own->second);
    }
  }

  /// Takes over a checkpoint and goes on from where it stands.
  void resume(const std::filesystem::path& path) {
    const auto checkpoint = from_official(io::read_torch_file(path).root, path.string(), step_);
    step_.load_state(checkpoint.tensors);
    first_ = checkpoint.run.with_steps(config_["iterations_per_epoch"]).step;
    EXPECT_GT(first_, 0);
  }

  void train() {
    EXPECT_NEAR(options_.optim.lr * config_["batch_size"].get<double>() / 256,
                json_["effective_base_lr"], 1e-12);
    const optim::ScheduleOptions schedule{.warmup_epochs = config_["warmup_epochs"],
                                          .momentum_teacher = config_["momentum_teacher"]};
    const optim::RunLength length{config_["epochs"], config_["iterations_per_epoch"],
                                  config_["batch_size"]};
    EXPECT_EQ(static_cast<int64_t>(json_["steps"].size()),
              config_["epochs_run"].get<int64_t>() * length.steps_per_epoch);
    for (const auto& expected : json_["steps"].elements()) {
      const int64_t number = expected["step"];
      if (number < first_) continue;
      SCOPED_TRACE("step " + std::to_string(number));
      EXPECT_EQ(number / length.steps_per_epoch, expected["epoch"].get<int64_t>());
      const StepInputs inputs{number, optim::step_values(options_.optim, schedule, length, number),
                              loss::teacher_temperatures(options_.loss, config_["pred_start_epoch"],
                                                         expected["epoch"])};
      EXPECT_NEAR(inputs.values.lr, expected["lr"][0], 1e-9);
      EXPECT_NEAR(inputs.values.lr, expected["lr"][1], 1e-9);
      EXPECT_NEAR(inputs.values.weight_decay, expected["weight_decay"][0], 1e-12);
      EXPECT_EQ(0, expected["weight_decay"][1].get<double>());
      check_groups(inputs.values.freeze_last_layer, expected);
      EXPECT_NEAR(inputs.values.momentum_teacher, expected["momentum"], 1e-12);
      check_step(step_.run(read_batch(inputs_, number, config_), inputs), expected);
    }
    check_final();
  }

  /// The logs and the names of clipped tensors follow from what is compared: losses, rates, norms.
  void expect_all_read() const {
    json_.expect_all_read({"log_lines_of_the_reference", "steps/clipped_params"});
  }

 private:
  /// One norm stands behind both hidden layers of the head, under two names.
  bool normed() const { return options_.head.norm != models::HeadNorm::kNone; }
  bool batch_norm() const { return normed() && options_.head.norm != models::HeadNorm::kLayer; }

  /// How many tensors learn with weight decay and without, and how many of each rest.
  void check_groups(bool frozen, const ReadJson& expected) const {
    std::array<int64_t, 2> count{}, resting{};
    for (const auto& parameter : step_.optimizer().parameters()) {
      const size_t group = parameter.decays ? 0 : 1;
      ++count[group];
      resting[group] += frozen && parameter.last_layer;
    }
    EXPECT_EQ(count, (expected["n_params"].get<std::array<int64_t, 2>>()));
    EXPECT_EQ(resting, (expected["n_grad_none"].get<std::array<int64_t, 2>>()));
  }

  void check_step(const StepResult& result, const ReadJson& expected) {
    const Tolerance tolerance{json_["tolerance"]["loss"]["rtol"], 1e-7};
    EXPECT_TRUE(near_here(result.loss.total, scalar(expected["loss"]), tolerance));
    EXPECT_TRUE(near_here(result.loss["cls"], scalar(expected["cls"]), tolerance));
    EXPECT_TRUE(near_here(result.loss["patch"], scalar(expected["patch"]), tolerance));
    const auto norms = expected["grad_norm_before_clip"];
    if (!norms.is_null()) {  // the reference computes them only where it clips
      double squares = 0.0;
      for (const auto& [name, norm] : norms.items()) squares += std::pow(norm.get<double>(), 2);
      EXPECT_TRUE(near_here(result.grad_norm, scalar(std::sqrt(squares)), {1e-4, 1e-5}));
    }
    const auto prefix = "step" + std::to_string(expected["step"].get<int64_t>()) + ".";
    const auto state = step_.state();
    const auto centers = json_["tolerance"]["centers"];
    for (const auto* name : {"center", "center2"}) {
      EXPECT_TRUE(near_here(state.at(std::string("loss.") + name),
                            tensors_.at(prefix + name + "_after"),
                            {centers["rtol"], centers["atol"]}))
          << name;
    }
    compare(prefix + "student.", "student.");
  }

  void check_final() {
    compare("student_final.", "student.");
    compare("teacher_final.", "teacher.");
    const auto parameters = step_.optimizer().parameters();
    EXPECT_EQ(parameters.size(), json_["param_group_of"].size());
    EXPECT_EQ(parameters.size(), json_["optimizer_state_after"].size());
    for (const auto& parameter : parameters) check_moments(parameter);
  }

  void check_moments(const optim::Parameter& parameter) const {
    const auto& name = parameter.name;
    SCOPED_TRACE(name);
    EXPECT_EQ(parameter.decays ? 0 : 1, json_["param_group_of"][name].get<int>());
    const auto state = step_.optimizer().state();
    const auto expected = json_["optimizer_state_after"][name];
    EXPECT_EQ(state.at("step." + name).item<double>(), expected["step"].get<double>());
    for (const std::string moment : {"exp_avg", "exp_avg_sq"}) {
      const auto stated = scalar(expected[moment + "_norm"]);
      const auto& own = state.at(moment + "." + name);
      if (comparable(name, own, batch_norm()).numel() == 0) continue;
      EXPECT_TRUE(near_here(own.norm(), stated, weights_tolerance())) << moment;
    }
  }

  Tolerance weights_tolerance() const {
    return {json_["tolerance"]["weights"]["rtol"], json_["tolerance"]["weights"]["atol"]};
  }

  /// Every stored tensor below `stored` against ours below `own`.
  void compare(const std::string& stored, const std::string& own) {
    const auto state = step_.state();
    const auto weights = weights_tolerance();
    int compared = 0;
    for (const auto& [key, expected] : tensors_) {
      if (key.rfind(stored, 0) != 0) continue;
      const auto name = key.substr(stored.size());
      const auto match = state.find(own + name);
      if (match == state.end()) {
        const bool alias = name.find("last_layer2.") != std::string::npos ||
                           (normed() && name.find("mlp.4.") != std::string::npos);
        EXPECT_TRUE(alias) << key << " has no counterpart";
        continue;
      }
      // Running means move with the biases that batch norm absorbs; the case file allows 2e-3.
      const bool running_mean = name.find("running_mean") != std::string::npos;
      const Tolerance tolerance{weights.rtol, running_mean ? 2e-3 : weights.atol};
      EXPECT_TRUE(near_here(comparable(name, match->second, batch_norm()),
                            comparable(name, expected, batch_norm()), tolerance))
          << key;
      ++compared;
    }
    EXPECT_GT(compared, 0) << stored;
  }

  ReadJson json_;
  ReadJson config_;
  Tensors tensors_;
  Tensors inputs_;
  StepOptions options_;
  TrainStep step_;
  int64_t first_ = 0;
};

TEST(StepGolden, WholeTrainingStepsMatchTheReference) {
  for (const auto& golden : testing::golden_cases("05_train_step")) {
    SCOPED_TRACE(golden.name);
    StepRun run(golden);
    run.train();
    run.expect_all_read();
  }
}

TEST(StepGolden, GoesOnFromTheReferencesCheckpoint) {
  const auto checkpoints = testing::golden_case("13_checkpoint", "checkpoints");
  const std::string file = checkpoints.json["resume"]["file"];
  for (const auto& golden : testing::golden_cases("05_train_step")) {
    if (file.rfind("resume_" + golden.name + "_epoch", 0) != 0) continue;
    StepRun run(golden);
    run.resume(checkpoints.folder / file);
    run.train();
    return;
  }
  FAIL() << "no case for " << file;
}

}  // namespace
}  // namespace ibot::train
