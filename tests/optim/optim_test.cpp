#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "ibot/base/error.h"
#include "ibot/optim/autocast.h"
#include "ibot/optim/ema.h"
#include "ibot/optim/grad_scaler.h"
#include "ibot/optim/optimizer.h"
#include "support/expect_tensor.h"

namespace ibot::optim {
namespace {

Parameter parameter(const std::string& name, const torch::Tensor& value,
                    const torch::Tensor& gradient) {
  auto tensor = value.clone().set_requires_grad(true);
  tensor.mutable_grad() = gradient.clone();
  return {.name = name, .tensor = tensor, .decays = true, .last_layer = name == "last_layer"};
}

// What the kernel says of the processor decides.
TEST(Precision, AutoIsWhatTheProcessorMultiplies) {
  std::ostringstream cpuinfo;
  cpuinfo << std::ifstream("/proc/cpuinfo").rdbuf();
  const bool has_bf16 = cpuinfo.str().find(" avx512_bf16") != std::string::npos;
  EXPECT_EQ(resolved(Precision::kAuto, torch::kCPU),
            has_bf16 ? Precision::kBf16 : Precision::kFp32);
  EXPECT_EQ(autocast_dtype(Precision::kAuto, torch::kCPU).has_value(), has_bf16);
}

TEST(Precision, WhatIsChosenStays) {
  EXPECT_EQ(resolved(Precision::kFp32, torch::kCPU), Precision::kFp32);
  EXPECT_EQ(resolved(Precision::kBf16, torch::kCPU), Precision::kBf16);
  EXPECT_EQ(resolved(Precision::kFp16, torch::kCUDA), Precision::kFp16);
  try {
    resolved(Precision::kFp16, torch::kCPU, "train.precision");
    FAIL();
  } catch (const OptionError& error) {
    EXPECT_STREQ(error.what(), "train.precision: expected fp32 or bf16 on the CPU, got fp16");
  }
}

TEST(ClipGradients, ScalesEachTensorForItself) {
  const std::vector<Parameter> parameters{
      parameter("large", torch::zeros({2}), torch::tensor({3.f, 4.f})),
      parameter("small", torch::zeros({2}), torch::tensor({0.3f, 0.4f}))};
  const auto norm = clip_gradients_(parameters, 1.0);
  EXPECT_NEAR(norm.item<float>(), std::sqrt(25.25), 1e-5);
  EXPECT_TENSOR_NEAR(parameters[0].tensor.grad(), torch::tensor({0.6f, 0.8f}));
  EXPECT_TENSOR_NEAR(parameters[1].tensor.grad(), torch::tensor({0.3f, 0.4f}));
}

TEST(ClipGradients, ZeroMeansNoLimit) {
  const std::vector<Parameter> parameters{
      parameter("large", torch::zeros({2}), torch::tensor({30.f, 40.f}))};
  clip_gradients_(parameters, 0.0);
  EXPECT_TENSOR_EQUAL(parameters[0].tensor.grad(), torch::tensor({30.f, 40.f}));
}

TEST(Optimizer, AFrozenTensorNeitherDecaysNorCountsASteps) {
  Optimizer optimizer(OptimizerKind::kAdamW,
                      {parameter("w", torch::ones({2}), torch::ones({2})),
                       parameter("last_layer", torch::ones({2}), torch::ones({2}))});
  optimizer.step({.lr = 0.1, .weight_decay = 0.5, .freeze_last_layer = true});
  EXPECT_TENSOR_EQUAL(optimizer.parameters()[1].tensor.detach(), torch::ones({2}));
  EXPECT_EQ(optimizer.state().at("step.last_layer").item<float>(), 0.0f);
  EXPECT_EQ(optimizer.state().at("step.w").item<float>(), 1.0f);
  // First AdamW step: p (1 - lr wd) - lr sign(g)
  EXPECT_TENSOR_NEAR(optimizer.parameters()[0].tensor, torch::full({2}, 1.0f - 0.05f - 0.1f));
}

TEST(Optimizer, AnOverflowChangesNothing) {
  for (const auto& [kind, name] : EnumNames<OptimizerKind>::values) {
    Optimizer optimizer(kind, {parameter("w", torch::ones({2, 2}), torch::full({2, 2}, INFINITY))});
    optimizer.step({.lr = 0.1, .weight_decay = 0.5}, Overflow{torch::ones({})});
    EXPECT_TENSOR_EQUAL(optimizer.parameters()[0].tensor.detach(), torch::ones({2, 2}));
    EXPECT_EQ(optimizer.state().at("step.w").item<float>(), 0.0f) << name;
  }
}

TEST(Optimizer, StateOfAnotherShapeIsRefused) {
  Optimizer optimizer(OptimizerKind::kAdamW, {parameter("w", torch::ones({2}), torch::ones({2}))});
  auto state = optimizer.state();
  state["exp_avg.w"] = torch::zeros({3});
  EXPECT_THROW(optimizer.load_state(state), CheckpointError);
  state.erase("exp_avg.w");
  EXPECT_THROW(optimizer.load_state(state), CheckpointError);
}

TEST(TrainedParameters, BiasesAndVectorsDoNotDecay) {
  struct Tiny : torch::nn::Module {
    Tiny() {
      register_parameter("weight", torch::zeros({2, 2}));
      register_parameter("gamma_1", torch::zeros({2}));
      register_parameter("weight_g", torch::zeros({2, 1}), /*requires_grad=*/false);
      auto layer = register_module("last_layer", std::make_shared<torch::nn::Module>());
      layer->register_parameter("bias", torch::zeros({1, 2}));
    }
  };
  const auto parameters = trained_parameters(Tiny());
  ASSERT_EQ(parameters.size(), 3u);
  EXPECT_TRUE(parameters[0].decays);
  EXPECT_FALSE(parameters[1].decays);
  EXPECT_FALSE(parameters[2].decays);
  EXPECT_TRUE(parameters[2].last_layer);
}

TEST(Ema, PairsCommonNamesAlone) {
  torch::nn::Module teacher, student;
  auto averaged = teacher.register_parameter("a", torch::zeros({2}), false);
  student.register_parameter("masked_embed", torch::ones({2}));
  student.register_parameter("a", torch::ones({2}));
  const auto pairs = common_parameters(teacher, student);
  ASSERT_EQ(pairs.teacher.size(), 1u);
  ema_update_(pairs, 0.9);
  EXPECT_TENSOR_NEAR(averaged, torch::full({2}, 0.1f));
}

TEST(GradScaler, HalvesAtAnOverflowAndDoublesAfterGoodSteps) {
  GradScaler scaler(torch::kCPU);
  auto gradient = torch::tensor({65536.f, 131072.f});
  EXPECT_EQ(scaler.unscale_({gradient}).item<float>(), 0.0f);
  EXPECT_TENSOR_EQUAL(gradient, torch::tensor({1.f, 2.f}));
  auto overflowed = torch::tensor({INFINITY});
  const auto found = scaler.unscale_({overflowed});
  EXPECT_GT(found.item<float>(), 0.0f);
  scaler.update(found);
  EXPECT_EQ(scaler.scale().item<float>(), 32768.0f);
  for (int i = 0; i < 2000; ++i) scaler.update(torch::zeros({}));
  EXPECT_EQ(scaler.scale().item<float>(), 65536.0f);
}

// An overflow at a scale that no longer enlarges anything is one that a lower scale does not heal.
TEST(GradScaler, BelowOneAnOverflowIsBeyondRemedy) {
  GradScaler scaler(torch::kCPU);
  const auto none = torch::zeros({}), found = torch::ones({});
  for (float scale = 65536.0f; scale >= 1.0f; scale /= 2) {
    EXPECT_EQ(scaler.scale().item<float>(), scale);
    EXPECT_EQ(scaler.beyond_remedy(found).item<float>(), 0.0f) << scale;
    scaler.update(found);
  }
  EXPECT_EQ(scaler.beyond_remedy(found).item<float>(), 1.0f);
  EXPECT_EQ(scaler.beyond_remedy(none).item<float>(), 0.0f);
}

// The published CIFAR run: lr 1.125e-5, floor 1e-5, 1000 epochs of which 5 warm up from 1e-6.
TEST(EpochSchedule, IsThatOfTimmOneEpochLate) {
  const EpochSchedule schedule{1.125e-5, 1e-5, 1000, 5, 1e-6};
  const std::vector<double> expected{1e-6, 1e-6, 3.05e-6, 5.1e-6, 7.15e-6, 9.2e-6, 1.1249923e-5};
  for (size_t epoch = 0; epoch < expected.size(); ++epoch) {
    EXPECT_NEAR(schedule.at(static_cast<int64_t>(epoch)), expected[epoch], 1e-12) << epoch;
  }
  EXPECT_NEAR(schedule.at(500), 1.0626963e-5, 1e-12);
  EXPECT_NEAR(schedule.at(999), 1.0000012e-5, 1e-12);
  EXPECT_EQ((EpochSchedule{1.0, 0.0, 10, 0, 0.5}.at(0)), 1.0);
}

// What timm 0.4.12's create_scheduler gives over 10 epochs of lr 0.1, min_lr 1e-3, warmup_lr 1e-4,
// warmup_epochs 2, decay_epochs 2.5, decay_rate 0.5, seed 3, with step(epoch) after each epoch.
TEST(EpochSchedule, HasTheCurvesAndTheNoiseOfTimm) {
  const auto expect = [](const EpochSchedule& schedule, const std::vector<double>& expected) {
    for (size_t epoch = 0; epoch < expected.size(); ++epoch) {
      EXPECT_NEAR(schedule.at(static_cast<int64_t>(epoch)), expected[epoch], 1e-10) << epoch;
    }
  };
  const EpochSchedule cosine{0.1, 1e-3, 10, 2, 1e-4, LrCurve::kCosine, 2.5, 0.5};
  expect(cosine, {0.0001, 0.0001, 0.05005, 0.0905463412, 0.07959537, 0.0657963412, 0.0505,
                  0.0352036588, 0.02140463, 0.0104536588});
  auto noisy = cosine;
  noisy.noise = {0.3, 0.6, 0.67, 3};
  expect(noisy, {0.0001, 0.0001, 0.05005, 0.0905463412, 0.0937394849, 0.0561377611, 0.0641994634,
                 0.0352036588, 0.02140463, 0.0104536588});
  auto tanh = cosine;
  tanh.curve = LrCurve::kTanh;
  expect(tanh, {0.0001, 0.0001, 0.0500334002, 0.0999668003, 0.0997552103, 0.0982193652,
                0.0881989107, 0.0505, 0.0128010893, 0.00278063479});
  tanh.warmup_epochs = 0;
  expect(tanh, {0.1, 0.0999993917, 0.0999955056, 0.0999668003});
  auto step = cosine;
  step.curve = LrCurve::kStep;
  expect(step, {0.0001, 0.0001, 0.05005, 0.1, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125});
  step.noise = {0.5, 1.0, 0.2, 3};
  expect(step, {0.0001, 0.0001, 0.05005, 0.1, 0.05, 0.05, 0.021417141, 0.0261181884, 0.0253915946,
                0.0145599805});
}

TEST(ClipGlobalNorm, ScalesAllGradientsByOneFactor) {
  std::vector<Parameter> parameters;
  for (const double value : {3.0, 4.0}) {
    const auto tensor = torch::zeros({1}, torch::requires_grad());
    tensor.mutable_grad() = torch::full({1}, value);
    parameters.push_back({.name = "p", .tensor = tensor});
  }
  EXPECT_NEAR(clip_global_norm_(parameters, 0.0).item<double>(), 5.0, 1e-6);
  EXPECT_NEAR(clip_global_norm_(parameters, 1.0).item<double>(), 5.0, 1e-6);
  EXPECT_NEAR(parameters[0].tensor.grad().item<double>(), 0.6, 1e-6);
  EXPECT_NEAR(parameters[1].tensor.grad().item<double>(), 0.8, 1e-6);
  EXPECT_NEAR(clip_global_norm_(parameters, 3.0).item<double>(), 1.0, 1e-6);
  EXPECT_NEAR(parameters[1].tensor.grad().item<double>(), 0.8, 1e-6);
}

// Two tensors of equal gradient move in the ratio of their scales.
TEST(Optimizer, ScalesTheLearningRateOfAParameter) {
  for (const auto kind : {OptimizerKind::kAdamW, OptimizerKind::kNesterov, OptimizerKind::kLars}) {
    std::vector<Parameter> parameters;
    for (const double scale : {1.0, 0.25}) {
      const auto tensor = torch::zeros({2}, torch::requires_grad());
      tensor.mutable_grad() = torch::full({2}, 0.5);
      parameters.push_back({.name = std::to_string(scale), .tensor = tensor, .lr_scale = scale});
    }
    Optimizer optimizer(kind, parameters);
    optimizer.step({.lr = 0.1});
    EXPECT_LT(parameters[0].tensor[0].item<double>(), 0.0);
    EXPECT_TENSOR_NEAR(parameters[0].tensor * 0.25, parameters[1].tensor);
  }
}

// What torch.optim gives after three steps in float64 at lr 0.1 and weight_decay 0.2: Adam and
// AdamW with betas (0.8, 0.9) and eps 1e-3, SGD with momentum 0.7, once with nesterov=True.
TEST(Optimizer, OfEachKindEqualsTorch) {
  const std::vector<torch::Tensor> gradients{torch::tensor({{.5f, -1.f}, {2.f, .25f}}),
                                             torch::tensor({{-1.f, .5f}, {1.f, -3.f}}),
                                             torch::tensor({{.125f, 2.f}, {-.5f, 1.f}})};
  const std::map<OptimizerKind, torch::Tensor> expected{
      {OptimizerKind::kAdam, torch::tensor({{.9125024, -1.8698561}, {.252472, 2.9477039}})},
      {OptimizerKind::kAdamW, torch::tensor({{.9085915, -1.8183523}, {.23285, 2.8253533}})},
      {OptimizerKind::kNesterov, torch::tensor({{.9483028, -1.9592757}, {-.1676115, 3.0369142}})},
      {OptimizerKind::kSgd, torch::tensor({{.953332, -1.879664}, {-.090504, 3.062796}})}};
  for (const auto& [kind, values] : expected) {
    const auto begin = torch::tensor({{1.f, -2.f}, {.5f, 3.f}});
    Optimizer optimizer(kind, {parameter("w", begin, begin)}, {}, {{0.8, 0.9}, 1e-3, 0.7});
    const auto& tensor = optimizer.parameters()[0].tensor;
    for (const auto& gradient : gradients) {
      torch::Tensor(tensor).mutable_grad() = gradient.clone();
      optimizer.step({.lr = 0.1, .weight_decay = 0.2});
    }
    EXPECT_TENSOR_NEAR(tensor, values.to(torch::kFloat)) << enum_name(kind);
  }
}

// The second step by hand: m = b1 (1 - b1) g + (1 - b1) h, v likewise, each over 1 - b^2.
TEST(AdamW, TakesItsBetasAndEps) {
  const double b1 = 0.8, b2 = 0.5, eps = 0.25, lr = 0.1, g = 2.0, h = -1.0;
  Optimizer optimizer(OptimizerKind::kAdamW,
                      {parameter("w", torch::zeros({1}), torch::full({1}, g))}, {},
                      {{b1, b2}, eps});
  const auto& tensor = optimizer.parameters()[0].tensor;
  optimizer.step({.lr = lr, .weight_decay = 0.0});
  const double first = -lr * g / (std::abs(g) + eps);
  EXPECT_NEAR(tensor.item<double>(), first, 1e-6);
  torch::Tensor(tensor).mutable_grad() = torch::full({1}, h);
  optimizer.step({.lr = lr, .weight_decay = 0.0});
  const double m = (b1 * (1 - b1) * g + (1 - b1) * h) / (1 - b1 * b1);
  const double v = (b2 * (1 - b2) * g * g + (1 - b2) * h * h) / (1 - b2 * b2);
  EXPECT_NEAR(tensor.item<double>(), first - lr * m / (std::sqrt(v) + eps), 1e-6);
}

}  // namespace
}  // namespace ibot::optim
