#include "ibot/train/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ibot/base/error.h"
#include "ibot/train/trainer.h"
#include "support/temporary_folder.h"
#include "support/tiny.h"

namespace ibot::train {
namespace {

using ::testing::HasSubstr;

TEST(EffectiveRank, OfKnownMatrices) {
  EXPECT_NEAR(effective_rank(torch::eye(7)), 7.0, 1e-9);
  EXPECT_NEAR(effective_rank(torch::eye(7).repeat({3, 2})), 7.0, 1e-9);
  EXPECT_NEAR(effective_rank(torch::arange(1., 6.).unsqueeze(1) * torch::arange(1., 4.)), 1.0,
              1e-6);
  // Singular values 3 and 1: shares 3/4 and 1/4.
  const double entropy = -0.75 * std::log(0.75) - 0.25 * std::log(0.25);
  EXPECT_NEAR(effective_rank(torch::tensor({{3.0, 0.0}, {0.0, 1.0}, {0.0, 0.0}})),
              std::exp(entropy), 1e-9);
  EXPECT_EQ(effective_rank(torch::full({2, 2}, NAN)), 0.0);
}

HealthRecord health_of(const torch::Tensor& targets) {
  const auto images = targets.size(0) / 2;
  return read_health(sample_health({targets, targets}, torch::eye(2 * images), torch::ones({1, 4}),
                                   torch::full({1, 1, 9}, 2.0), images));
}

// Two views of four images, five prototypes.
TEST(Health, OfKnownTargets) {
  const auto apart = torch::eye(5).narrow(0, 0, 4).repeat({2, 1});
  EXPECT_NEAR(health_of(apart).entropy_cls, 0.0, 1e-6);
  EXPECT_NEAR(health_of(apart).information_cls, std::log(4.0), 1e-6);
  EXPECT_NEAR(health_of(apart).feature_rank, 4.0, 1e-6);
  EXPECT_NEAR(health_of(apart).center_norm, 2.0, 1e-6);
  EXPECT_NEAR(health_of(apart).center_norm_patch, 6.0, 1e-6);

  const auto uniform = torch::full({8, 5}, 0.2);
  EXPECT_NEAR(health_of(uniform).entropy_cls, std::log(5.0), 1e-6);
  EXPECT_NEAR(health_of(uniform).entropy_patch, std::log(5.0), 1e-6);
  EXPECT_NEAR(health_of(uniform).information_cls, 0.0, 1e-6);

  const auto one_prototype = torch::eye(5).narrow(0, 2, 1).repeat({8, 1});
  EXPECT_NEAR(health_of(one_prototype).entropy_cls, 0.0, 1e-6);
  EXPECT_NEAR(health_of(one_prototype).information_cls, 0.0, 1e-6);
}

TEST(HealthWatch, WarnsOnceOfACollapseThatLasts) {
  const HealthRecord well{.information_cls = 1.0, .feature_rank = 20.0};
  const HealthRecord collapsed{.information_cls = 1e-4, .feature_rank = 20.0};
  const HealthRecord one_direction{.information_cls = 1.0, .feature_rank = 1.01};
  HealthWatch watch(100, 8);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(watch.judge(99, collapsed));
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(watch.judge(100, collapsed));
  const auto warning = watch.judge(101, one_direction);
  ASSERT_TRUE(warning.has_value());
  EXPECT_THAT(*warning, HasSubstr("features have effective rank 1.01"));
  EXPECT_THAT(*warning, HasSubstr("loss.teacher_temp"));
  EXPECT_FALSE(watch.judge(102, collapsed));
  EXPECT_FALSE(watch.judge(103, well));
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(watch.judge(104, collapsed));
  EXPECT_TRUE(watch.judge(105, collapsed));

  HealthWatch few_images(0, 7);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(few_images.judge(100, collapsed));
}

TEST(SpikeWatch, TellsEachSpikeAndWhetherItLasts) {
  SpikeWatch watch;
  EXPECT_FALSE(watch.judge(5.9));
  EXPECT_FALSE(watch.judge(7.0)->lasts);
  EXPECT_FALSE(watch.judge(1.0));
  EXPECT_FALSE(watch.judge(7.0)->lasts);
  EXPECT_FALSE(watch.judge(8.0)->lasts);
  const auto third = watch.judge(9.0);
  EXPECT_TRUE(third->lasts);
  EXPECT_THAT(
      third->text,
      HasSubstr("9 standard deviations above its running mean, for 3 consecutive intervals"));
}

struct HealthTold : Observer {
  std::vector<StepRecord> steps;
  std::vector<FaultRecord> faults;
  void on_step(const StepRecord& record) override { steps.push_back(record); }
  void on_fault(const FaultRecord& record) override { faults.push_back(record); }
};

/// 40 steps of eight images.
Ending train(const StepOptions& step_options, CollapsePolicy policy, HealthTold& told) {
  const testing::TemporaryFolder folder;
  TrainerOptions options;
  options.train.log_every_steps = 2;
  options.train.batch_size = 8;
  options.train.on_collapse = policy;
  options.length = {.epochs = 4, .steps_per_epoch = 10, .global_batch = 8};
  options.schedule.warmup_epochs = 1;
  options.schedule.momentum_teacher = 0.9;
  options.home.checkpoints = folder.path();
  TrainStep step(step_options, torch::kCPU);
  testing::TinySource source(0, 8);
  return Trainer(options, step, {&told}).run(source);
}

// Without centering and sharpening nothing keeps the teacher's targets from becoming uniform.
StepOptions collapsing() {
  auto options = testing::tiny_step_options();
  options.loss.center_momentum = 1.0;
  options.loss.center_momentum_patch = 1.0;
  options.loss.warmup_teacher_temp = options.loss.teacher_temp = 1.0;
  options.loss.warmup_teacher_patch_temp = options.loss.teacher_patch_temp = 1.0;
  return options;
}

TEST(HealthWatch, AForcedCollapseIsToldOfAndStopsTheRunWhenAsked) {
  HealthTold told;
  EXPECT_EQ(train(collapsing(), CollapsePolicy::kWarn, told), Ending::kDone);
  ASSERT_EQ(told.faults.size(), 1u);
  EXPECT_EQ(told.faults[0].kind, "collapse");
  EXPECT_GE(told.faults[0].step, 10);
  ASSERT_TRUE(told.steps.back().health.has_value());
  EXPECT_GT(told.steps.back().health->entropy_cls, 0.99 * std::log(24.0));  // all but uniform
  EXPECT_EQ(told.steps.back().health->center_norm, 0.0);

  HealthTold until;
  EXPECT_THROW(train(collapsing(), CollapsePolicy::kStop, until), DivergenceError);
  EXPECT_EQ(until.faults.size(), 1u);
}

TEST(HealthWatch, AnOrdinaryRunIsWell) {
  HealthTold told;
  auto options = testing::tiny_step_options();
  options.optim.lr = 0.001;
  EXPECT_EQ(train(options, CollapsePolicy::kStop, told), Ending::kDone);
  EXPECT_TRUE(told.faults.empty()) << told.faults[0].text;
  EXPECT_GT(told.steps.back().health->information_cls, 0.01);
  EXPECT_GT(told.steps.back().health->feature_rank, 1.05);
}

}  // namespace
}  // namespace ibot::train
