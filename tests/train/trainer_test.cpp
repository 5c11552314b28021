#include "ibot/train/trainer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "ibot/train/run_log.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/temporary_folder.h"
#include "support/test_device.h"
#include "support/tiny.h"

namespace ibot::train {
namespace {

using testing::TemporaryFolder;
using testing::tiny_step_options;
using testing::TinySource;

TrainerOptions trainer_options(const std::filesystem::path& folder) {
  TrainerOptions options;
  options.train.log_every_steps = 3;
  options.train.save_every_epochs = 1;
  options.length = {.epochs = 3, .steps_per_epoch = 4, .global_batch = 3};
  options.schedule.warmup_epochs = 1;
  options.home.checkpoints = folder;
  options.home.config = "text of the configuration";
  return options;
}

/// Keeps what it is told.
struct Recorder : Observer {
  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;
  void on_step(const StepRecord& record) override { steps.push_back(record); }
  void on_epoch(const EpochRecord& record) override { epochs.push_back(record); }
};

void expect_equal_state(const TrainStep& a, const TrainStep& b) {
  const auto expected = b.state();
  for (const auto& [name, tensor] : a.state()) {
    EXPECT_TRUE(testing::equal(tensor.detach(), expected.at(name).detach())) << name;
  }
}

// Stopped in the middle of an epoch, at its end and right after the start: the weights, the epoch
// means and the cluster metrics are those of the undisturbed run, to the bit.
TEST(Trainer, AResumedRunEndsWithTheSameBits) {
  const TemporaryFolder straight_folder;
  TrainStep straight(tiny_step_options(), testing::test_device());
  Recorder straight_record;
  Trainer straight_trainer(trainer_options(straight_folder.path()), straight, {&straight_record});
  TinySource straight_source;
  EXPECT_EQ(straight_trainer.run(straight_source), Ending::kDone);

  for (const int64_t stop_at : {1, 4, 6}) {
    SCOPED_TRACE(stop_at);
    const TemporaryFolder folder;
    {
      TrainStep step(tiny_step_options(), testing::test_device());
      Trainer trainer(trainer_options(folder.path()), step, {});
      trainer.set_stop([&] { return trainer.state().step == stop_at; });
      TinySource source;
      EXPECT_EQ(trainer.run(source), Ending::kStopped);
    }
    const auto checkpoint = load_checkpoint(folder.path() / "last.safetensors");
    EXPECT_EQ(checkpoint.config, "text of the configuration");
    EXPECT_EQ(checkpoint.run.step, stop_at);
    TrainStep resumed(tiny_step_options(), testing::test_device());
    Recorder record;
    Trainer trainer(trainer_options(folder.path()), resumed, {&record});
    trainer.resume(checkpoint);
    TinySource source(stop_at);
    EXPECT_EQ(trainer.run(source), Ending::kDone);
    expect_equal_state(resumed, straight);
    EXPECT_EQ(record.epochs.back().loss, straight_record.epochs.back().loss);
    const auto first = static_cast<size_t>(stop_at / 4);
    EXPECT_EQ(record.epochs.front().loss, straight_record.epochs[first].loss);
    EXPECT_EQ(record.epochs.front().at("nmi"), straight_record.epochs[first].at("nmi"));
  }
}

TEST(Trainer, ACheckpointOfMoreOrFewerImagesIsRefused) {
  const TemporaryFolder folder;
  TrainStep step(tiny_step_options(), testing::test_device());
  auto options = trainer_options(folder.path());
  options.train.max_steps = 1;
  TinySource source;
  Trainer(options, step, {}).run(source);
  options.length.steps_per_epoch = 5;
  Trainer other(options, step, {});
  EXPECT_THROW(other.resume(load_checkpoint(folder.path() / "last.safetensors")), CheckpointError);
}

TEST(Trainer, ACheckpointTellsTheNumberOfImages) {
  const TemporaryFolder folder;
  TrainStep step(tiny_step_options(), testing::test_device());
  auto options = trainer_options(folder.path());
  options.home.images = 14;
  options.train.max_steps = 1;
  TinySource source;
  Trainer(options, step, {}).run(source);
  const auto before = load_checkpoint(folder / "last.safetensors");
  EXPECT_EQ(before.run.images, 14);
  options.home.images = 13;
  Trainer other(options, step, {});
  other.resume(before);
  EXPECT_EQ(other.state().images, 13);
}

TEST(Trainer, KeepsCheckpointsByEpochAndTellsEveryInterval) {
  const TemporaryFolder folder;
  TrainStep step(tiny_step_options(), testing::test_device());
  Recorder record;
  Trainer trainer(trainer_options(folder.path()), step, {&record});
  TinySource source;
  trainer.run(source);
  // Epochs 1 and 2; epoch 0 is never kept, as in the reference.
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "epoch_0001.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "epoch_0002.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "epoch_0000.safetensors"));
  EXPECT_EQ(load_checkpoint_header(folder.path() / "epoch_0001.safetensors").run.step, 8);
  std::vector<int64_t> told;
  for (const auto& line : record.steps) told.push_back(line.step);
  EXPECT_EQ(told, (std::vector<int64_t>{3, 4, 6, 8, 9, 12}));
  EXPECT_NEAR(record.epochs[0].loss, (3 * record.steps[0].loss + record.steps[1].loss) / 4, 1e-6);
}

