// A batch shared out among ranks, or worked through in parts, trains as the whole one does.
#include "support/ranks.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ibot/base/error.h"
#include "ibot/train/trainer.h"
#include "support/expect_tensor.h"
#include "support/temporary_folder.h"
#include "support/tiny.h"

namespace ibot::train {
namespace {

using testing::run_ranks;

constexpr int64_t kImages = 4;  // of the whole batch
constexpr int64_t kSteps = 10;

/// Every part of a step at work, and a rate that does not throw the losses about.
StepOptions step_options() {
  auto options = testing::tiny_step_options();
  options.backbone.depth = {3};
  options.backbone.drop_path = 0.5;
  options.optim.lr = 0.02;
  options.optim.freeze_last_layer = 0;
  options.head.norm_last_layer = false;
  return options;
}

/// Rank r of W has images r, r + W, …
batch::MultiCropBatch share_of(const batch::MultiCropBatch& whole, int64_t rank, int64_t world) {
  const auto rows = [&](const torch::Tensor& crops) {
    return crops.unflatten(0, {-1, kImages})
        .slice(1, rank, kImages, world)
        .flatten(0, 1)
        .contiguous();
  };
  batch::MultiCropBatch share{.global = rows(whole.global),
                              .local = rows(whole.local),
                              .mask = rows(whole.mask),
                              .local_mask = {},
                              .crop_box = rows(whole.crop_box),
                              .pairs = {},
                              .sample_id = rows(whole.sample_id),
                              .label = rows(whole.label)};
  share.pairs = batch::masked_pairs(share.mask);
  return share;
}

/// Losses of the steps, each the mean over ranks, and the state after them.
struct Trained {
  std::vector<double> losses;
  std::map<std::string, torch::Tensor> state;
};

Trained train(const StepOptions& options, int64_t parts, const dist::Group& group) {
  TrainStep step(options, torch::kCPU, group);
  const optim::RunLength length{.epochs = 4, .steps_per_epoch = 5, .global_batch = kImages};
  Trained trained;
  for (int64_t i = 0; i < kSteps; ++i) {
    const auto own = share_of(testing::tiny_batch(kImages, i), group.rank(), group.size());
    std::vector<batch::MultiCropBatch> prepared;
    for (const auto& part : batch::split(own, parts)) {
      prepared.push_back(batch::prepared(part, torch::kCPU, {}));
    }
    const auto inputs = step_inputs(options, {.warmup_epochs = 1}, 0, length, i);
    const auto loss = step.run(prepared, inputs).loss.total;
    group.all_reduce_(loss, dist::Reduction::kMean);
    trained.losses.push_back(loss.item<double>());
  }
  for (const auto& [name, tensor] : step.state()) trained.state[name] = tensor.detach().clone();
  return trained;
}

Trained train_alone(const StepOptions& options, int64_t parts = 1) {
  return train(options, parts, {});
}

/// What rank 0 has after training on several; the others must have the same.
Trained train_ranks(int64_t ranks, const StepOptions& options, int64_t parts = 1) {
  std::vector<Trained> all(static_cast<size_t>(ranks));
  run_ranks(ranks, [&](const dist::Group& group) {
    all[static_cast<size_t>(group.rank())] = train(options, parts, group);
  });
  for (const auto& other : all) {
    EXPECT_EQ(other.losses, all[0].losses);
    for (const auto& [name, tensor] : all[0].state) {
      EXPECT_TENSOR_EQUAL(other.state.at(name), tensor) << name;
    }
  }
  return all[0];
}

void expect_near(const Trained& actual, const Trained& expected, double tolerance) {
  for (size_t i = 0; i < expected.losses.size(); ++i) {
    EXPECT_TRUE(std::isfinite(expected.losses[i]));
    EXPECT_NEAR(actual.losses[i], expected.losses[i], tolerance * expected.losses[i])
        << "step " << i;
  }
}

void expect_equal(const Trained& actual, const Trained& expected) {
  EXPECT_EQ(actual.losses, expected.losses);
  ASSERT_EQ(actual.state.size(), expected.state.size());
  for (const auto& [name, tensor] : expected.state) {
    EXPECT_TENSOR_EQUAL(actual.state.at(name), tensor) << name;
  }
}

/// Of losses that differ only by the order in which floats are added, ten steps on.
constexpr double kAccumulation = 1e-5;

TEST(Ranks, TwoTrainAsOneWithTheirImages) {
  IBOT_NEEDS_RANKS();
  for (const auto norm : {models::HeadNorm::kNone, models::HeadNorm::kLayer,
                          models::HeadNorm::kBatch, models::HeadNorm::kCenterSyncBatch}) {
    SCOPED_TRACE(enum_name(norm));
    auto options = step_options();
    options.head.norm = norm;
    const auto alone = train_alone(options);
    const auto two = train_ranks(2, options);
    expect_near(two, alone, kAccumulation);
    for (const auto* name : {"loss.center", "loss.center2", "teacher.head.last_layer.weight_v"}) {
      EXPECT_TENSOR_NEAR(two.state.at(name), alone.state.at(name)) << name;
    }
  }
}

TEST(Ranks, FourTrainAsOneWithTheirImages) {
  IBOT_NEEDS_RANKS();
  expect_near(train_ranks(4, step_options()), train_alone(step_options()), kAccumulation);
}

TEST(Ranks, DropPathMattersInTheseTests) {
  auto without = step_options();
  without.backbone.drop_path = 0.0;
  EXPECT_NE(train_alone(without).losses, train_alone(step_options()).losses);
}

TEST(Ranks, PartsOfABatchTrainAsTheWhole) {
  const auto whole = train_alone(step_options());
  expect_near(train_alone(step_options(), 2), whole, kAccumulation);
  expect_near(train_alone(step_options(), 4), whole, kAccumulation);
  IBOT_NEEDS_RANKS();
  expect_near(train_ranks(2, step_options(), 2), whole, kAccumulation);
}

TEST(Ranks, PartsAreRefusedWhereStatisticsNeedTheWhole) {
  auto options = step_options();
  options.head.norm = models::HeadNorm::kBatch;
  EXPECT_THROW(train_alone(options, 2), ConfigError);
}

TEST(Ranks, ShardsOfTheOptimizerChangeNothing) {
  IBOT_NEEDS_RANKS();
  for (const auto& [kind, name] : EnumNames<optim::OptimizerKind>::values) {
    SCOPED_TRACE(name);
    auto options = step_options();
    options.optim.optimizer = kind;
    const auto whole = train_ranks(2, options);
    options.shard_optimizer = true;
    expect_equal(train_ranks(2, options), whole);
  }
}

// Gradients rounded to 8 or 11 bits: AdamW's updates are of the order of the learning rate whatever
// their size, and follow the sign of those that are next to nothing.
TEST(Ranks, CompressedGradientsTrainAlike) {
  IBOT_NEEDS_RANKS();
  const auto exact = train_ranks(2, step_options());
  auto options = step_options();
  options.compress_gradients = dist::Compression::kFp16;
  expect_near(train_ranks(2, options), exact, 0.005);
  options.compress_gradients = dist::Compression::kBf16;
  expect_near(train_ranks(2, options), exact, 0.02);
}

TEST(Ranks, RecomputedActivationsChangeNothing) {
  auto options = step_options();
  const auto kept = train_alone(options);
  options.checkpoint_activations = true;
  expect_equal(train_alone(options), kept);
  IBOT_NEEDS_RANKS();
  const auto recomputed_by_two = train_ranks(2, options);
  options.checkpoint_activations = false;
  expect_equal(recomputed_by_two, train_ranks(2, options));
}

// Weights are cast once for each run of a block: gradients of its runs are then added in float32,
// without recomputation in bfloat16.
TEST(Ranks, RecomputedActivationsStayNearInBrainFloat) {
  auto options = step_options();
  options.precision = Precision::kBf16;
  const auto kept = train_alone(options);
  options.checkpoint_activations = true;
  const auto recomputed = train_alone(options);
  EXPECT_EQ(recomputed.losses[0], kept.losses[0]);
  expect_near(recomputed, kept, 0.01);
}

TEST(Ranks, RecomputedActivationsOfSwinChangeNothing) {
  auto options = testing::tiny_step_options();
  options.backbone.arch = "swin_tiny";
  options.backbone.image_size = 64;
  options.backbone.depth = {1, 1};
  options.backbone.heads = {2, 2};
  options.backbone.window_size = 4;
  options.backbone.drop_path = 0.5;
  batch::SyntheticSource source({.images = 2,
                                 .global_size = 64,
                                 .mask = {},
                                 .grid = models::mask_grid(options.backbone, 64)});
  const auto batch = batch::prepared(*source.next(), torch::kCPU, {});
  const auto gradients = [&](bool recompute) {
    options.checkpoint_activations = recompute;
    TrainStep step(options, torch::kCPU);
    step.run(batch, {.step = 3, .values = {.lr = 1e-3}, .temperatures = {0.04, 0.04}});
    std::vector<torch::Tensor> all;
    for (const auto& parameter : step.networks().student().parameters()) {
      if (parameter.grad().defined()) all.push_back(parameter.grad().clone());
    }
    return all;
  };
  const auto kept = gradients(false), recomputed = gradients(true);
  ASSERT_EQ(kept.size(), recomputed.size());
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_TENSOR_EQUAL(recomputed[i], kept[i]);
}

/// The share of one rank of the batch of each step.
class ShareSource : public batch::BatchSource<batch::MultiCropBatch> {
 public:
  ShareSource(int64_t first, int64_t rank, int64_t world)
      : step_(first), rank_(rank), world_(world) {}
  std::optional<batch::MultiCropBatch> next() override {
    return share_of(testing::tiny_batch(kImages, step_++), rank_, world_);
  }

