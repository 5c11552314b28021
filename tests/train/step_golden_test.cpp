#include <gtest/gtest.h>

#include "ibot/io/torch_file.h"
#include "ibot/train/official_checkpoint.h"
#include "ibot/train/step.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/golden_options.h"
#include "support/weights.h"

namespace ibot::train {
namespace {

using testing::near;
using testing::Tolerance;
using Tensors = std::map<std::string, torch::Tensor>;

StepOptions options_of(const nlohmann::json& config) {
  StepOptions options;
  const bool swin = config["arch"] == "swin";
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
  options.optim.freeze_last_layer = config["freeze_last_layer"];
  options.global_views = config["global_crops_number"];
  return options;
}

batch::MultiCropBatch read_batch(const Tensors& inputs, int64_t step,
                                 const nlohmann::json& config) {
  const auto prefix = "step" + std::to_string(step) + ".";
  const int64_t globals = config["global_crops_number"];
  const int64_t locals = config["local_crops_number"];
  std::vector<torch::Tensor> global, local, masks;
  for (int64_t i = 0; i < globals + locals; ++i) {
    (i < globals ? global : local).push_back(inputs.at(prefix + "crop" + std::to_string(i)));
  }
  for (int64_t i = 0; i < globals; ++i) {
    masks.push_back(inputs.at(prefix + "mask" + std::to_string(i)).flatten(1));
  }
  batch::MultiCropBatch batch;
  batch.global = torch::cat(global);
  if (locals > 0) batch.local = torch::cat(local);
  batch.mask = torch::cat(masks).to(torch::kBool);
  batch.sample_id = torch::arange(global[0].size(0));
  batch.pairs = batch::masked_pairs(batch.mask);
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

class StepRun {
 public:
  explicit StepRun(const testing::GoldenCase& golden)
      : json_(golden.json),
        config_(json_["config"]),
        tensors_(golden.tensors()),
        inputs_(golden.tensors("inputs.")),
        options_(options_of(config_)),
        step_(options_, torch::kCPU) {
    std::set<std::string> aliases;
    if (batch_norm()) aliases.insert("head.mlp.4.");
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
    const optim::ScheduleOptions schedule{.warmup_epochs = config_["warmup_epochs"],
                                          .momentum_teacher = config_["momentum_teacher"]};
    const optim::RunLength length{config_["epochs"], config_["iterations_per_epoch"],
                                  config_["batch_size"]};
    for (const auto& expected : json_["steps"]) {
      const int64_t number = expected["step"];
      if (number < first_) continue;
      SCOPED_TRACE("step " + std::to_string(number));
      const StepInputs inputs{number, optim::step_values(options_.optim, schedule, length, number),
                              loss::teacher_temperatures(options_.loss, config_["pred_start_epoch"],
                                                         expected["epoch"])};
      EXPECT_NEAR(inputs.values.lr, expected["lr"][0], 1e-9);
      EXPECT_NEAR(inputs.values.weight_decay, expected["weight_decay"][0], 1e-12);
      EXPECT_NEAR(inputs.values.momentum_teacher, expected["momentum"], 1e-12);
      check_step(step_.run(read_batch(inputs_, number, config_), inputs), expected);
    }
    check_final();
  }

 private:
  bool batch_norm() const { return options_.head.norm != models::HeadNorm::kNone; }

  void check_step(const StepResult& result, const nlohmann::json& expected) {
    const Tolerance tolerance{json_["tolerance"]["loss"]["rtol"], 1e-7};
    const auto scalar = [](double value) { return torch::tensor(value, torch::kDouble); };
    EXPECT_TRUE(near(result.loss.total, scalar(expected["loss"]), tolerance));
    EXPECT_TRUE(near(result.loss["cls"], scalar(expected["cls"]), tolerance));
    EXPECT_TRUE(near(result.loss["patch"], scalar(expected["patch"]), tolerance));
    const auto& norms = expected["grad_norm_before_clip"];
    if (!norms.is_null()) {  // the reference computes them only where it clips
      double squares = 0.0;
      for (const auto& norm : norms) squares += norm.get<double>() * norm.get<double>();
      EXPECT_TRUE(near(result.grad_norm, scalar(std::sqrt(squares)), {1e-4, 1e-5}));
    }
    const auto prefix = "step" + std::to_string(expected["step"].get<int64_t>()) + ".";
    const auto state = step_.state();
    const auto& centers = json_["tolerance"]["centers"];
    for (const auto* name : {"center", "center2"}) {
      EXPECT_TRUE(near(state.at(std::string("loss.") + name), tensors_.at(prefix + name + "_after"),
                       {centers["rtol"], centers["atol"]}))
          << name;
    }
    compare(prefix + "student.", "student.");
  }

  void check_final() {
    compare("student_final.", "student.");
    compare("teacher_final.", "teacher.");
  }

  /// Every stored tensor below `stored` against ours below `own`.
  void compare(const std::string& stored, const std::string& own) {
    const auto state = step_.state();
    const auto& weights = json_["tolerance"]["weights"];
    int compared = 0;
    for (const auto& [key, expected] : tensors_) {
      if (key.rfind(stored, 0) != 0) continue;
      const auto name = key.substr(stored.size());
      const auto match = state.find(own + name);
      if (match == state.end()) {
        const bool alias = name.find("last_layer2.") != std::string::npos ||
                           (batch_norm() && name.find("mlp.4.") != std::string::npos);
        EXPECT_TRUE(alias) << key << " has no counterpart";
        continue;
      }
      // Running means move with the biases that batch norm absorbs; the case file allows 2e-3.
      const bool running_mean = name.find("running_mean") != std::string::npos;
      const Tolerance tolerance{weights["rtol"],
                                running_mean ? 2e-3 : weights["atol"].get<double>()};
      EXPECT_TRUE(near(comparable(name, match->second, batch_norm()),
                       comparable(name, expected, batch_norm()), tolerance))
          << key;
      ++compared;
    }
    EXPECT_GT(compared, 0) << stored;
  }

  nlohmann::json json_;
  nlohmann::json config_;
  Tensors tensors_;
  Tensors inputs_;
  StepOptions options_;
  TrainStep step_;
  int64_t first_ = 0;
};

TEST(StepGolden, WholeTrainingStepsMatchTheReference) {
  for (const auto& golden : testing::golden_cases("05_train_step")) {
    SCOPED_TRACE(golden.name);
    StepRun(golden).train();
  }
}

TEST(StepGolden, GoesOnFromTheReferencesCheckpoint) {
  const auto folder = testing::golden_root() / "13_checkpoint";
  const auto resume = testing::read_json(folder / "checkpoints.json")["resume"];
  const std::string file = resume["file"];
  for (const auto& golden : testing::golden_cases("05_train_step")) {
    if (file.rfind("resume_" + golden.name + "_", 0) != 0) continue;
    StepRun run(golden);
    run.resume(folder / file);
    run.train();
    return;
  }
  FAIL() << "no case for " << file;
}

}  // namespace
}  // namespace ibot::train
