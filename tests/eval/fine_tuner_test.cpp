#include "ibot/eval/fine_tuner.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/level_images.h"
#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"
#include "ibot/models/network.h"
#include "support/expect_tensor.h"
#include "support/ranks.h"
#include "support/temporary_folder.h"

namespace ibot::eval {
namespace {

/// Keeps what a run tells.
struct Told : train::Observer {
  std::vector<train::EpochRecord> epochs;
  std::vector<train::EvaluationRecord> tests;
  std::vector<train::FaultRecord> faults;
  void on_epoch(const train::EpochRecord& record) override { epochs.push_back(record); }
  void on_fault(const train::FaultRecord& record) override { faults.push_back(record); }
  void on_evaluation(const train::EvaluationRecord& record) override { tests.push_back(record); }
};

struct TinyRun : Told {
  explicit TinyRun(const FineTuneOptions& options, const std::filesystem::path& folder = {},
                   const batch::MixingOptions& mixing = {}, const dist::Group& group = {},
                   const ClassifierOptions& shape = tiny_classifier())
      : step(options, std::make_shared<Classifier>(shape, 0), torch::kCPU, group),
        tuner({.mixing = mixing,
               .normalization = {},
               .steps_per_epoch = kStepsPerEpoch,
               .home = {.checkpoints = folder,
                        .replay = folder.empty() ? folder : folder / "replay",
                        .config = "a: 1",
                        .identity = "weights: w"}},
              step, {this}) {
    tuner.set_test(test_on_levels);
  }
  FineTuneStep step;
  FineTuner tuner;
};

void expect_equal_states(const FineTuneStep& a, const FineTuneStep& b) {
  const auto expected = a.state();
  const auto actual = b.state();
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    EXPECT_TRUE(testing::equal(actual.at(name), tensor)) << name;
  }
}

TEST(FineTuner, LearnsAnEasyTask) {
  auto options = tiny_options();
  options.epochs = 15;
  options.drop_path = 0.0;
  TinyRun run(options, {}, {.erase_prob = 0.0, .mixup = 0.0, .cutmix = 0.0});
  LevelSource batches(0);
  EXPECT_EQ(run.tuner.run(batches), train::Ending::kDone);
  ASSERT_EQ(run.epochs.size(), 15U);
  EXPECT_LT(run.epochs.back().loss, run.epochs.front().loss);
  EXPECT_EQ(run.tests.back().metrics.at("top1"), 100.0);
  EXPECT_EQ(run.tuner.state().best.score, 100.0);
}

// Stopped in the midst of an epoch, with everything random on.
TEST(FineTuner, ResumesToTheBit) {
  const testing::TemporaryFolder folder;
  auto options = tiny_options();
  options.accumulation = 2;
  options.ema = 0.9;
  TinyRun whole(options);
  LevelSource batches(0);
  EXPECT_EQ(whole.tuner.run(batches), train::Ending::kDone);

  TinyRun first(options, folder.path());
  LevelSource begin(0);
  first.tuner.set_stop([&] { return first.tuner.state().step == 5; });
  EXPECT_EQ(first.tuner.run(begin), train::Ending::kStopped);
  TinyRun second(options, folder.path());
  second.tuner.resume(train::load_checkpoint(second.tuner.last_checkpoint()));
  EXPECT_EQ(second.tuner.state().step, 5);
  LevelSource rest(5 * options.accumulation);
  EXPECT_EQ(second.tuner.run(rest), train::Ending::kDone);

  expect_equal_states(whole.step, second.step);
  EXPECT_EQ(second.tuner.state().to_json(), whole.tuner.state().to_json());
  EXPECT_EQ(second.epochs.back().loss, whole.epochs.back().loss);
  EXPECT_EQ(second.epochs.front().loss, whole.epochs[1].loss);
  EXPECT_EQ(train::load_checkpoint(second.tuner.last_checkpoint()).identity, "weights: w");
}

TEST(FineTuner, AccumulationEqualsALargerBatch) {
  auto options = tiny_options();
  auto shape = tiny_classifier();
  shape.backbone.drop_path = 0.0;
  const auto images = torch::arange(6 * 3 * kSize * kSize)
                              .remainder(17)
                              .view({6, 3, kSize, kSize})
                              .to(torch::kFloat) /
                          8 -
                      1;
  const auto targets =
      torch::softmax(torch::arange(18).view({6, 3}).remainder(5).to(torch::kFloat), 1);
  const optim::StepValues values{.lr = 0.01, .weight_decay = 0.05};
  FineTuneStep large(options, std::make_shared<Classifier>(shape, 0), torch::kCPU);
  large.accumulate(images, targets);
  const auto large_norm = large.update(values).grad_norm;
  options.accumulation = 2;
  FineTuneStep small(options, std::make_shared<Classifier>(shape, 0), torch::kCPU);
  small.accumulate(images.slice(0, 0, 3), targets.slice(0, 0, 3));
  small.accumulate(images.slice(0, 3, 6), targets.slice(0, 3, 6));
  EXPECT_TENSOR_NEAR(small.update(values).grad_norm, large_norm);
}

// As the samples of a step are dealt to passes in turn.
class ShareOfLevels : public batch::BatchSource<batch::LabeledBatch> {
 public:
  ShareOfLevels(int64_t rank, int64_t ranks) : rank_(rank), ranks_(ranks) {}
  std::optional<batch::LabeledBatch> next() override {
    std::optional<batch::LabeledBatch> own;
    for (int64_t pass = 0; pass < ranks_; ++pass) {
      auto batch = levels_.next();
      if (pass == rank_) own = std::move(batch);
    }
    return own;
  }