 private:
  int64_t step_;
  int64_t rank_;
  int64_t world_;
};

TrainerOptions rank_options(const std::filesystem::path& folder) {
  TrainerOptions options;
  options.train.log_every_steps = 1;
  options.length = {.epochs = 2, .steps_per_epoch = 5, .global_batch = kImages};
  options.schedule.warmup_epochs = 1;
  options.home.checkpoints = folder;
  return options;
}

struct RankRecorder : Observer {
  std::vector<double> losses;
  std::vector<double> agreements;
  std::vector<double> nmi;
  void on_step(const StepRecord& record) override { losses.push_back(record.loss); }
  void on_epoch(const EpochRecord& record) override {
    agreements.push_back(record.at("acc"));
    nmi.push_back(record.at("nmi"));
  }
};

RankRecorder run_trainer(const std::filesystem::path& folder, const StepOptions& options,
                         const dist::Group& group, int64_t stop_at = 0) {
  TrainStep step(options, torch::kCPU, group);
  RankRecorder record;
  Trainer trainer(rank_options(folder), step, {&record});
  if (const auto last = folder / "last.safetensors"; std::filesystem::exists(last)) {
    trainer.resume(load_checkpoint(last));
  }
  // One rank alone hears the signal.
  trainer.set_stop([&] {
    return stop_at > 0 && group.rank() == group.size() - 1 && trainer.state().step >= stop_at;
  });
  ShareSource source(trainer.state().step, group.rank(), group.size());
  trainer.run(source);
  group.barrier();  // rank 0 has saved
  return record;
}

// Stopped on two ranks in the middle of an epoch, gone on with one, and with four: the steps, means
// and metrics of the run that was never stopped.
TEST(Ranks, ARunGoesOnWithAnotherNumberOfRanks) {
  IBOT_NEEDS_RANKS();
  for (const bool sharded : {false, true}) {
    auto options = step_options();
    options.shard_optimizer = sharded;
    const testing::TemporaryFolder straight_folder, folder;
    const auto straight = run_trainer(straight_folder.path(), options, {});
    std::vector<double> losses;
    const auto go_on = [&](int64_t ranks, int64_t stop_at) {
      RankRecorder last;
      run_ranks(ranks, [&](const dist::Group& group) {
        const auto record = run_trainer(folder.path(), options, group, stop_at);
        if (group.rank() == 0) last = record;
      });
      losses.insert(losses.end(), last.losses.begin(), last.losses.end());
      return last;
    };
    go_on(2, 3);
    EXPECT_EQ(load_checkpoint_header(folder.path() / "last.safetensors").run.step, 3);
    const auto alone = run_trainer(folder.path(), options, {}, 7);
    losses.insert(losses.end(), alone.losses.begin(), alone.losses.end());
    EXPECT_NEAR(alone.agreements.at(0), straight.agreements.at(0), 1e-6);
    EXPECT_NEAR(alone.nmi.at(0), straight.nmi.at(0), 1e-6);
    const auto end = go_on(4, 0);
    EXPECT_NEAR(end.nmi.at(0), straight.nmi.at(1), 1e-6);
    ASSERT_EQ(losses.size(), straight.losses.size());
    for (size_t i = 0; i < losses.size(); ++i) {
      EXPECT_NEAR(losses[i], straight.losses[i], kAccumulation * straight.losses[i]) << i;
    }
  }
}

TEST(Ranks, ThatWouldStartFromDifferentStatesAreRefused) {
  IBOT_NEEDS_RANKS();
  const testing::TemporaryFolder folder;
  run_ranks(2, [&](const dist::Group& group) {
    auto options = step_options();
    options.seed = static_cast<uint64_t>(group.rank());
    EXPECT_THROW(run_trainer(folder.path(), options, group), CheckpointError);
  });
}

}  // namespace
}  // namespace ibot::train
