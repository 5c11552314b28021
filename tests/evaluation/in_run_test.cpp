#include "ibot/evaluation/in_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "evaluation/drawn_images.h"
#include "evaluation/toys.h"
#include "ibot/base/error.h"
#include "ibot/train/trainer.h"
#include "support/tiny.h"

namespace ibot::evaluation {
namespace {

using testing::DrawnImages;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

std::vector<Planned> toys() {
  std::vector<Planned> tasks;
  tasks.push_back({std::make_unique<testing::Centroids>(), 2});
  tasks.push_back({std::make_unique<testing::Foreground>(), 3});
  tasks.push_back({make(eval::KnnOptions{{1}, 0.07}), 1});
  return tasks;
}

std::vector<std::string> names(const std::vector<const InRun::Task*>& tasks) {
  std::vector<std::string> result;
  for (const auto* task : tasks) result.push_back(task->evaluation->about().name);
  return result;
}

// Two evaluations that no list holds, one of them without labeled images, beside k-NN, on the
// teacher of a run: as often as each asks for, features extracted once for all of an epoch.
TEST(InRun, EvaluatesATrainingRun) {
  const DrawnImages images;
  io::write_file(images.root() / "masks.txt", "0011001100110011\n");
  const InRun in_run(toys(), images.root(), /*epochs=*/4);
  const TemporaryFolder folder;
  const auto step_options = testing::tiny_step_options();
  train::TrainStep step(step_options, torch::kCPU);
  train::TrainerOptions options;
  options.length = {.epochs = 4, .steps_per_epoch = 1, .global_batch = 3};
  options.home.checkpoints = folder.path();
  train::Trainer trainer(options, step, {});
  std::vector<std::vector<std::string>> done;
  std::vector<std::string> extracted;
  trainer.set_evaluation([&](int64_t epoch) -> std::optional<train::EvaluationRecord> {
    const Subject subject{.options = step_options.backbone,
                          .backbone = step.networks().teacher().backbone};
    Source source(subject, in_run.images(), testing::small_images(),
                  {.progress = [&](const Stage& stage) {
                    if (stage.finished) extracted.push_back(concat(epoch, stage.label));
                  }});
    std::vector<std::string> reports;
    std::optional<double> score;
    for (const auto* task : in_run.due(epoch)) {
      const auto report = evaluate(*task->evaluation, source, task->data.get());
      reports.push_back(report.task);
      if (report.task == "centroids") score = report.score;
      if (report.task == "foreground") {
        EXPECT_EQ(report.metrics.at("labels_per_patch"), 1.0);
      }
    }
    done.push_back(reports);
    if (!score) return std::nullopt;
    return train::EvaluationRecord{.epoch = epoch, .name = "centroids", .score = score};
  });
  testing::TinySource source;
  EXPECT_EQ(trainer.run(source), train::Ending::kDone);
  using Names = std::vector<std::string>;
  EXPECT_THAT(done, ElementsAre(Names{"knn"}, Names{"centroids", "knn"}, Names{"foreground", "knn"},
                                Names{"centroids", "foreground", "knn"}));
  EXPECT_THAT(extracted,
              ElementsAre("0train", "0val", "1train", "1val", "2train", "2val", "3train", "3val"));
  // Two grays are told apart by any network; the first of two equal scores is kept.
  EXPECT_EQ(trainer.state().best.score, 100.0);
  EXPECT_EQ(trainer.state().best.step, 2);
}

TEST(InRun, OpensWhatIsReadBeforeTheRun) {
  const DrawnImages images;
  EXPECT_THROW(InRun(toys(), images.root(), 4), Error);  // no masks
  std::vector<Planned> many;
  many.push_back({make(eval::KnnOptions{{9}, 0.07}), 1});
  try {
    const InRun in_run(std::move(many), images.root(), 4);
    FAIL();
  } catch (const OptionError& error) {
    EXPECT_STREQ(error.what(), "eval.k: expected at most the 8 training images, got 9");
  }
}

// No folder of labeled images where none are read.
TEST(InRun, ReadsNoImagesForDataOfAnotherKind) {
  const TemporaryFolder folder;
  io::write_file(folder / "masks.txt", "0011\n");
  std::vector<Planned> tasks;
  tasks.push_back({std::make_unique<testing::Foreground>(), 5});
  const InRun in_run(std::move(tasks), folder.path(), 7);
  EXPECT_EQ(in_run.images(), nullptr);
  EXPECT_THAT(names(in_run.due(3)), ElementsAre());
  EXPECT_THAT(names(in_run.due(4)), ElementsAre("foreground"));
  EXPECT_THAT(names(in_run.due(6)), ElementsAre("foreground"));
}

TEST(InRun, TasksAreThoseThatTheOptionsName) {
  eval::InRunOptions options;
  options.tasks = {"cluster", "knn"};
  options.every_epochs = 7;
  const auto tasks = planned(options, {});
  ASSERT_EQ(tasks.size(), 2u);
  EXPECT_EQ(tasks[0].evaluation->about().name, "cluster");
  EXPECT_EQ(tasks[0].every_epochs, 10);
  EXPECT_EQ(tasks[1].every_epochs, 7);
  const auto refusal = [&](const std::vector<std::string>& names) -> std::string {
    options.tasks = names;
    try {
      planned(options, {});
    } catch (const ConfigError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_EQ(refusal({"knm"}),
            "eval.tasks: expected knn | linear | logistic | kmeans | cluster | retrieval | copy | "
            "video, got knm");
  EXPECT_EQ(refusal({"knn", "knn"}), "eval.tasks: expected each evaluation once, got knn twice");
}

}  // namespace
}  // namespace ibot::evaluation
