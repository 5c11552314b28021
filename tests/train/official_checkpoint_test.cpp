#include "ibot/train/official_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ibot/io/torch_file.h"
#include "support/expect_tensor.h"
#include "support/temporary_folder.h"
#include "support/tiny.h"

namespace ibot::train {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

StepInputs inputs_of(int64_t number) {
  // The last layer stays frozen in the first epoch, of two steps.
  return {
      number,
      {.lr = 0.01, .weight_decay = 0.1, .momentum_teacher = 0.9, .freeze_last_layer = number < 2},
      {.cls = 0.04, .patch = 0.04}};
}

void take_steps(TrainStep& step, int64_t first, int64_t count) {
  testing::TinySource source(first);
  for (int64_t i = first; i < first + count; ++i) {
    step.run(batch::prepared(*source.next(), torch::kCPU, {}), inputs_of(i));
  }
}

std::map<std::string, torch::Tensor> snapshot(const TrainStep& step) {
  std::map<std::string, torch::Tensor> state;
  for (const auto& [name, tensor] : step.state()) state[name] = tensor.detach().clone();
  return state;
}

/// Through a file and back.
Checkpoint round_trip(const Checkpoint& checkpoint, const TrainStep& step) {
  const TemporaryFolder folder;
  io::write_torch_file(folder / "x.pth", to_official(checkpoint, step, {.lr = 0.5}, {}));
  return from_official(io::read_torch_file(folder / "x.pth").root, "x.pth", step);
}

class OfficialCheckpoint : public ::testing::TestWithParam<int> {};

StepOptions options_of(int variant) {
  auto options = testing::tiny_step_options();
  if (variant == 1) {
    options.head.shared = false;
    options.head.norm = models::HeadNorm::kBatch;
  } else if (variant == 2) {
    options.head.bottleneck_dim = 0;
    options.optim.optimizer = optim::OptimizerKind::kSgd;
  } else if (variant == 3) {
    options.head.layers = 1;
    options.head.norm_last_layer = false;
    options.optim.optimizer = optim::OptimizerKind::kLars;
  }
  return options;
}

TEST_P(OfficialCheckpoint, BringsARunBackToTheBit) {
  const auto options = options_of(GetParam());
  TrainStep step(options, torch::kCPU);
  take_steps(step, 0, 1);
  Checkpoint checkpoint{snapshot(step), {.step = 1, .steps_per_epoch = 2}, "train: {epochs: 3}"};
  checkpoint.run.sums.loss = 0.1;
  checkpoint.tensors["run.clusters"] = torch::arange(4);
  const auto again = round_trip(checkpoint, step);
  EXPECT_EQ(again.config, checkpoint.config);
  EXPECT_EQ(again.run.to_json(), checkpoint.run.to_json());
  EXPECT_EQ(again.tensors.size(), checkpoint.tensors.size());
  for (const auto& [name, tensor] : checkpoint.tensors) {
    ASSERT_EQ(again.tensors.count(name), 1u) << name;
    EXPECT_TENSOR_EQUAL(again.tensors.at(name), tensor) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, OfficialCheckpoint, ::testing::Range(0, 4));

// In fp16 the optimizer does not count the steps that overflowed: the epoch alone tells the place.
TEST(OfficialCheckpointRun, ComesFromTheEpochWhateverTheOptimizerCounted) {
  TrainStep step(testing::tiny_step_options(), torch::kCPU);
  take_steps(step, 0, 3);
  const auto root =
      to_official({snapshot(step), {.step = 4, .steps_per_epoch = 2}, ""}, step, {}, {});
  auto official = *root.dict();
  std::erase_if(official.items, [](const auto& item) { return *item.first.text() == "ibot"; });
  const auto checkpoint = from_official(official, "x.pth", step);
  EXPECT_EQ(checkpoint.run.epochs, 2);
  EXPECT_EQ(checkpoint.run.steps_per_epoch, 0);
  const auto resumed = RunState::from_json(checkpoint.run.to_json()).with_steps(5000);
  EXPECT_EQ(resumed.steps_per_epoch, 5000);
  EXPECT_EQ(resumed.step, 10000);
  EXPECT_EQ(resumed.with_steps(7).step, 10000);
  const auto again = to_official(checkpoint, step, {}, {});
  EXPECT_EQ(again.dict()->find("epoch")->integer(), 2);
}

TEST(OfficialCheckpointRefusal, NamesWhatIsMissing) {
  const TrainStep step(testing::tiny_step_options(), torch::kCPU);
  const Checkpoint checkpoint{snapshot(step), {}, ""};
  const auto root = to_official(checkpoint, step, {}, {});
  const auto refusal = [&](const std::function<void(io::Dict&)>& damage, const TrainStep& reader) {
    auto damaged = *root.dict();
    damage(damaged);
    try {
      from_official(damaged, "x.pth", reader);
    } catch (const CheckpointError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto without = [&](const char* key) {
    return refusal(
        [&](io::Dict& dict) {
          std::erase_if(dict.items, [&](const auto& item) { return *item.first.text() == key; });
        },
        step);
  };
  EXPECT_EQ(refusal([](io::Dict&) {}, step), "");
  EXPECT_THAT(without("optimizer"), HasSubstr("x.pth: expected student, teacher and optimizer"));
  EXPECT_THAT(without("ibot_loss"), HasSubstr("expected ibot_loss, found none"));
  auto other = testing::tiny_step_options();
  other.backbone.depth = {3};
  EXPECT_THAT(refusal([](io::Dict&) {}, TrainStep(other, torch::kCPU)),
              HasSubstr("the networks differ"));
  other = testing::tiny_step_options();
  other.head.prototypes = other.head.patch_prototypes = 25;
  EXPECT_THAT(refusal([](io::Dict&) {}, TrainStep(other, torch::kCPU)),
              HasSubstr("expected shape"));
}

}  // namespace
}  // namespace ibot::train