TEST(Trainer, TheBestCheckpointIsKept) {
  const TemporaryFolder folder;
  const auto scores = [](int64_t epoch) { return std::vector{30.0, 50.0, 40.0}[epoch]; };
  for (const int64_t stop_at : {0, 8, 9}) {
    TrainStep step(tiny_step_options(), testing::test_device());
    Trainer trainer(trainer_options(folder.path()), step, {});
    const auto before = restore_newest(folder.path());
    if (before && stop_at > 8) trainer.resume(before->checkpoint);
    trainer.set_evaluation([&](int64_t epoch) {
      return EvaluationRecord{.epoch = epoch, .name = "knn", .score = scores(epoch)};
    });
    trainer.set_stop([&] { return trainer.state().step == stop_at; });
    TinySource source(trainer.state().step);
    trainer.run(source);
    EXPECT_EQ(load_checkpoint(folder / "best.safetensors").run.step, 8) << stop_at;
  }
}

TEST(Trainer, AnEvaluationThatFindsARankLostEndsTheRun) {
  const TemporaryFolder folder;
  TrainStep step(tiny_step_options(), testing::test_device());
  Trainer trainer(trainer_options(folder.path()), step, {});
  trainer.set_evaluation([](int64_t) -> std::optional<EvaluationRecord> {
    throw dist::PeerError("ranks: rank 1 on there has died");
  });
  TinySource source;
  EXPECT_THROW(trainer.run(source), dist::PeerError);
}

