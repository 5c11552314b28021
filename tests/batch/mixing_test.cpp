#include "ibot/batch/mixing.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ibot/loss/soft_target_loss.h"
#include "support/expect_tensor.h"
#include "support/golden_tensors.h"

namespace ibot::batch {
namespace {

Rng numbered(uint64_t number) { return {5, number, 0, kMixing}; }

TEST(Mixing, TargetsSpreadAShareOverAllClasses) {
  EXPECT_TENSOR_NEAR(smooth_targets(torch::tensor({2, 0}), 4, 0.2),
                     torch::tensor({{.05, .05, .85, .05}, {.85, .05, .05, .05}}));
}

TEST(Mixing, CutmixPastesABoxOfTheReversedBatch) {
  const auto images = torch::arange(4).view({4, 1, 1, 1}).expand({4, 1, 2, 4}).to(torch::kFloat);
  const auto mix = mix_by_area({0, 2, 1, 2}, 2, 4);
  EXPECT_DOUBLE_EQ(mix.lambda, 0.75);
  const auto mixed = mix_images(images, torch::tensor({0, 1, 2, 3}), mix, 4, 0.0);
  EXPECT_TENSOR_EQUAL(mixed.image[0][0],
                      torch::tensor({{0.f, 3.f, 0.f, 0.f}, {0.f, 3.f, 0.f, 0.f}}));
  EXPECT_TENSOR_EQUAL(mixed.image[2][0],
                      torch::tensor({{2.f, 1.f, 2.f, 2.f}, {2.f, 1.f, 2.f, 2.f}}));
  EXPECT_TENSOR_NEAR(mixed.target[0], torch::tensor({.75, 0., 0., .25}));
  // The images given are left as they are.
  EXPECT_EQ(images[0].sum().item<float>(), 0.f);
}

TEST(Mixing, DrawsAsTheOptionsSay) {
  int boxes = 0, none = 0;
  double sum = 0;
  constexpr int kDraws = 4000;
  MixingOptions options;
  options.mix_prob = 0.75;
  for (int i = 0; i < kDraws; ++i) {
    auto rng = numbered(i);
    const auto mix = draw_mix(options, 32, 48, rng);
    boxes += mix.box ? 1 : 0;
    none += mix.lambda == 1.0 && !mix.box ? 1 : 0;
    if (!mix.box && mix.lambda < 1.0) sum += mix.lambda;
  }
  EXPECT_NEAR(none, 0.25 * kDraws, 110);
  EXPECT_NEAR(boxes, 0.375 * kDraws, 120);
  EXPECT_NEAR(sum / (kDraws - none - boxes), 0.5, 0.03);
  auto rng = numbered(0);
  options = {.mixup = 0.0, .cutmix = 1.0, .mix_prob = 1.0};
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(draw_mix(options, 32, 32, rng).box);
  options = {.mixup = 0.8, .cutmix = 0.0, .mix_prob = 1.0};
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(draw_mix(options, 32, 32, rng).box);
  options = {.mixup = 0.0, .cutmix = 0.0};
  EXPECT_EQ(draw_mix(options, 32, 32, rng).lambda, 1.0);
}

// Mean 1/2 and variance 1 / (4 (2 alpha + 1)).
TEST(Mixing, BetaHasItsMoments) {
  for (const double alpha : {0.2, 0.8, 1.0, 3.0}) {
    constexpr int kDraws = 20000;
    double sum = 0, squares = 0;
    Rng rng = numbered(1);
    for (int i = 0; i < kDraws; ++i) {
      const double x = draw_symmetric_beta(alpha, rng);
      ASSERT_TRUE(x >= 0 && x <= 1);
      sum += x;
      squares += (x - 0.5) * (x - 0.5);
    }
    EXPECT_NEAR(sum / kDraws, 0.5, 0.01) << alpha;
    EXPECT_NEAR(squares / kDraws, 0.25 / (2 * alpha + 1), 0.004) << alpha;
  }
}

// The same boxes, filled one image after the other by loops.
TEST(RandomErasing, EqualsAReferenceOfLoops) {
  const auto images = torch::zeros({16, 3, 12, 10});
  auto erased = images.clone();
  auto rng = numbered(2);
  random_erase_(erased, 0.5, rng, at::detail::createCPUGenerator(3));
  auto again = numbered(2);
  int boxes = 0;
  for (int64_t i = 0; i < 16; ++i) {
    auto inside = torch::zeros({12, 10}, torch::kBool);
    if (again.uniform() < 0.5) {
      const auto box = draw_erased_box(12, 10, again);
      if (box) {
        ++boxes;
        for (int64_t y = box->top; y < box->bottom; ++y) {
          for (int64_t x = box->left; x < box->right; ++x) inside[y][x] = true;
        }
      }
    }
    for (int64_t c = 0; c < 3; ++c) EXPECT_TENSOR_EQUAL(erased[i][c] != 0, inside);
  }
  EXPECT_GT(boxes, 3);
}

TEST(RandomErasing, BoxesHaveTheSizesOfTheRecipe) {
  Rng rng = numbered(4);
  double smallest = 1, largest = 0, mean = 0;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const auto box = draw_erased_box(224, 224, rng);
    ASSERT_TRUE(box);
    EXPECT_TRUE(box->top >= 0 && box->bottom <= 224 && box->left >= 0 && box->right <= 224);
    const double share = static_cast<double>(box->area()) / (224.0 * 224.0);
    smallest = std::min(smallest, share);
    largest = std::max(largest, share);
    mean += share / kDraws;
  }
  EXPECT_NEAR(smallest, 0.02, 0.002);
  EXPECT_NEAR(largest, 1.0 / 3.0, 0.01);
  EXPECT_NEAR(mean, (0.02 + 1.0 / 3.0) / 2, 0.01);
}

TEST(RandomErasing, FillsWithUnitNoise) {
  auto images = torch::zeros({200, 3, 32, 32});
  auto rng = numbered(5);
  random_erase_(images, 1.0, rng, at::detail::createCPUGenerator(3));
  const auto noise = images.masked_select(images != 0);
  EXPECT_NEAR(noise.mean().item<double>(), 0.0, 0.02);
  EXPECT_NEAR(noise.std().item<double>(), 1.0, 0.02);
  auto untouched = torch::zeros({8, 3, 32, 32});
  random_erase_(untouched, 0.0, rng, at::detail::createCPUGenerator(3));
  EXPECT_EQ(untouched.count_nonzero().item<int64_t>(), 0);
}

/// The mix that an item states.
Mix mix_of(const testing::ReadJson& item, int64_t height, int64_t width) {
  Mix mix;
  if (item["kind"].get<std::string>() == "mixup") {
    mix.lambda = item["lam"];
    return mix;
  }
  EXPECT_EQ(item["kind"].get<std::string>(), "cutmix");
  const auto box = cutmix_box(height, width, item["lam_drawn"], item["center_y"], item["center_x"]);
  EXPECT_EQ((std::vector<int64_t>{box.top, box.bottom, box.left, box.right}),
            item["box_y0y1x0x1"].get<std::vector<int64_t>>());
  mix = mix_by_area(box, height, width);
  EXPECT_DOUBLE_EQ(mix.lambda, item["lam_after_correction"]);
  return mix;
}

TEST(MixingGolden, MixupAndCutmix) {
  int cases = 0;
  for (const auto& golden : testing::golden_cases("11_finetune")) {
    if (!golden.json.contains("items")) continue;
    const auto& json = golden.json;
    const testing::GoldenTensors tensors(golden.tensors(), golden.tolerance());
    const auto& images = tensors.at("images");
    for (const auto& item : json["items"].elements()) {
      const std::string name = item["name"];
      const auto mix = mix_of(item, images.size(2), images.size(3));
      const auto mixed = mix_images(images, tensors.at("labels"), mix, json["num_classes"],
                                    json["label_smoothing"]);
      tensors.compare(mixed.image, name + ".images");
      tensors.compare(mixed.target, name + ".targets");
    }
    tensors.expect_all_used();
    json.expect_all_read();
    ++cases;
  }
  EXPECT_GT(cases, 0);
}

void check_loss(const testing::GoldenTensors& tensors, const std::string& name,
                const torch::Tensor& targets) {
  const auto logits = tensors.at("logits").clone().requires_grad_();
  const auto loss = loss::soft_target_loss(logits, targets);
  EXPECT_TENSOR_NEAR(loss, tensors.at(name + "_loss").squeeze(), tensors.tolerance()) << name;
  loss.backward();
  tensors.compare(logits.grad(), name + "_grad");
}

TEST(SoftTargetLossGolden, LossesAndGradients) {
  int cases = 0;
  for (const auto& golden : testing::golden_cases("11_finetune")) {
    if (!golden.json.contains("smoothing")) continue;
    const testing::GoldenTensors tensors(golden.tensors(), golden.tolerance());
    check_loss(tensors, "soft_target", tensors.at("soft_targets"));
    check_loss(tensors, "label_smoothing",
               smooth_targets(tensors.at("labels"), tensors.at("logits").size(1),
                              golden.json["smoothing"]));
    tensors.expect_all_used();
    golden.json.expect_all_read();
    ++cases;
  }
  EXPECT_GT(cases, 0);
}

}  // namespace
}  // namespace ibot::batch
