#include "ibot/train/step.h"

#include <gtest/gtest.h>

#include "ibot/base/error.h"
#include "ibot/train/flops.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/tiny.h"

namespace ibot::train {
namespace {

using testing::tiny_step_options;
using testing::TinySource;

/// Losses of the first steps of the tiny run.
std::vector<double> losses(const StepOptions& options, int64_t steps) {
  TrainStep step(options, torch::kCPU);
  TinySource source;
  std::vector<double> values;
  const optim::RunLength length{.epochs = 4, .steps_per_epoch = 5, .global_batch = 64};
  for (int64_t i = 0; i < steps; ++i) {
    const auto batch = batch::prepared(*source.next(), torch::kCPU, {});
    const auto inputs = step_inputs(options, {.warmup_epochs = 1}, 0, length, i);
    values.push_back(step.run(batch, inputs).loss.total.item<double>());
  }
  return values;
}

// A change that should not alter results must leave these as they are.
TEST(Step, LossesOfAShortRunAreKept) {
  const auto kept = testing::read_json(std::string(IBOT_SOURCE_DIR) + "/tests/losses/tiny.json");
  const auto expected = kept["losses"].get<std::vector<double>>();
  const auto actual = losses(tiny_step_options(), static_cast<int64_t>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], 1e-4 * expected[i]) << "step " << i;
  }
}

TEST(Step, EqualSeedsGiveEqualBitsAndOthersDoNot) {
  const auto first = losses(tiny_step_options(), 6);
  EXPECT_EQ(first, losses(tiny_step_options(), 6));
  auto other = tiny_step_options();
  other.seed = 1;
  EXPECT_NE(first, losses(other, 6));
}

TEST(Step, BrainFloatStaysNearFloat32) {
  auto options = tiny_step_options();
  const auto full = losses(options, 8);
  options.precision = Precision::kBf16;
  const auto half = losses(options, 8);
  for (size_t i = 0; i < full.size(); ++i) EXPECT_NEAR(half[i], full[i], 0.02 * full[i]) << i;
}

TEST(Step, HalfPrecisionOnTheCpuIsRefused) {
  auto options = tiny_step_options();
  options.precision = Precision::kFp16;
  EXPECT_THROW(TrainStep(options, torch::kCPU), ConfigError);
}

TEST(Step, EveryOptimizerLowersTheLossOfOneBatch) {
  for (const auto& [kind, name] : EnumNames<optim::OptimizerKind>::values) {
    auto options = tiny_step_options();
    options.optim.optimizer = kind;
    options.backbone.drop_path = 0.0;
    // A fixed teacher and fixed centers make the task stand still.
    options.loss.center_momentum = 1.0;
    options.loss.center_momentum_patch = 1.0;
    TrainStep step(options, torch::kCPU);
    TinySource source;
    const auto batch = batch::prepared(*source.next(), torch::kCPU, {});
    const StepInputs inputs{.step = 0,
                            .values = {.lr = kind == optim::OptimizerKind::kAdamW ? 1e-3 : 1e-2,
                                       .momentum_teacher = 1.0},
                            .temperatures = {0.1, 0.1}};
    const auto first = step.run(batch, inputs).loss.total.item<double>();
    double last = first;
    for (int i = 0; i < 10; ++i) last = step.run(batch, inputs).loss.total.item<double>();
    EXPECT_LT(last, first) << name;
  }
}

TEST(Step, ABatchWithoutMasksTrains) {
  auto options = tiny_step_options();
  TrainStep step(options, torch::kCPU);
  TinySource source;
  auto loaded = *source.next();
  loaded.mask.zero_();
  loaded.pairs = batch::masked_pairs(loaded.mask);
  const auto result = step.run(batch::prepared(loaded, torch::kCPU, {}),
                               {.step = 0, .values = {.lr = 1e-3}, .temperatures = {0.04, 0.04}});
  EXPECT_EQ(result.loss["patch"].item<float>(), 0.0f);
  EXPECT_TRUE(result.loss.total.isfinite().item<bool>());
}

// Forward operations of the published models at 224 and 96 pixels, in GFLOP.
TEST(Flops, BackbonesMatchTheirKnownCosts) {
  for (const auto& [arch, large, small] : {std::tuple{"vit_small", 9.20, 1.62},
                                           {"vit_base", 35.13, 6.38},
                                           {"vit_large", 123.11, 22.54}}) {
    models::BackboneOptions options;
    options.arch = arch;
    EXPECT_NEAR(backbone_flops(options, 224) / 1e9, large, 0.01 * large) << arch;
    EXPECT_NEAR(backbone_flops(options, 96) / 1e9, small, 0.01 * small) << arch;
  }
}

// What torch.utils.flop_counter counts in the reference's Swin: matrix products, padding included.
TEST(Flops, SwinMatchesACountOfTheReference) {
  struct Known {
    const char* arch;
    int64_t window;
    double large, small;
  };
  for (const auto& known : {Known{"swin_tiny", 7, 8.979597312, 2.209809408},
                            Known{"swin_tiny", 14, 9.776191488, 3.71493888},
                            Known{"swin_base", 7, 30.859845632, 6.994202624}}) {
    models::BackboneOptions options;
    options.arch = known.arch;
    options.patch_size = 4;
    options.window_size = known.window;
    EXPECT_NEAR(backbone_flops(options, 224) / 1e9, known.large, 1e-6) << known.arch;
    EXPECT_NEAR(backbone_flops(options, 96) / 1e9, known.small, 1e-6) << known.arch;
  }
}

// ViT-S/16 with 2 + 10 crops, 8192 prototypes, 15 % masked: 129.9 GFLOP an image.
TEST(Flops, ProductsTakeTime) {
  const auto speed = product_flops_per_s(torch::kCPU, torch::kFloat);
  EXPECT_GT(speed, 1e6);
  EXPECT_LT(speed, 1e14);
}

TEST(Flops, StepMatchesTheCountByHand) {
  const ViewCounts views{.global_crops = 2, .local_crops = 10, .masked_ratio = 0.15};
  EXPECT_NEAR(step_flops({}, {}, views) / 1e9, 129.9, 0.01 * 129.9);
}

// Half of the 36 patches of each of ten local crops: the teacher sees them too, 10 x 1.62 and the
// trunk on 360 patches, 11.01 MFLOP each; the student scores 180, and both take their prototypes,
// 4.19 MFLOP each: 29.1 GFLOP more.
TEST(Flops, MaskedLocalCropsCostTheTeacherToo) {
  ViewCounts views{.global_crops = 2, .local_crops = 10, .masked_ratio = 0.15};
  const double without = step_flops({}, {}, views);
  views.local_masked_ratio = 0.5;
  EXPECT_NEAR((step_flops({}, {}, views) - without) / 1e9, 29.1, 0.01 * 29.1);
}

}  // namespace
}  // namespace ibot::train