 private:
  LevelSource levels_{0};
  int64_t rank_;
  int64_t ranks_;
};

// With drop path, mixing and erasing: a pass draws the same numbers whichever rank takes it.
void expect_ranks_equal_passes(const ClassifierOptions& shape) {
  auto options = tiny_options();
  options.ema = 0.9;
  auto passes = options;
  passes.accumulation = 2;
  TinyRun alone(passes, {}, {}, {}, shape);
  LevelSource batches(0);
  alone.tuner.run(batches);
  testing::run_ranks(2, [&](const dist::Group& group) {
    TinyRun run(options, {}, {}, group, shape);
    ShareOfLevels share(group.rank(), group.size());
    run.tuner.run(share);
    for (const auto& [name, tensor] : alone.step.state()) {
      EXPECT_TRUE(torch::allclose(run.step.state().at(name), tensor, 1e-4, 1e-6)) << name;
    }
    ASSERT_EQ(run.epochs.size(), alone.epochs.size());
    for (size_t i = 0; i < run.epochs.size(); ++i) {
      EXPECT_NEAR(run.epochs[i].loss, alone.epochs[i].loss, 1e-6);
      EXPECT_NEAR(run.epochs[i].at("class_acc"), alone.epochs[i].at("class_acc"), 1e-6);
      EXPECT_EQ(run.epochs[i].lr, alone.epochs[i].lr);
    }
  });
}

TEST(FineTuner, SeveralRanksEqualOneThatAccumulates) {
  expect_ranks_equal_passes(tiny_classifier());
}
TEST(FineTuner, SeveralRanksEqualOneThatAccumulatesForSwin) {
  expect_ranks_equal_passes(tiny_swin());
}

// Ranks with more and fewer images, one with none.
TEST(Classifier, SeveralRanksCountEachImageOnce) {
  Classifier whole(tiny_classifier(), 0);
  FewBatches all(3);
  const auto expected = test_classifier(whole, all, {}, torch::kCPU, optim::Precision::kFp32);
  testing::run_ranks(2, [&](const dist::Group& group) {
    Classifier classifier(tiny_classifier(), 0);
    FewBatches own(group.rank() == 0 ? 3 : 0);
    const auto accuracy =
        test_classifier(classifier, own, {}, torch::kCPU, optim::Precision::kFp32, group);
    EXPECT_EQ(accuracy.images, expected.images);
    EXPECT_EQ(accuracy.top1, expected.top1);
    EXPECT_NEAR(accuracy.loss, expected.loss, 1e-12);
  });
}

// Of a version that had a loop of its own for fine-tuning.
TEST(FineTuner, GoesOnFromAFormerCheckpoint) {
  const testing::TemporaryFolder folder;
  auto options = tiny_options();
  TinyRun whole(options);
  LevelSource batches(0);
  whole.tuner.run(batches);
  TinyRun first(options);
  LevelSource begin(0);
  first.tuner.set_stop([&] { return first.tuner.state().step == 3; });
  first.tuner.run(begin);
  io::write_safetensors(
      folder / "last.safetensors",
      {first.step.state(),
       {{"format", "ibot-fine-tuning"},
        {"format_version", "1"},
        {"identity", "weights: w"},
        {"run", R"({"step":3,"steps_per_epoch":3,"loss":0.0,"correct":0.0,"grad_norm":0.0,)"
                R"("best_epoch":0,"best_top1":50.0,"best_top5":75.0})"}}});
  TinyRun second(options);
  const auto former = read_former_checkpoint(folder / "last.safetensors");
  ASSERT_TRUE(former.has_value());
  EXPECT_EQ(former->identity, "weights: w");
  second.tuner.resume(*former);
  EXPECT_EQ(second.tuner.state().best.score, 50.0);
  LevelSource rest(3);
  second.tuner.run(rest);
  expect_equal_states(whole.step, second.step);
  EXPECT_EQ(second.epochs.back().loss, whole.epochs.back().loss);
}

TEST(FineTuner, AveragesTheNetwork) {
  auto options = tiny_options();
  options.ema = 0.75;
  FineTuneStep step(options, std::make_shared<Classifier>(tiny_classifier(), 0), torch::kCPU);
  const auto before = step.classifier().parameters().back().clone();
  step.accumulate(torch::ones({2, 3, kSize, kSize}), torch::eye(3).slice(0, 0, 2));
  step.update({.lr = 0.1, .weight_decay = 0.0});
  const auto after = step.classifier().parameters().back();
  EXPECT_FALSE(torch::equal(before, after));
  EXPECT_TENSOR_NEAR(step.averaged()->parameters().back(), before * 0.75 + after * 0.25);
}

TEST(FineTuner, KeepsTheFirstOfTheBestNetworks) {
  const testing::TemporaryFolder folder;
  TinyRun run(tiny_options(), folder.path());
  std::vector<double> results{50, 70, 70, 60};
  std::vector<torch::Tensor> kept;
  run.tuner.set_test([&](Classifier& classifier) {
    kept.push_back(classifier.parameters().back().clone());
    return Accuracy{.images = 1, .loss = 0, .top1 = results[kept.size() - 1], .top5 = 90};
  });
  LevelSource batches(0);
  run.tuner.run(batches);
  EXPECT_EQ(run.tuner.state().best.step, 2 * kStepsPerEpoch);
  EXPECT_EQ(run.tuner.state().best.score, 70);
  EXPECT_EQ(run.tuner.state().best.metrics.at("top5"), 90);
  const auto best = train::load_checkpoint(folder / "best.safetensors");
  EXPECT_TENSOR_EQUAL(best.tensors.at("model.head.bias"), kept[1]);
}

TEST(FineTuner, TestsAsOftenAsToldAndAtTheEnd) {
  auto options = tiny_options();
  options.test_every_epochs = 3;
  options.ema = 0.5;
  options.test_ema = true;
  TinyRun run(options);
  LevelSource batches(0);
  run.tuner.run(batches);
  std::vector<int64_t> tested;
  for (const auto& test : run.tests) tested.push_back(test.epoch);
  EXPECT_EQ(tested, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(run.tests.back().log.back().first, "test_ema_acc1");
}

/// A run whose loss is not finite in some steps.
struct PoisonedRun : TinyRun {
  using TinyRun::TinyRun;
  /// In steps `first` to `last` the classifier's bias is infinite, afterwards what it was.
  train::Ending run(int64_t first, int64_t last) {
    auto weight = step.classifier().parameters().back();
    const auto good = [&] { return weight.isfinite().all().item<bool>(); };
    class Poisoned : public batch::BatchSource<batch::LabeledBatch> {
     public:
      std::function<void(int64_t)> before;
      std::optional<batch::LabeledBatch> next() override {
        before(number_++);
        return levels_.next();
      }

     private:
      LevelSource levels_{0};
      int64_t number_ = 0;
    } batches;
    torch::Tensor kept;
    batches.before = [&](int64_t number) {
      const torch::NoGradGuard no_grad;
      if (kept.defined() && !good()) weight.copy_(kept);
      if (number < first || number > last) return;
      kept = weight.clone();
      weight.fill_(INFINITY);
    };
    return tuner.run(batches);
  }
};

TEST(FineTuner, LeavesOutAStepThatIsNotFinite) {
  const testing::TemporaryFolder folder;
  PoisonedRun run(tiny_options(), folder.path());
  EXPECT_EQ(run.run(4, 4), train::Ending::kDone);
  ASSERT_EQ(run.faults.size(), 1U);
  EXPECT_EQ(run.faults[0].kind, "skipped");
  EXPECT_EQ(run.faults[0].step, 5);
  EXPECT_TRUE(std::isfinite(run.epochs[1].loss));
  const auto kept = io::read_safetensors(folder.path() / "replay" / "step-4.safetensors");
  EXPECT_TENSOR_EQUAL(kept.tensors.at("image"), LevelSource(4).next()->image);
  for (const auto& [name, tensor] : run.step.state()) {
    EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name;
  }
}

TEST(FineTuner, GoesBackAfterSeveralStepsThatAreNotFinite) {
  const testing::TemporaryFolder folder;
  PoisonedRun run(tiny_options(), folder.path());
  EXPECT_EQ(run.run(4, 9), train::Ending::kDone);
  std::vector<std::string> kinds;
  for (const auto& fault : run.faults) kinds.push_back(fault.kind);
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), "rolled_back"), 1);
  EXPECT_GE(std::count(kinds.begin(), kinds.end(), "skipped"), 5);
  for (const auto& [name, tensor] : run.step.state()) {
    EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name;
  }
}

