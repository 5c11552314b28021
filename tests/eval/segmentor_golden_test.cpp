#include <gtest/gtest.h>

#include "ibot/eval/gradient_step.h"
#include "ibot/models/network.h"
#include "ibot/optim/layer_decay.h"
#include "ibot/segmentation/inference.h"
#include "ibot/segmentation/segmentor.h"
#include "support/golden.h"

namespace ibot::segmentation {
namespace {

using ::ibot::testing::dense_case;
using ::ibot::testing::near;

using Tensors = std::map<std::string, torch::Tensor>;

torch::Tensor pixels(const torch::Tensor& stored) { return (stored.to(torch::kFloat) - 128) / 64; }

testing::Tolerance tolerance_of(const testing::ReadJson& json) {
  return {json["rtol"], json.value("atol", 0.0)};
}

/// One whole model with what the reference did with it.
class ModelCase {
 public:
  explicit ModelCase(const std::string& name)
      : golden_(dense_case("08_segmentor", name)),
        linear_(name == "linear"),
        tensors_(golden_.tensors()),
        model_(std::make_shared<Segmentor>(options())) {
    const torch::NoGradGuard no_grad;
    const auto weights =
        io::read_safetensors(golden_.folder / (name + ".weights.safetensors")).tensors;
    size_t copied = 0;
    for (const auto& [key, tensor] : models::named_state(*model_)) {
      if (key.ends_with("num_batches_tracked")) continue;  // decides nothing here
      if (weights.count(key) == 0) throw Error("no weight " + key);
      torch::Tensor(tensor).copy_(weights.at(key));
      ++copied;
    }
    EXPECT_EQ(copied, weights.size());
  }

  void check_prediction() {
    model_->eval();
    const torch::NoGradGuard no_grad;
    const auto config = golden_.json["config"];
    const SlidingOptions sliding{.crop = config["window"], .stride = config["stride"], .batch = 4};
    const auto tolerance = tolerance_of(golden_.json["tolerance"]["predictions"]);
    const auto size = config["original_size"].get<std::vector<int64_t>>();
    const auto image = pixels(tensors_.at("predict.image"))[0];
    const auto grid = config["windows"].get<std::vector<int64_t>>();
    EXPECT_EQ(static_cast<int64_t>(sliding_windows(image.size(1), image.size(2), sliding).size()),
              grid[0] * grid[1]);
    const PixelNetwork network = [this](const torch::Tensor& images) {
      return model_->forward(images);
    };
    const auto logits = sliding_logits(network, image, sliding);
    EXPECT_TRUE(near(logits, tensors_.at("predict.logits_at_input_size")[0], tolerance));
    const auto single = mean_probabilities(network, {image}, /*flip=*/false, size, sliding);
    EXPECT_TRUE(near(single[0], tensors_.at("predict.probability0")[0], tolerance));
    EXPECT_TRUE(testing::equal(predicted_labels(network, image, size, sliding).to(torch::kByte),
                               tensors_.at("predict.labels")[0]));
    if (!golden_.json.contains("multiscale_sizes")) return;
    std::vector<torch::Tensor> versions;
    for (const auto& version : golden_.json["multiscale_sizes"].elements()) {
      versions.push_back(
          resized(image.unsqueeze(0), version.get<std::vector<int64_t>>()).squeeze(0));
    }
    const auto mean = mean_probabilities(network, versions, /*flip=*/true, size, sliding);
    EXPECT_TRUE(near(mean[0], tensors_.at("multiscale.probability0").view(size), tolerance));
    expect_labels(mean, tensors_.at("multiscale.labels").view(size), tolerance);
  }

  void check_training() {
    const auto training = golden_.json["config"]["training"];
    auto parameters = optim::dense_parameters(*model_, model_->options().backbone.backbone,
                                              training["layer_decay"]);
    if (linear_) parameters = optim::decayed_alike(std::move(parameters));
    check_groups(parameters);
    eval::GradientStep step(
        {.run = {.precision = optim::Precision::kFp32},
         .constants = {training["betas"].get<std::array<double, 2>>(), training["eps"]}},
        model_, parameters, torch::kCPU);
    const optim::PolySchedule schedule{
        .base = training["base_lr"],
        .final = training["min_lr"],
        .total_steps = training["max_iters"],
        .power = training["power"],
        .warmup = {training["warmup_iters"], training["warmup_ratio"]}};
    for (const auto& expected : golden_.json["steps"].elements()) {
      check_step(step, schedule, expected, training["weight_decay"]);
    }
    check_final();
  }

 private:
  testing::GoldenCase golden_;
  bool linear_;
  Tensors tensors_;
  std::shared_ptr<Segmentor> model_;

  SegmentorOptions options() const {
    const auto config = golden_.json["config"];
    const auto vit = config["backbone"];
    return {.backbone = {.backbone = {.arch = "vit_tiny",
                                      .patch_size = vit["patch_size"],
                                      .image_size = vit["img_size"][0],
                                      .drop_path = vit["drop_path_rate"],
                                      .embed_dim = vit["embed_dim"],
                                      .depth = {vit["depth"].get<int64_t>()},
                                      .heads = {vit["num_heads"].get<int64_t>()},
                                      .mlp_ratio = vit["mlp_ratio"],
                                      .qkv_bias = vit["qkv_bias"]},
                         .taps = vit["out_indices"].get<std::vector<int64_t>>(),
                         .out_with_norm = vit["out_with_norm"],
                         .pyramid = !linear_,
                         .frozen = linear_},
            .head = linear_ ? HeadKind::kLinear : HeadKind::kUper,
            .classes = config["classes"],
            .channels = config["channels"],
            .auxiliary_channels = config["aux_channels"],
            .dropout = 0};
  }

