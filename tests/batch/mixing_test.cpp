#include "ibot/batch/mixing.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/_unique.h>
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
  const auto mixed = mix_images(images, torch::tensor({0, 1, 2, 3}), {mix}, 4, 0.0);
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

// What timm 0.4.12 gives: Mixup(mode=..., label_smoothing=0.2, num_classes=4) on images 0 to 23 of
// shape [4, 1, 2, 3], weights and box set by hand.
TEST(Mixing, OfEachImageOrPairEqualsTimm) {
  const auto images = torch::arange(24, torch::kFloat).view({4, 1, 2, 3});
  const auto labels = torch::tensor({0, 1, 2, 3});
  const auto cut = mix_by_area({0, 1, 1, 3}, 2, 3);
  const auto elem = mix_images(images, labels, {{0.75}, cut, {1.0}, {0.25}}, 4, 0.2);
  EXPECT_TENSOR_NEAR(elem.image.flatten(1), torch::tensor({{4.5, 5.5, 6.5, 7.5, 8.5, 9.5},
                                                           {6., 13., 14., 9., 10., 11.},
                                                           {12., 13., 14., 15., 16., 17.},
                                                           {4.5, 5.5, 6.5, 7.5, 8.5, 9.5}}));
  EXPECT_TENSOR_NEAR(elem.target, torch::tensor({{.65, .05, .05, .25},
                                                 {.05, .05 + 1.6 / 3, .05 + .8 / 3, .05},
                                                 {.05, .05, .85, .05},
                                                 {.65, .05, .05, .25}}));
  const auto pair = mix_images(images, labels, {{0.75}, cut, cut, {0.75}}, 4, 0.2);
  EXPECT_TENSOR_NEAR(pair.image.flatten(1), torch::tensor({{4.5, 5.5, 6.5, 7.5, 8.5, 9.5},
                                                           {6., 13., 14., 9., 10., 11.},
                                                           {12., 7., 8., 15., 16., 17.},
                                                           {13.5, 14.5, 15.5, 16.5, 17.5, 18.5}}));
  EXPECT_TENSOR_NEAR(pair.target, torch::tensor({{.65, .05, .05, .25},
                                                 {.05, .05 + 1.6 / 3, .05 + .8 / 3, .05},
                                                 {.05, .05 + .8 / 3, .05 + 1.6 / 3, .05},
                                                 {.25, .05, .05, .65}}));
  EXPECT_THROW(mix_images(images, labels, {{0.5}, {0.5}}, 4, 0.2), Error);
}

TEST(Mixing, AModeSaysWhatIsMixedAlike) {
  auto rng = numbered(6);
  const auto drawn = [&](MixMode mode) {
    return draw_mixes({.mix_mode = mode}, {7, 3, 32, 32}, rng);
  };
  EXPECT_EQ(drawn(MixMode::kBatch).size(), 1u);
  const auto pairs = drawn(MixMode::kPair);
  ASSERT_EQ(pairs.size(), 7u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(pairs[i].lambda, pairs[6 - i].lambda);
  EXPECT_EQ(pairs[3].lambda, 1.0);  // it has no partner
  EXPECT_NE(pairs[0].lambda, pairs[1].lambda);
  const auto each = drawn(MixMode::kElem);
  ASSERT_EQ(each.size(), 7u);
  EXPECT_NE(each[0].lambda, each[6].lambda);
}

// timm's rand_bbox_minmax draws sides from [6, 25) of 32 rows and [9, 38) of 48 columns.
TEST(Mixing, CutmixBoxesOfGivenSides) {
  MixingOptions options{.mixup = 0.0, .cutmix = 0.0, .cutmix_minmax = {0.2, 0.8}};
  options.validate();
  int64_t shortest = 99, longest = 0, widest = 0;
  auto rng = numbered(7);
  for (int i = 0; i < 2000; ++i) {
    const auto box = draw_mix(options, 32, 48, rng).box;
    ASSERT_TRUE(box && box->top >= 0 && box->bottom <= 32 && box->left >= 0 && box->right <= 48);
    shortest = std::min(shortest, box->bottom - box->top);
    longest = std::max(longest, box->bottom - box->top);
    widest = std::max(widest, box->right - box->left);
  }
  EXPECT_EQ(shortest, 6);
  EXPECT_EQ(longest, 24);
  EXPECT_EQ(widest, 37);
  for (const auto& wrong : {std::vector<double>{0.5}, {0.8, 0.2}, {0.2, 1.5}}) {
    options.cutmix_minmax = wrong;
    EXPECT_THROW(options.validate(), OptionError);
  }
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
  random_erase_(erased, {.erase_prob = 0.5}, rng, at::detail::createCPUGenerator(3));
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
  random_erase_(images, {.erase_prob = 1.0}, rng, at::detail::createCPUGenerator(3));
  const auto noise = images.masked_select(images != 0);
  EXPECT_NEAR(noise.mean().item<double>(), 0.0, 0.02);
  EXPECT_NEAR(noise.std().item<double>(), 1.0, 0.02);
  auto untouched = torch::zeros({8, 3, 32, 32});
  random_erase_(untouched, {.erase_prob = 0.0}, rng, at::detail::createCPUGenerator(3));
  EXPECT_EQ(untouched.count_nonzero().item<int64_t>(), 0);
}

TEST(RandomErasing, FillsWithOneColorOrZero) {
  auto images = torch::full({40, 3, 32, 32}, 7.0);
  auto rng = numbered(8);
  random_erase_(images, {.erase_prob = 1.0, .erase_mode = EraseMode::kConst}, rng, {});
  EXPECT_TRUE((images == 7.0).logical_or(images == 0.0).all().item<bool>());
  EXPECT_GT((images == 0.0).sum().item<int64_t>(), 0);
  images.fill_(7.0);
  random_erase_(images, {.erase_prob = 1.0, .erase_mode = EraseMode::kRand}, rng,
                at::detail::createCPUGenerator(3));
  for (int64_t i = 0; i < 40; ++i) {
    for (int64_t c = 0; c < 3; ++c) {
      const auto erased = images[i][c].masked_select(images[i][c] != 7.0);
      EXPECT_TRUE((erased == erased[0]).all().item<bool>());
    }
    EXPECT_NE(images[i][0].min().item<float>(), images[i][1].min().item<float>());
  }
}

// As timm, 1 to erase_count boxes, each of the area of one over their number: the mean erased area
// is that of one box less what overlaps.
TEST(RandomErasing, SharesTheAreaAmongItsBoxes) {
  Rng rng = numbered(9);
  double mean = 0, largest = 0;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const auto box = draw_erased_box(224, 224, rng, 3);
    const double share = static_cast<double>(box->area()) / (224.0 * 224.0);
    mean += share / kDraws;
    largest = std::max(largest, share);
  }
  EXPECT_NEAR(mean, (0.02 + 1.0 / 3.0) / 6, 0.004);
  EXPECT_NEAR(largest, 1.0 / 9.0, 0.004);
  auto images = torch::zeros({300, 1, 48, 48});
  random_erase_(images, {.erase_prob = 1.0, .erase_mode = EraseMode::kRand, .erase_count = 3}, rng,
                at::detail::createCPUGenerator(4));
  int several = 0;
  for (int64_t i = 0; i < 300; ++i) {
    several += std::get<0>(at::_unique(images[i])).numel() > 2 ? 1 : 0;  // 0 and colors
  }
  EXPECT_NEAR(several, 200, 40);
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
      const auto mixed = mix_images(images, tensors.at("labels"), {mix}, json["num_classes"],
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
