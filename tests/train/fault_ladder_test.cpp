#include "ibot/train/fault_ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"
#include "ibot/train/trainer.h"
#include "support/expect_tensor.h"
#include "support/temporary_folder.h"
#include "support/tiny.h"

namespace ibot::train {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::TinySource;

TEST(FaultLadder, CountsStepsInARow) {
  FaultLadder ladder({.replay = {}, .skips_to_roll_back = 3, .most_roll_backs = 1});
  const auto take = [&](int64_t step, bool faulty) {
    ladder.watch(step, {}, torch::full({}, faulty ? 1.0f : 0.0f));
  };
  take(0, true);
  take(1, true);
  take(2, false);
  const auto skipped = ladder.settle(true);
  ASSERT_EQ(skipped.size(), 2u);
  EXPECT_EQ(skipped[1].step, 1);
  EXPECT_EQ(ladder.in_a_row(), 0);
  for (const int64_t step : {3, 4, 5}) take(step, true);
  EXPECT_EQ(ladder.settle(true).size(), 3u);
  EXPECT_TRUE(ladder.wants_roll_back());
  EXPECT_EQ(ladder.first_in_a_row(), 3);
  EXPECT_TRUE(ladder.may_roll_back());
  ladder.rolled_back();
  EXPECT_FALSE(ladder.wants_roll_back());
  EXPECT_FALSE(ladder.may_roll_back());
  ladder.begin_epoch();
  EXPECT_TRUE(ladder.may_roll_back());
}

/// Spoils the batches of some steps.
class FaultySource : public TinySource {
 public:
  explicit FaultySource(std::function<bool(int64_t)> spoiled) : spoiled_(std::move(spoiled)) {}
  std::optional<batch::MultiCropBatch> next() override {
    auto batch = TinySource::next();
    if (spoiled_(step_++)) batch->pairs.weight.fill_(NAN);
    return batch;
  }

 private:
  std::function<bool(int64_t)> spoiled_;
  int64_t step_ = 0;
};

struct Told : Observer {
  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;
  std::vector<FaultRecord> faults;
  void on_step(const StepRecord& record) override { steps.push_back(record); }
  void on_epoch(const EpochRecord& record) override { epochs.push_back(record); }
  void on_fault(const FaultRecord& record) override { faults.push_back(record); }
  std::vector<std::string> kinds() const {
    std::vector<std::string> kinds;
    for (const auto& fault : faults) kinds.push_back(fault.kind);
    return kinds;
  }
};

class Ladder : public ::testing::Test {
 protected:
  TrainerOptions options() const {
    TrainerOptions options;
    options.train.log_every_steps = 3;
    options.length = {.epochs = 3, .steps_per_epoch = 8, .global_batch = 3};
    options.schedule.warmup_epochs = 1;
    options.home.checkpoints = folder_ / "checkpoints";
    options.home.replay = folder_ / "replay";
    fs::create_directories(options.home.checkpoints);
    return options;
  }
  static std::map<std::string, torch::Tensor> copy_of(const TrainStep& step) {
    std::map<std::string, torch::Tensor> state;
    for (const auto& [name, tensor] : step.state()) state[name] = tensor.detach().clone();
    return state;
  }
  static void expect_finite(const TrainStep& step) {
    for (const auto& [name, tensor] : step.state()) {
      EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name;
    }
  }
  static void expect_equal(const std::map<std::string, torch::Tensor>& a,
                           const std::map<std::string, torch::Tensor>& b,
                           const std::string& prefix = "") {
    for (const auto& [name, tensor] : a) {
      if (name.rfind(prefix, 0) == 0) {
        EXPECT_TRUE(testing::equal(tensor, b.at(name))) << name;
      }
    }
  }