  /// The labels wherever the two best probabilities differ by more than the tolerance of each.
  static void expect_labels(const torch::Tensor& probabilities, const torch::Tensor& expected,
                            const testing::Tolerance& tolerance) {
    const auto best = std::get<0>(probabilities.topk(2, 0));
    const auto decided = (best[0] - best[1]) > 2 * (tolerance.atol + tolerance.rtol * best[0]);
    EXPECT_GT(decided.to(torch::kFloat).mean().item<double>(), 0.99);
    const auto differs = probabilities.argmax(0).to(torch::kByte).ne(expected).logical_and(decided);
    EXPECT_EQ(differs.sum().item<int64_t>(), 0)
        << "of " << expected.numel() << ", margins up to "
        << ((best[0] - best[1]) * differs).max().item<double>();
  }

  void check_step(eval::GradientStep& step, const optim::PolySchedule& schedule,
                  const testing::ReadJson& expected, double weight_decay) {
    const int64_t i = expected["iteration"];
    const double rtol = golden_.json["tolerance"]["losses"]["rtol"];
    const auto is = [&](const torch::Tensor& actual, double value) {
      EXPECT_NEAR(actual.item<double>(), value, rtol * value) << "iteration " << i;
    };
    const auto values = expected["losses"];
    model_->train();
    const auto loss = model_->losses(pixels(tensors_.at(concat("step", i, ".image"))),
                                     tensors_.at(concat("step", i, ".label")).squeeze(1));
    is(loss.total, values["loss"]);
    is(loss.decode, values["decode.loss_seg"]);
    EXPECT_NEAR(100 * loss.correct.item<double>(), values["decode.acc_seg"].get<double>(), 0.05);
    if (values.contains("aux.loss_seg")) is(loss.auxiliary, values["aux.loss_seg"]);
    step.accumulate(loss.total);
    const auto lr = schedule.at(i);
    EXPECT_NEAR(lr, expected["lr_of_full_scale"].get<double>(), 1e-9 * lr);
    const auto result = step.update({.lr = lr, .weight_decay = weight_decay});
    EXPECT_NEAR(result.grad_norm.item<double>(), expected["gradient_norm_total"].get<double>(),
                1e-3 * expected["gradient_norm_total"].get<double>());
  }

  void check_groups(const std::vector<optim::Parameter>& parameters) const {
    std::map<std::string, optim::Parameter> named;
    for (const auto& parameter : parameters) named.emplace(parameter.name, parameter);
    size_t found = 0;
    for (const auto& group : golden_.json["param_groups"].elements()) {
      for (const auto& name : group["parameters"].get<std::vector<std::string>>()) {
        ASSERT_EQ(named.count(name), 1U) << name;
        EXPECT_NEAR(named.at(name).lr_scale, group["lr_scale"].get<double>(), 1e-12) << name;
        EXPECT_EQ(named.at(name).decays, group["weight_decay"].get<double>() > 0) << name;
        ++found;
      }
    }
    EXPECT_EQ(found, named.size());
  }

  /// Of `qkv.bias` the key third, and biases that batch normalization removes, have no gradient but
  /// noise.
  static torch::Tensor told(const std::string& name, const torch::Tensor& tensor) {
    for (const auto* noise : {"fpn1.0.bias", "fpn1.3.bias", "fpn2.0.bias"}) {
      if (name.ends_with(noise)) return {};
    }
    if (!name.ends_with("qkv.bias")) return tensor;
    const auto thirds = tensor.chunk(3);
    return torch::cat({thirds[0], thirds[2]});
  }

  void check_final() const {
    const auto tolerance = golden_.json["tolerance"]["final_weights"];
    const double atol = tolerance["atol"], rtol = tolerance["rtol"];
    std::map<std::string, torch::Tensor> own;
    for (const auto& [name, tensor] : models::named_state(*model_)) own["final." + name] = tensor;
    int64_t compared = 0;
    for (const auto& [name, tensor] : tensors_) {
      if (!name.starts_with("final.")) continue;
      const auto expected = told(name, tensor);
      if (!expected.defined()) continue;
      const auto actual = told(name, own.at(name).detach());
      // Running means of what such biases are added to move with their noise: the case says how far
      // the reference in float32 is from itself in float64, and so can be two float32 runs, twice.
      const double noise = 2 * golden_.json["float32_noise"][name.c_str()][0].get<double>();
      const auto excess = (actual - expected).abs() - (atol + noise + rtol * expected.abs());
      EXPECT_LE((excess > 0).to(torch::kDouble).mean().item<double>(), 0.01) << name;
      ++compared;
    }
    EXPECT_GT(compared, 0);
  }
};

class SegmentorDense : public ::testing::TestWithParam<const char*> {};

TEST_P(SegmentorDense, PredictsTheSame) { ModelCase(GetParam()).check_prediction(); }

TEST_P(SegmentorDense, TrainsTheSame) { ModelCase(GetParam()).check_training(); }

INSTANTIATE_TEST_SUITE_P(Cases, SegmentorDense, ::testing::Values("upernet", "linear"));

}  // namespace
}  // namespace ibot::segmentation
