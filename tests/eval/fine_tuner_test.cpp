#include "ibot/eval/fine_tuner.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"
#include "ibot/models/network.h"
#include "support/expect_tensor.h"
#include "support/ranks.h"
#include "support/temporary_folder.h"

namespace ibot::eval {
namespace {

constexpr int64_t kSize = 8;
constexpr int64_t kBatch = 4;
constexpr int64_t kStepsPerEpoch = 3;

ClassifierOptions tiny_classifier() {
  ClassifierOptions options;
  options.backbone.arch = "vit_tiny";
  options.backbone.image_size = kSize;
  options.backbone.patch_size = 4;
  options.backbone.embed_dim = 16;
  options.backbone.depth = {2};
  options.backbone.heads = {2};
  options.backbone.drop_path = 0.2;
  options.projection = {.prototypes = 12, .hidden_dim = 10, .bottleneck_dim = 6};
  options.classes = 3;
  return options;
}

FineTuneOptions tiny_options() {
  FineTuneOptions options;
  options.epochs = 4;
  options.batch_size = kBatch;
  options.lr = 1e-2;
  options.warmup_epochs = 1;
  options.precision = optim::Precision::kFp32;
  options.log_every_steps = 2;
  return options;
}

/// Batch i is a pure function of i: class c has brightness 60 c + 40, with some noise.
class LevelSource : public batch::BatchSource<batch::LabeledBatch> {
 public:
  explicit LevelSource(int64_t first, int64_t size = kBatch) : next_(first), size_(size) {}

  std::optional<batch::LabeledBatch> next() override {
    const auto number = next_++;
    const auto label = (torch::arange(size_) + number) % 3;
    const auto noise = torch::arange(size_ * 3 * kSize * kSize).mul(number * 2 + 7).remainder(23);
    const auto image =
        noise.view({size_, 3, kSize, kSize}) + label.view({size_, 1, 1, 1}) * 60 + 40;
    return batch::LabeledBatch{image.to(torch::kByte), label, torch::arange(size_)};
  }

 private:
  int64_t next_;
  int64_t size_;
};

/// The first `count` batches of a LevelSource.
class FewBatches : public batch::BatchSource<batch::LabeledBatch> {
 public:
  explicit FewBatches(int64_t count) : left_(count) {}
  std::optional<batch::LabeledBatch> next() override {
    return left_-- > 0 ? source_.next() : std::nullopt;
  }