  TemporaryFolder folder_;
};

TEST_F(Ladder, WithoutAFaultNothingIsDifferent) {
  for (const auto& [kind, name] : EnumNames<optim::OptimizerKind>::values) {
    SCOPED_TRACE(name);
    auto step_options = testing::tiny_step_options();
    step_options.optim.optimizer = kind;
    std::vector<std::map<std::string, torch::Tensor>> ends;
    for (const auto policy :
         {NonfinitePolicy::kOff, NonfinitePolicy::kOn, NonfinitePolicy::kStrict}) {
      auto options = this->options();
      options.train.on_nonfinite = policy;
      options.train.max_steps = 6;
      TrainStep step(step_options, torch::kCPU);
      TinySource source;
      Trainer(options, step, {}).run(source);
      ends.push_back(copy_of(step));
    }
    expect_equal(ends[0], ends[1]);
    expect_equal(ends[0], ends[2]);
  }
}

// The student, its moments and their counts stand still in that step; the run ends well.
TEST_F(Ladder, AStepThatIsNotFiniteDoesNotCountAndItsBatchIsKept) {
  for (const auto& [kind, name] : EnumNames<optim::OptimizerKind>::values) {
    SCOPED_TRACE(name);
    fs::remove_all(folder_.path() / "replay");
    auto step_options = testing::tiny_step_options();
    step_options.optim.optimizer = kind;
    TrainStep step(step_options, torch::kCPU);
    Told told;
    Trainer trainer(options(), step, {&told});
    std::map<std::string, torch::Tensor> before, after;
    trainer.set_stop([&] {
      if (trainer.state().step == 5) before = copy_of(step);
      if (trainer.state().step == 6) after = copy_of(step);
      return false;
    });
    FaultySource source([](int64_t at) { return at == 5; });
    EXPECT_EQ(trainer.run(source), Ending::kDone);
    expect_equal(before, after, "student.");
    expect_equal(before, after, "optim.");
    expect_finite(step);
    ASSERT_THAT(told.kinds(), ElementsAre("skipped"));
    EXPECT_THAT(told.faults[0].text, HasSubstr("step 5 is not finite"));
    EXPECT_EQ(told.steps[1].step, 6);
    EXPECT_EQ(told.steps[1].skipped, 1);
    for (const auto& record : told.steps) EXPECT_TRUE(std::isfinite(record.loss));
    EXPECT_TRUE(std::isfinite(told.epochs[0].loss));

    const auto kept = io::read_safetensors(folder_ / "replay" / "step-5.safetensors");
    const auto expected = *TinySource(5).next();
    EXPECT_TRUE(kept.tensors.at("global").equal(expected.global));
    EXPECT_TRUE(kept.tensors.at("mask").equal(expected.mask));
    EXPECT_TRUE(kept.tensors.at("pairs.weight").isnan().all().item<bool>());
    EXPECT_EQ(kept.metadata.at("step"), "5");
  }
}

// A pixel that is not finite would reach every part: centers, moving averages and all gradients.
TEST_F(Ladder, ASpoiledImageReachesNothing) {
  TrainStep step(testing::tiny_step_options(), torch::kCPU);
  auto inputs = step_inputs(step.options(), options().schedule, 0, options().length, 9);
  inputs.skip_nonfinite = true;
  TinySource source;
  auto batch = batch::prepared(*source.next(), torch::kCPU, {});
  EXPECT_EQ(step.run(batch, inputs).faulty.item<float>(), 0.0f);
  const auto before = copy_of(step);
  batch.global[0][0][0][0] = NAN;
  EXPECT_EQ(step.run(batch, inputs).faulty.item<float>(), 1.0f);
  expect_finite(step);
  expect_equal(before, copy_of(step), "student.");
  expect_equal(before, copy_of(step), "optim.");
}

// What batch norm has seen outlives the step; center-only batch norm reads it in training.
TEST_F(Ladder, ASpoiledImageReachesNoRunningStatistic) {
  for (const auto norm : {models::HeadNorm::kBatch, models::HeadNorm::kCenterSyncBatch}) {
    SCOPED_TRACE(static_cast<int>(norm));
    auto step_options = testing::tiny_step_options();
    step_options.head.norm = norm;
    TrainStep step(step_options, torch::kCPU);
    auto inputs = step_inputs(step.options(), options().schedule, 0, options().length, 9);
    inputs.skip_nonfinite = true;
    TinySource source;
    auto batch = batch::prepared(*source.next(), torch::kCPU, {});
    batch.global[0][0][0][0] = NAN;
    EXPECT_EQ(step.run(batch, inputs).faulty.item<float>(), 1.0f);
    expect_finite(step);
    const auto next = batch::prepared(*source.next(), torch::kCPU, {});
    EXPECT_EQ(step.run(next, inputs).faulty.item<float>(), 0.0f);
    expect_finite(step);
  }
}

TEST_F(Ladder, SeveralInARowRollBackAndTheDataGoOn) {
  TrainStep step(testing::tiny_step_options(), torch::kCPU);
  Told told;
  Trainer trainer(options(), step, {&told});
  // The checkpoint of step 8; then five of the next steps are spoiled.
  FaultySource source([](int64_t at) { return at >= 10 && at < 15; });
  std::map<std::string, torch::Tensor> rolled_back;
  trainer.set_stop([&] {
    if (trainer.state().step == 16) rolled_back = copy_of(step);
    return false;
  });
  EXPECT_EQ(trainer.run(source), Ending::kDone);
  EXPECT_EQ(trainer.state().step, 24);
  expect_finite(step);
  EXPECT_THAT(told.kinds(),
              ElementsAre("skipped", "skipped", "skipped", "skipped", "skipped", "rolled_back"));
  EXPECT_THAT(told.faults.back().text, HasSubstr("5 steps in a row from step 10"));
  EXPECT_THAT(told.faults.back().text, HasSubstr("rolled back to step 8"));

  // By hand: step 15 from the checkpoint of step 8.
  TrainStep by_hand(testing::tiny_step_options(), torch::kCPU);
  TinySource first;
  auto eight = options();
  eight.train.max_steps = 8;
  Trainer(eight, by_hand, {}).run(first);
  const auto inputs = step_inputs(by_hand.options(), options().schedule, 0, options().length, 15);
  by_hand.run(batch::prepared(*TinySource(15).next(), torch::kCPU, {}), inputs);
  expect_equal(copy_of(by_hand), rolled_back);
}

TEST_F(Ladder, ARunThatDoesNotRecoverEnds) {
  TrainStep step(testing::tiny_step_options(), torch::kCPU);
  Told told;
  auto options = this->options();
  options.length.steps_per_epoch = 40;
  options.train.save_every_steps = 4;
  Trainer trainer(options, step, {&told});
  FaultySource source([](int64_t at) { return at >= 6; });
  try {
    trainer.run(source);
    FAIL() << "expected a DivergenceError";
  } catch (const DivergenceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("rolled back several times in this epoch"));
    EXPECT_THAT(error.what(), HasSubstr("optim.lr"));
  }
  const auto kinds = told.kinds();
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), "rolled_back"), 3);
  // Nothing was saved amid steps that did not count, and few batches were kept.
  EXPECT_EQ(restore_newest(options.home.checkpoints)->checkpoint.run.step, 4);
  EXPECT_EQ(std::distance(fs::directory_iterator(options.home.replay), {}), 4);
}

TEST_F(Ladder, WithoutACheckpointThereIsNothingToRollBackTo) {
  TrainStep step(testing::tiny_step_options(), torch::kCPU);
  Trainer trainer(options(), step, {});
  FaultySource source([](int64_t at) { return at >= 1; });
  try {
    trainer.run(source);
    FAIL() << "expected a DivergenceError";
  } catch (const DivergenceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no checkpoint from before to roll back to"));
  }
}

TEST_F(Ladder, SwitchedOffItTrainsOn) {
  auto options = this->options();
  options.train.on_nonfinite = NonfinitePolicy::kOff;
  TrainStep step(testing::tiny_step_options(), torch::kCPU);
  Told told;
  Trainer trainer(options, step, {&told});
  FaultySource source([](int64_t at) { return at == 5; });
  EXPECT_EQ(trainer.run(source), Ending::kDone);
  EXPECT_TRUE(told.faults.empty());
  EXPECT_TRUE(std::isnan(told.steps.back().loss));
}

}  // namespace
}  // namespace ibot::train
