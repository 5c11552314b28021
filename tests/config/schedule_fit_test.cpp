#include "ibot/config/schedule_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ibot::config {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int64_t kSteps = 100;  // an epoch

RunConfig run_of(int64_t epochs) {
  RunConfig config;
  config.train.epochs = epochs;
  return config;
}

auto tells(const char* key, const char* length, const char* end) {
  return AllOf(StartsWith(std::string(key) + ": "), HasSubstr(length), HasSubstr(end));
}

// The defaults: 10 epochs of warm-up, 1 of frozen prototypes, 30 of the temperatures' ramp.
TEST(UnfinishedSchedules, AreThoseThatEndWithTheRunOrLater) {
  EXPECT_THAT(unfinished_schedules(run_of(31), kSteps), ElementsAre());
  EXPECT_THAT(unfinished_schedules(run_of(30), kSteps),
              ElementsAre(tells("loss.warmup_teacher_temp_epochs", "the run (train.epochs) at 30;",
                                "ends at epoch 30,")));
  EXPECT_THAT(
      unfinished_schedules(run_of(1), kSteps),
      ElementsAre(
          tells("schedule.warmup_epochs", "the run (train.epochs) at 1;", "ends at epoch 10,"),
          tells("optim.freeze_last_layer", "the run (train.epochs) at 1;", "ends at epoch 1,"),
          tells("loss.warmup_teacher_temp_epochs", "the run (train.epochs) at 1;",
                "ends at epoch 30,")));
}

TEST(UnfinishedSchedules, RampsOfPatchesBeginWithTheMasks) {
  auto config = run_of(60);
  config.mask.start_epoch = 29;
  EXPECT_THAT(unfinished_schedules(config, kSteps), ElementsAre());
  config.mask.start_epoch = 30;
  EXPECT_THAT(unfinished_schedules(config, kSteps),
              ElementsAre(tells("loss.warmup_teacher_temp_epochs", "the run (train.epochs) at 60;",
                                "ends at epoch 60,")));
  config.loss.warmup_teacher_patch_temp = config.loss.teacher_patch_temp;
  EXPECT_THAT(unfinished_schedules(config, kSteps), ElementsAre());
  config.mask.start_epoch = 60;
  EXPECT_THAT(
      unfinished_schedules(config, kSteps),
      ElementsAre(tells("mask.start_epoch", "the run (train.epochs) at 60;", "ends at epoch 60,")));
}

TEST(UnfinishedSchedules, ARampBetweenEqualTemperaturesIsNone) {
  auto config = run_of(20);
  config.loss.warmup_teacher_temp = config.loss.teacher_temp;
  config.loss.warmup_teacher_patch_temp = config.loss.teacher_patch_temp;
  EXPECT_THAT(unfinished_schedules(config, kSteps), ElementsAre());
}

TEST(UnfinishedSchedules, ARunCutWithinItsWarmUpIsOneLine) {
  auto config = run_of(800);
  config.train.max_steps = 1001;
  EXPECT_THAT(unfinished_schedules(config, kSteps), ElementsAre());
  config.train.max_steps = 1000;
  EXPECT_THAT(unfinished_schedules(config, kSteps),
              ElementsAre(tells("train.max_steps", "1000 steps of schedule.warmup_epochs 10",
                                "got 1000;")));
}

}  // namespace
}  // namespace ibot::config
