#include "ibot/train/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "ibot/io/safetensors.h"
#include "support/temporary_folder.h"
#include "support/tiny.h"

namespace ibot::train {
namespace {

using testing::TemporaryFolder;

/// The message of the CheckpointError that `work` throws.
template <class Work>
std::string refusal(Work work) {
  try {
    work();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "no CheckpointError";
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(RunState, ComesBackToTheBit) {
  RunState state{.step = 12345678901,
                 .sums = {.steps = 3,
                          .loss = 0.1,
                          .terms = {{"cls", 1.0 / 3.0}, {"patch", 2e-300}},
                          .lr = 5e-4,
                          .weight_decay = 0.04,
                          .more = {{"agreement", 0.7}}}};
  const auto back = RunState::from_json(state.to_json());
  EXPECT_EQ(back.step, state.step);
  EXPECT_EQ(back.sums.loss, state.sums.loss);
  EXPECT_EQ(back.sums.terms, state.sums.terms);
  EXPECT_EQ(back.sums.more, state.sums.more);
  expect_contains(refusal([] { RunState::from_json("{}"); }), "run state");
}

TEST(Checkpoint, DamagedForeignAndLaterFilesAreRefused) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "last.safetensors";
  expect_contains(refusal([&] { load_checkpoint(path); }), "found no such file");

  save_checkpoint(path, {.tensors = {{"a", torch::ones({100})}}, .run = {}, .config = "c"});
  EXPECT_EQ(load_checkpoint(path).config, "c");
  auto bytes = io::read_file(path);
  io::write_file(path, bytes.substr(0, bytes.size() - 7));
  expect_contains(refusal([&] { load_checkpoint(path); }), path.string());

  io::write_safetensors(path, {.tensors = {{"a", torch::ones({1})}}, .metadata = {}});
  expect_contains(refusal([&] { load_checkpoint(path); }), "another safetensors file");

  io::write_safetensors(path, {.tensors = {},
                               .metadata = {{"format", "ibot-checkpoint"},
                                            {"format_version", "2"},
                                            {"ibot_version", "9.0.0"}}});
  expect_contains(refusal([&] { load_checkpoint(path); }), "got 2 written by ibot 9.0.0");
}

TEST(Checkpoint, AnotherShapeIsRefusedBeforeAnythingChanges) {
  TrainStep step(testing::tiny_step_options(), torch::kCPU);
  auto state = step.state();
  for (auto& [name, tensor] : state) tensor = tensor.detach().clone();
  const auto before = state.at("student.backbone.cls_token").clone();
  state.at("student.backbone.cls_token").add_(1.0);
  state["teacher.head.last_layer.weight_v"] = torch::zeros({3, 3});
  expect_contains(refusal([&] { step.load_state(state); }), "expected shape [24, 8], got [3, 3]");
  state.erase("teacher.head.last_layer.weight_v");
  expect_contains(refusal([&] { step.load_state(state); }), "missing teacher.head");
  EXPECT_TRUE(torch::equal(step.state().at("student.backbone.cls_token"), before));
}

// What versions before manifests wrote in the run's state.
TEST(RunState, OfEarlierVersionsIsRead) {
  const auto state = RunState::from_json(
      R"({"step":7,"steps_per_epoch":4,"sums":{"agreement":0.5,"loss":1.5,"loss_cls":1.0,)"
      R"("loss_patch":0.5,"lr":0.1,"steps":3,"weight_decay":0.04}})");
  EXPECT_EQ(state.step, 7);
  EXPECT_EQ(state.sums.loss, 1.5);
  EXPECT_EQ(state.sums.skipped, 0);
  EXPECT_EQ(state.trend.count, 0);
  EXPECT_EQ(state.best.step, 0);
}

// A hundred losses of mean 2 and variance 1, then one of 7: five deviations above.
TEST(LossTrend, CountsDeviationsFromTheRunningMean) {
  LossTrend trend;
  for (int i = 0; i < 100; ++i) {
    const double z = trend.add(i % 2 == 0 ? 1.0 : 3.0);
    EXPECT_LT(std::abs(z), 1.1);
    if (i < 50) {
      EXPECT_EQ(z, 0.0);
    }
  }
  EXPECT_NEAR(trend.mean, 2.0, 1e-12);
  EXPECT_NEAR(trend.variance, 1.0, 1e-12);
  EXPECT_NEAR(trend.add(7.0), 5.0, 1e-12);
}

}  // namespace
}  // namespace ibot::train