TEST(Trainer, AnEvaluationThatFailsDoesNotEndTheRun) {
  class Faults : public Observer {
   public:
    void on_fault(const FaultRecord& record) override { records.push_back(record); }
    void on_evaluation(const EvaluationRecord& record) override {
      evaluated.push_back(record.epoch);
    }
    std::vector<FaultRecord> records;
    std::vector<int64_t> evaluated;
  };
  const TemporaryFolder folder;
  TrainStep step(tiny_step_options(), testing::test_device());
  Faults faults;
  Trainer trainer(trainer_options(folder.path()), step, {&faults});
  trainer.set_evaluation([](int64_t epoch) {
    IBOT_CHECK_AS(DataError, epoch != 1, "val/cat/7.jpg: truncated");
    return EvaluationRecord{.epoch = epoch, .score = 40.0 + static_cast<double>(epoch)};
  });
  TinySource source;
  EXPECT_EQ(trainer.run(source), Ending::kDone);
  ASSERT_EQ(faults.records.size(), 1U);
  EXPECT_EQ(faults.records[0].kind, "evaluation_failed");
  EXPECT_EQ(faults.records[0].step, 8);
  EXPECT_EQ(
      faults.records[0].text,
      "evaluation after epoch 2 failed: val/cat/7.jpg: truncated; training goes on without it");
  EXPECT_EQ(faults.evaluated, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(load_checkpoint(folder / "best.safetensors").run.step, 12);
}

// At its end the best epoch so far is not saved, amid a step that does not count.
TEST(Trainer, TheBestCheckpointIsOneThatWasSaved) {
  class SpoiledEpoch : public TinySource {
   public:
    std::optional<batch::MultiCropBatch> next() override {
      auto batch = TinySource::next();
      if (step_++ == 7) batch->pairs.weight.fill_(NAN);
      return batch;
    }

   private:
    int64_t step_ = 0;
  };
  const TemporaryFolder folder;
  TrainStep step(tiny_step_options(), testing::test_device());
  Trainer trainer(trainer_options(folder.path()), step, {});
  trainer.set_evaluation([](int64_t epoch) {
    return EvaluationRecord{.epoch = epoch, .score = std::vector{30.0, 50.0, 40.0}[epoch]};
  });
  SpoiledEpoch source;
  trainer.run(source);
  EXPECT_FALSE(std::filesystem::exists(step_file(folder.path(), 8)));
  const auto best = load_checkpoint(folder / "best.safetensors");
  EXPECT_EQ(best.run.step, 12);
  EXPECT_EQ(best.run.best.score, 40.0);
}

/// Spoils the batch of one step.
class SpoiledSource : public TinySource {
 public:
  std::optional<batch::MultiCropBatch> next() override {
    auto batch = TinySource::next();
    if (step_++ == 5) batch->pairs.weight.fill_(NAN);
    return batch;
  }

 private:
  int64_t step_ = 0;
};

TEST(Trainer, ALossThatIsNotFiniteNamesStepValuesAndLastGoodCheckpoint) {
  const TemporaryFolder folder;
  TrainStep step(tiny_step_options(), testing::test_device());
  auto options = trainer_options(folder.path());
  options.train.on_nonfinite = NonfinitePolicy::kStrict;
  Trainer trainer(options, step, {});
  SpoiledSource source;
  try {
    trainer.run(source);
    FAIL() << "expected a DivergenceError";
  } catch (const DivergenceError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("loss nan at step 5 of epoch 2"), std::string::npos) << message;
    EXPECT_NE(message.find("last.safetensors"), std::string::npos) << message;
  }
  EXPECT_EQ(load_checkpoint(folder.path() / "last.safetensors").run.step, 4);
}

// With the weights of that step the last good checkpoint would be none.
TEST(Trainer, StrictEndsAtAGradientThatIsNotFiniteBeforeItSaves) {
  for (const auto precision : {Precision::kFp32, Precision::kBf16}) {
    const TemporaryFolder folder;
    auto step_options = tiny_step_options();
    step_options.precision = precision;
    TrainStep step(step_options, testing::test_device());
    auto options = trainer_options(folder.path());
    options.train.on_nonfinite = NonfinitePolicy::kStrict;
    Trainer trainer(options, step, {});
    // Step 7 is the last of its epoch, which is saved.
    step.networks().student().backbone->parameters()[0].register_hook(
        [&](const torch::Tensor& gradient) {
          return trainer.state().step == 7 ? gradient * NAN : gradient;
        });
    TinySource source;
    try {
      trainer.run(source);
      ADD_FAILURE() << "expected a DivergenceError";
    } catch (const DivergenceError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find("gradient norm nan at step 7 of epoch 2"), std::string::npos)
          << message;
    }
    EXPECT_EQ(load_checkpoint(folder / "last.safetensors").run.step, 4);
  }
}