 private:
  LevelSource source_{1000};
  int64_t left_;
};

Accuracy test_on_levels(Classifier& classifier) {
  FewBatches batches(3);
  return test_classifier(classifier, batches, {}, torch::kCPU, optim::Precision::kFp32);
}

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
               .checkpoints = folder,
               .replay = folder.empty() ? folder : folder / "replay",
               .config = "a: 1",
               .identity = "weights: w"},
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

ClassifierOptions tiny_swin() {
  auto options = tiny_classifier();
  options.backbone.arch = "swin_tiny";
  options.backbone.window_size = 2;
  options.backbone.embed_dim = 8;
  options.backbone.depth = {1, 1};
  options.backbone.heads = {2, 2};
  return options;
}

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
  options.on_nonfinite = train::NonfinitePolicy::kStrict;
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

// The bias of attention begins at 0: what the pre-trained network without one gives.
TEST(Classifier, GainsABiasOfAttention) {
  auto options = tiny_classifier();
  Classifier plain(options, 0);
  options.backbone.rel_pos_bias = true;
  Classifier biased(options, 1);
  biased.load_backbone(plain.backbone());
  const auto images = torch::rand({2, 3, kSize, kSize});
  plain.eval();
  biased.eval();
  const auto token = [&](Classifier& classifier) {
    return classifier.backbone().forward(images).class_token;
  };
  EXPECT_TENSOR_NEAR(token(biased), token(plain));

  auto tune = tiny_options();
  tune.decay_bias_tables = false;
  FineTuneStep step(tune, std::make_shared<Classifier>(options, 1), torch::kCPU);
  int tables = 0;
  for (const auto& parameter : step.optimizer().parameters()) {
    if (parameter.name.find("bias_table") == std::string::npos) continue;
    ++tables;
    EXPECT_FALSE(parameter.decays);
    EXPECT_LT(parameter.lr_scale, 1.0);
  }
  EXPECT_EQ(tables, 2);
  step.accumulate(images, torch::eye(3).slice(0, 0, 2));
  step.update({.lr = 0.1});
  const auto name = "model.backbone.blocks.1.attn.relative_position_bias_table";
  EXPECT_GT(step.state().at(name).abs().sum().item<float>(), 0.0f);
  // Its own weights are taken over, resized where images have another size.
  options.backbone.image_size = 2 * kSize;
  Classifier larger(options, 2);
  larger.load_backbone(step.classifier().backbone());
  EXPECT_GT(larger.backbone()
                .named_parameters()["blocks.1.attn.relative_position_bias_table"]
                .abs()
                .sum()
                .item<float>(),
            0.0f);
}

// get_sinusoid_encoding_table(4, 16) of the reference's modeling_finetune.py, its first columns.
TEST(Classifier, FixesItsPositions) {
  auto options = tiny_classifier();
  options.positions = Positions::kSinusoid;
  const auto pretrained = Classifier(tiny_classifier(), 3).backbone().shared_from_this();
  const auto run = [&] {
    const auto classifier = std::make_shared<Classifier>(options, 0);
    classifier->load_backbone(*std::dynamic_pointer_cast<models::Backbone>(pretrained));
    FineTuneStep step(tiny_options(), classifier, torch::kCPU);
    step.accumulate(torch::rand({2, 3, kSize, kSize}), torch::eye(3).slice(0, 0, 2));
    step.update({.lr = 0.1, .weight_decay = 0.1});
    return step.state().at("model.backbone.pos_embed").clone();
  };
  EXPECT_TENSOR_NEAR(run()[0].slice(1, 0, 4),
                     torch::tensor({{0.f, 0.f, 0.f, 0.f},
                                    {0.f, 1.f, 0.f, 1.f},
                                    {.84147098f, .54030231f, .31098359f, .95041528f},
                                    {.90929743f, -.41614684f, .59112711f, .80657841f},
                                    {.14112001f, -.98999250f, .81264889f, .58275361f}}));
  options.positions = Positions::kNone;
  EXPECT_EQ(run().abs().sum().item<float>(), 0.0f);
  options = tiny_swin();
  options.positions = Positions::kNone;
  EXPECT_THROW(Classifier(options, 0), OptionError);
}

TEST(FineTuneStep, RunsInBfloat16AndRefusesHalfOnTheCpu) {
  auto options = tiny_options();
  options.precision = optim::Precision::kFp16;
  const auto classifier = std::make_shared<Classifier>(tiny_classifier(), 0);
  EXPECT_THROW(FineTuneStep(options, classifier, torch::kCPU), ConfigError);
  options.precision = optim::Precision::kBf16;
  FineTuneStep step(options, classifier, torch::kCPU);
  const auto result =
      step.accumulate(torch::ones({2, 3, kSize, kSize}), torch::eye(3).slice(0, 0, 2));
  EXPECT_EQ(result.loss.scalar_type(), torch::kFloat);
  EXPECT_TRUE(std::isfinite(step.update({.lr = 0.1}).grad_norm.item<double>()));
}

TEST(FineTuneValues, ScaleWithTheImagesOfAStep) {
  auto options = transfer_defaults();
  options.batch_size = 768;
  // The peak of the published CIFAR run, after the warm-up of 5 epochs.
  EXPECT_NEAR(fine_tune_values(options, 65, 6 * 65).lr, 1.1249923e-5, 1e-12);
  EXPECT_NEAR(fine_tune_values(options, 65, 7 * 65 - 1).lr, 1.1249923e-5, 1e-12);
  EXPECT_NEAR(fine_tune_values(options, 65, 500 * 65).lr, 1.0626963e-5, 1e-12);
  EXPECT_NEAR(fine_tune_values(options, 65, 1000 * 65 - 1).lr, 1.0000012e-5, 1e-12);
  options.lr_curve = optim::LrCurve::kStep;
  options.decay_epochs = 100;
  options.lr_noise = {0.9};
  options.validate();
  const double peak = 1.125e-5;
  EXPECT_NEAR(fine_tune_values(options, 65, 201 * 65).lr, peak * 0.01, 1e-12);
  const auto noisy = fine_tune_values(options, 65, 950 * 65).lr / (peak * 1e-9);
  EXPECT_NE(noisy, 1.0);
  EXPECT_NEAR(noisy, 1.0, options.lr_noise_limit);
  options.schedule = LrSchedule::kStep;
  EXPECT_THROW(options.validate(), OptionError);
  FineTuneOptions by_steps;
  by_steps.warmup_steps = 11;
  EXPECT_DOUBLE_EQ(fine_tune_values(by_steps, 100, 10).lr, by_steps.lr);
}

TEST(Classifier, NamesItsHeadAsTheReference) {
  const auto names = [](int64_t layers) {
    auto options = tiny_classifier();
    options.head_layers = layers;
    const Classifier classifier(options, 0);
    std::map<std::string, std::vector<int64_t>> shapes;
    for (const auto& [name, tensor] : models::named_state(classifier)) {
      if (name.rfind("head.", 0) == 0) shapes[name] = tensor.sizes().vec();
    }
    return shapes;
  };
  using Shapes = std::map<std::string, std::vector<int64_t>>;
  EXPECT_EQ(names(0), (Shapes{{"head.weight", {3, 16}}, {"head.bias", {3}}}));
  EXPECT_EQ(names(1), (Shapes{{"head.mlp.0.weight", {10, 16}},
                              {"head.mlp.0.bias", {10}},
                              {"head.cls_head.weight", {3, 10}},
                              {"head.cls_head.bias", {3}}}));
  EXPECT_EQ(names(2).at("head.mlp.2.weight"), (std::vector<int64_t>{10, 10}));
  const auto whole = names(3);
  EXPECT_EQ(whole.at("head.mlp.4.weight"), (std::vector<int64_t>{6, 10}));
  EXPECT_EQ(whole.at("head.last_layer.weight_v"), (std::vector<int64_t>{12, 6}));
  EXPECT_EQ(whole.at("head.last_layer.weight_g"), (std::vector<int64_t>{12, 1}));
  EXPECT_EQ(whole.at("head.cls_head.weight"), (std::vector<int64_t>{3, 12}));
}

// The whole head kept, its classifier the identity: the scores are those of the projection head.
TEST(Classifier, KeepsThePretrainedHead) {
  auto options = tiny_classifier();
  options.head_layers = 3;
  options.classes = options.projection.prototypes;
  options.projection.shared = true;
  const auto made = std::make_shared<models::Network>(options.backbone, options.projection,
                                                      models::Role::kTeacher);
  auto& network = *made;
  models::initialize_(network, at::globalContext().defaultGenerator(torch::kCPU).clone());
  Classifier classifier(options, 1);
  classifier.load_backbone(*network.backbone);
  std::map<std::string, torch::Tensor> head;
  for (const auto& [name, tensor] : models::named_state(*network.head)) head.emplace(name, tensor);
  classifier.load_projection(head);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : classifier.named_parameters()) {
    if (parameter.key() == "head.cls_head.weight") {
      parameter.value().copy_(torch::eye(options.classes));
    }
  }
  classifier.eval();
  network.eval();
  const auto images = torch::ones({2, 3, kSize, kSize});
  const auto token = network.backbone->forward(images).class_token;
  EXPECT_TENSOR_NEAR(classifier.forward(images),
                     network.head->class_logits(network.head->trunk(token)));
  head.erase("mlp.2.weight");
  EXPECT_THROW(classifier.load_projection(head), CheckpointError);
}

