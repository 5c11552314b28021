#include "ibot/eval/detect_step.h"

#include <gtest/gtest.h>

#include "ibot/models/network.h"
#include "support/golden.h"
#include "support/ranks.h"
#include "support/tiny_detector.h"

namespace ibot::eval {
namespace {

using testing::detection_batch;
using testing::tiny_detect_options;
using testing::tiny_detector_backbone;

DetectStep make_step(const DetectOptions& options, const dist::Group& group = {}) {
  auto detector = build_detector(options, tiny_detector_backbone(), 3);
  initialize_(*detector, 5);
  return {options, tiny_detector_backbone(), detector, torch::kCPU, group};
}

torch::Tensor take_step(DetectStep& step, const batch::DetectionBatch& batch, int64_t number) {
  const auto result = step.backward(batch, {}, number);
  step.training().update(detect_values(step.options(), 100, number));
  return result.loss;
}

TEST(DetectStep, LearnsWhatItSees) {
  auto options = tiny_detect_options();
  options.drop_path = 0;
  auto step = make_step(options);
  const auto batch = detection_batch({0, 1});
  const auto first = take_step(step, batch, 0).item<double>();
  double last = first;
  for (int64_t i = 1; i < 30; ++i) last = take_step(step, batch, i).item<double>();
  EXPECT_LT(last, 0.8 * first);
}

// State is all that the next step depends on.
TEST(DetectStep, GoesOnFromItsStateToTheBit) {
  auto whole = make_step(tiny_detect_options());
  auto resumed = make_step(tiny_detect_options());
  for (int64_t i = 0; i < 2; ++i) take_step(whole, detection_batch({i, i + 1}), i);
  std::map<std::string, torch::Tensor> kept;
  for (const auto& [name, tensor] : whole.training().state()) kept[name] = tensor.clone();
  resumed.training().load_state(kept);
  for (int64_t i = 2; i < 4; ++i) {
    EXPECT_TRUE(testing::equal(take_step(whole, detection_batch({i, i + 1}), i),
                               take_step(resumed, detection_batch({i, i + 1}), i)));
  }
  const auto expected = whole.training().state();
  for (const auto& [name, tensor] : resumed.training().state()) {
    EXPECT_TRUE(testing::equal(tensor, expected.at(name))) << name;
  }
}

// Rank r has images r, r + 2, …; normalization, sampling, drop path and losses are those of the
// whole batch.
TEST(DetectStep, TwoRanksEqualOneWithTwiceTheBatch) {
  IBOT_NEEDS_RANKS();
  auto options = tiny_detect_options();
  options.synced_losses = true;
  auto doubled = options;
  doubled.batch_size = 4;
  auto alone = make_step(doubled);
  for (int64_t i = 0; i < 3; ++i) take_step(alone, detection_batch({i, i + 1, i + 2, i + 3}), i);
  const auto expected = alone.training().state();
  std::array<std::map<std::string, torch::Tensor>, 2> found;
  testing::run_ranks(2, [&](const dist::Group& group) {
    auto step = make_step(options, group);
    for (int64_t i = 0; i < 3; ++i) {
      take_step(step, detection_batch({i + group.rank(), i + group.rank() + 2}), i);
    }
    for (const auto& [name, tensor] : step.training().state()) {
      found[group.rank()][name] = tensor.clone();
    }
  });
  for (const auto& [name, tensor] : expected) {
    if (!name.starts_with("model.") || name.ends_with("num_batches_tracked")) continue;
    EXPECT_TRUE(testing::equal(found[0].at(name), found[1].at(name))) << name;
    // A bias before batch normalization has no effect: its gradient is rounding alone.
    if (name.ends_with("fpn1.0.bias") || name.ends_with("fpn1.1.running_mean")) continue;
    // AdamW turns a difference in the last bit of a gradient near 0 into one of up to the rate.
    const auto difference = (found[0].at(name) - tensor).abs();
    EXPECT_LT(difference.mean().item<double>(), 2e-5) << name;
    EXPECT_LT(difference.max().item<double>(), 3e-3) << name;
  }
}

// An image without objects is background.
TEST(DetectStep, TrainsOnImagesWithoutObjects) {
  auto step = make_step(tiny_detect_options());
  auto batch = detection_batch({0, 1});
  for (size_t i = 0; i < 2; ++i) {
    batch.boxes[i] = torch::empty({0, 4});
    batch.labels[i] = torch::empty({0}, torch::kLong);
    batch.masks[i] = torch::empty({0, 64, 64}, torch::kByte);
  }
  EXPECT_TRUE(take_step(step, batch, 0).isfinite().item<bool>());
}

TEST(DetectorDense, ParametersAreThoseOfTheReference) {
  const auto golden = testing::read_json(testing::dense_golden_root() / "10_schedules_and_groups" /
                                         "schedules.json");
  auto detector = build_detector(DetectOptions(), models::BackboneOptions(), 80);
  std::map<std::string, torch::Tensor> own;
  int64_t count = 0;
  for (const auto& parameter : detector->named_parameters()) {
    own.emplace(parameter.key(), parameter.value());
    count += parameter.value().numel();
  }
  EXPECT_EQ(count, golden["layer_decay_groups"]["vit_small_cascade"]["parameters"].get<int64_t>());
  for (const auto& [name, expected] : golden["names_vit_small_cascade"].items()) {
    ASSERT_EQ(own.count(name), 1U) << name;
    EXPECT_EQ(own.at(name).sizes().vec(), expected[1].get<std::vector<int64_t>>()) << name;
  }
}

}  // namespace
}  // namespace ibot::eval