// A full disk: what could not be written follows, and one warning tells of it.
TEST(RunLog, WaitsForRoom) {
  const TemporaryFolder folder;
  std::vector<std::string> warnings;
  RunLog log(folder.path(), 0, 4, [&](const std::string& text) { warnings.push_back(text); });
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  for (const int64_t step : {1, 2, 3}) log.on_step({.step = step});
  log.on_epoch({.step = 4, .epoch = 0});
  log.on_epoch_end();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("lines are queued in memory"), std::string::npos) << warnings[0];
  log.on_fault({.step = 4, .kind = "save_failed", .text = "no room"});
  log.on_epoch({.step = 8, .epoch = 1});
  log.on_epoch_end();
  std::ifstream metrics(folder / "metrics.jsonl");
  std::vector<int64_t> steps;
  for (std::string line; std::getline(metrics, line);) {
    steps.push_back(nlohmann::json::parse(line)["step"]);
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{1, 2, 3, 4}));
  std::ifstream epochs(folder / "log.txt");
  std::string line;
  ASSERT_TRUE(std::getline(epochs, line));
  EXPECT_EQ(nlohmann::json::parse(line)["epoch"], 0);
}

TEST(RunLog, TellsAtTheEndOfLinesThatFoundNoRoom) {
  const TemporaryFolder folder;
  std::vector<std::string> warnings;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  {
    RunLog log(folder.path(), 0, 4, [&](const std::string& text) { warnings.push_back(text); });
    const rlimit small{100, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    log.on_step({.step = 1});
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_NE(warnings[1].find("lines that were queued are lost"), std::string::npos);
}

TEST(RunLog, WritesTheOfficialKeysAndDropsWhatARestartRepeats) {
  const TemporaryFolder folder;
  {
    RunLog log(folder.path(), 0, 4, {}, LogKeys{.undefined = {"adjacc", "nmi"}});
    log.on_step({.step = 3, .loss = 1.5});
    log.on_step({.step = 4, .loss = 1.25});
    log.on_epoch({.step = 4,
                  .loss = 1.5,
                  .terms = {{"cls", 1.0}, {"patch", 0.5}},
                  .more = {{"acc", 0.5}, {"nmi", 0}, {"ari", 0}, {"fscore", 0}, {"adjacc", -1}}});
    log.on_epoch_end();
    log.on_step({.step = 6, .epoch = 1});
    log.on_epoch({.step = 8, .epoch = 1});
    log.on_epoch_end();
    std::ofstream(folder.path() / "metrics.jsonl", std::ios::app)
        << "{\"step\": \"damaged\"}\n{\"step\": 9, \"lo";
  }
  // TensorBoard has what is defined, epochs apart from steps.
  const auto events = std::filesystem::directory_iterator(folder.path() / "tensorboard")->path();
  const auto drawn = io::read_file(events);
  for (const char* tag : {"step/loss", "epoch/loss", "epoch/cls", "epoch/acc", "epoch/ari"}) {
    EXPECT_NE(drawn.find(tag), std::string::npos) << tag;
  }
  for (const char* tag : {"adjacc", "nmi"}) EXPECT_EQ(drawn.find(tag), std::string::npos) << tag;
  RunLog log(folder.path(), 4, 4);
  log.on_step({.step = 6, .epoch = 1, .loss = 0.5});
  log.on_evaluation({.step = 8, .epoch = 1, .name = "knn", .metrics = {{"top1_k10", 50.0}}});
  const auto lines = [&](const char* name) {
    std::ifstream file(folder.path() / name);
    std::vector<nlohmann::ordered_json> objects;
    for (std::string line; std::getline(file, line);) {
      objects.push_back(nlohmann::ordered_json::parse(line));
    }
    return objects;
  };
  const auto metrics = lines("metrics.jsonl");
  ASSERT_EQ(metrics.size(), 4u);
  EXPECT_EQ(metrics[2]["step"], 6);
  EXPECT_EQ(metrics[2]["loss"], 0.5);
  EXPECT_EQ(metrics[3]["eval"]["metrics"]["top1_k10"], 50.0);
  const auto log_lines = lines("log.txt");
  ASSERT_EQ(log_lines.size(), 1u);
  std::vector<std::string> keys;
  for (const auto& [key, value] : log_lines[0].items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"train_loss", "train_cls", "train_patch", "train_lr",
                                            "train_wd", "train_acc", "train_nmi", "train_ari",
                                            "train_fscore", "train_adjacc", "epoch"}));
}

}  // namespace
}  // namespace ibot::train