TEST(Classifier, ResizesPositionsToItsImages) {
  auto options = tiny_classifier();
  const Classifier small(options, 0);
  options.backbone.image_size = 2 * kSize;
  Classifier large(options, 1);
  large.load_backbone(const_cast<Classifier&>(small).backbone());
  const auto positions = large.backbone().named_parameters()["pos_embed"];
  EXPECT_EQ(positions.sizes().vec(), (std::vector<int64_t>{1, 17, 16}));
  options.backbone.embed_dim = 32;
  Classifier wider(options, 1);
  EXPECT_THROW(wider.load_backbone(const_cast<Classifier&>(small).backbone()), CheckpointError);
}

TEST(Classifier, ScalesItsLastLayerAlone) {
  auto options = tiny_classifier();
  options.head_scale = 1e-3;
  const Classifier classifier(options, 0);
  EXPECT_LT(classifier.named_parameters()["head.weight"].abs().max().item<double>(), 1e-3);
  options.classes = 1;
  EXPECT_THROW(Classifier(options, 0), Error);
}

TEST(Classifier, CountsOnlyWhatRanksFirst) {
  Classifier classifier(tiny_classifier(), 0);
  {
    // Equal scores: class 0 wins, so that a third of the images is right.
    const torch::NoGradGuard no_grad;
    for (auto& parameter : classifier.parameters()) parameter.zero_();
  }
  auto accuracy = test_on_levels(classifier);
  EXPECT_NEAR(accuracy.top1, 100.0 / 3.0, 1e-9);
  EXPECT_EQ(accuracy.top5, 100.0);
  EXPECT_NEAR(accuracy.loss, std::log(3.0), 1e-6);
  {
    const torch::NoGradGuard no_grad;
    classifier.parameters().back().fill_(NAN);
  }
  EXPECT_EQ(test_on_levels(classifier).top1, 0.0);
  FewBatches none(0);
  EXPECT_THROW(test_classifier(classifier, none, {}, torch::kCPU, optim::Precision::kFp32),
               DataError);
}

TEST(FineTuneOptions, AreChecked) {
  EXPECT_NO_THROW(FineTuneOptions().validate());
  EXPECT_NO_THROW(transfer_defaults().validate());
  EXPECT_NO_THROW(semi_supervised_defaults().validate());
  FineTuneOptions options;
  options.test_ema = true;
  EXPECT_THROW(options.validate(), OptionError);
  options = {};
  options.head_layers = 4;
  EXPECT_THROW(options.validate(), OptionError);
}

}  // namespace
}  // namespace ibot::eval