// A rank whose loss alone is not finite leaves the step out on all.
TEST(FineTuner, RanksLeaveOutTheSameSteps) {
  testing::run_ranks(2, [&](const dist::Group& group) {
    TinyRun run(tiny_options(), {}, {}, group);
    const auto before = run.step.classifier().parameters().back().clone();
    auto images = torch::ones({2, 3, kSize, kSize});
    if (group.rank() == 1) images.fill_(NAN);
    run.step.accumulate(images, torch::eye(3).slice(0, 0, 2));
    EXPECT_EQ(run.step.update({.lr = 0.1}).faulty.item<float>(), 1.0f);
    EXPECT_TENSOR_EQUAL(run.step.classifier().parameters().back(), before);
  });
}

TEST(FineTuner, EndsOnALossThatIsNotFinite) {
  const testing::TemporaryFolder folder;
  auto options = tiny_options();
  options.run.on_nonfinite = train::NonfinitePolicy::kStrict;
  TinyRun run(options, folder.path());
  {
    const torch::NoGradGuard no_grad;
    run.step.classifier().parameters().back().fill_(NAN);
  }
  LevelSource batches(0);
  EXPECT_THROW(run.tuner.run(batches), DivergenceError);
  EXPECT_EQ(testing::entries_in(folder.path()), 0U);
}

TEST(FineTuner, RefusesForeignCheckpoints) {
  const testing::TemporaryFolder folder;
  TinyRun run(tiny_options(), folder.path());
  io::write_safetensors(folder / "a.safetensors", {{{"a", torch::ones({1})}}, {}});
  EXPECT_THROW(run.tuner.resume(train::load_checkpoint(folder / "a.safetensors")), CheckpointError);
  LevelSource batches(0);
  run.tuner.run(batches);
  auto options = tiny_options();
  options.ema = 0.5;
  TinyRun other(options, folder.path());
  EXPECT_THROW(other.tuner.resume(train::load_checkpoint(other.tuner.last_checkpoint())),
               CheckpointError);
}

}  // namespace
}  // namespace ibot::eval
