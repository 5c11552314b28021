#include "ibot/report/run_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "support/temporary_folder.h"

namespace ibot::report {
namespace {

namespace fs = std::filesystem;
using ::ibot::testing::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

// A line is torn by a kill in two ways: with others after it, and at the end.
TEST(RunRecord, ReadsARunThatWasKilled) {
  TemporaryFolder folder;
  write(folder / "config.yaml",
        "train: {epochs: 3}\noptim:\n  lr: 0.001  # peak\naugment:\n  global_scale: [0.3, 1.0]\n"
        "unknown: {key: \"x y\"}\n");
  write(folder / "metrics.jsonl",
        "{\"step\":5,\"epoch\":0,\"loss\":2.5,\"lr\":0.1}\n"
        "{\"step\":9,\"epo\n"
        "{\"step\":10,\"epoch\":1,\"loss\":null,\"lr\":0.2}\n"
        "{\"step\":10,\"epoch\":1,\"eval\":{\"name\":\"knn\",\"metrics\":{\"top1_k20\":41.5}}}\n"
        "{\"step\":10,\"epoch\":1,\"fault\":\"skipped\",\"text\":\"a <b>\"}\n"
        "{\"step\":15,\"ep");
  write(folder / "log.txt",
        "{\"train_loss\":2.5,\"epoch\":0}\n{\"train_loss\":2.25,\"epoch\":1}\n");
  write(folder / "bad_samples.jsonl",
        "{\"sample\":2,\"epoch\":0,\"path\":\"a.jpg\",\"reason\":\"r\"}\n");
  write(folder / "bad_samples.rank1.jsonl", "{\"sample\":3,\"epoch\":1,\"path\":\"b.jpg\"}\n");
  const auto run = read_run(folder.path());
  EXPECT_EQ(run.task, "pretrain");
  EXPECT_FALSE(run.done);
  EXPECT_EQ(run.step, 10);
  EXPECT_EQ(run.epochs, 2);
  EXPECT_EQ(run.total_epochs, 3);
  EXPECT_GT(run.written_s, 1'600'000'000);
  EXPECT_EQ(run.keys.at("optim.lr"), "0.001");
  EXPECT_EQ(run.keys.at("augment.global_scale"), "[0.3, 1.0]");
  EXPECT_EQ(run.keys.at("unknown.key"), "x y");
  EXPECT_THAT(run.by_step.at("lr").x, ElementsAre(5, 10));
  EXPECT_THAT(run.by_step.at("lr").y, ElementsAre(0.1, 0.2));
  EXPECT_TRUE(std::isnan(run.by_step.at("loss").y.back()));
  EXPECT_THAT(run.by_epoch.at("train_loss").y, ElementsAre(2.5, 2.25));
  EXPECT_EQ(run.results.at("knn.top1_k20"), 41.5);
  EXPECT_EQ(run.results.at("loss"), 2.25);  // of the last epoch
  ASSERT_EQ(run.evaluations.size(), 1u);
  EXPECT_EQ(run.evaluations[0].step, 10);
  ASSERT_EQ(run.faults.size(), 1u);
  EXPECT_EQ(run.faults[0].text, "a <b>");
  ASSERT_EQ(run.bad_samples.size(), 2u);
  EXPECT_EQ(run.bad_samples[1].path, "b.jpg");
  EXPECT_THAT(run.problems, ElementsAre("metrics.jsonl: lines that cannot be read: 1"));
}

TEST(RunRecord, AStepThatWasTakenAgainCountsOnce) {
  TemporaryFolder folder;
  write(folder / "metrics.jsonl",
        "{\"step\":1,\"loss\":5}\n{\"step\":2,\"loss\":4}\n{\"step\":3,\"loss\":3}\n"
        "{\"step\":2,\"loss\":4.5}\n{\"step\":3,\"loss\":3.5}\n");
  const auto loss = read_run(folder.path()).by_step.at("loss");
  EXPECT_THAT(loss.x, ElementsAre(1, 2, 3));
  EXPECT_THAT(loss.y, ElementsAre(5, 4.5, 3.5));
}

TEST(RunRecord, AnErrorAtTheEndOfTheLogIsAFailure) {
  TemporaryFolder folder;
  const std::string failed =
      "2026-01-31 12:00:00 info output x\n2026-01-31 12:00:01 error training: nan\n";
  write(folder / "log", failed);
  EXPECT_EQ(read_run(folder.path()).failure, "training: nan");
  write(folder / "log", failed + "2026-01-31 13:00:00 info resumed at step 2 of 5\n");
  EXPECT_EQ(read_run(folder.path()).failure, "");
}

TEST(RunRecord, LeavesOutWhatComparesWithClassesThatThereAreNot) {
  TemporaryFolder folder;
  const auto line = [](const char* nmi) {
    return std::string("{\"train_nmi\":") + nmi +
           ",\"train_ari\":0.0,\"train_fscore\":0.4,\"epoch\":0}\n";
  };
  write(folder / "log.txt", line("0.0"));
  EXPECT_TRUE(read_run(folder.path()).by_epoch.empty());
  write(folder / "log.txt", line("0.2"));
  EXPECT_EQ(read_run(folder.path()).by_epoch.size(), 3u);
}

TEST(MainResult, IsOfTheFirstEvaluationAndTheLossWithoutAny) {
  RunRecord a, b;
  a.results = {{"loss", 3}, {"linear.top1", 70}};
  b.results = {{"knn.top1_k100", 80}, {"knn.top1_k10", 60}, {"knn.top5_k10", 90}};
  EXPECT_EQ(main_result({a, b}), "knn.top1_k10");
  EXPECT_EQ(main_result({a}), "linear.top1");
  a.results = {{"loss", 3}};
  EXPECT_EQ(main_result({a}), "loss");
}

TEST(RunRecord, ReadsATaskOfAnEvaluation) {
  TemporaryFolder folder;
  write(folder / "report.json",
        "{\"task\":\"knn\",\"metrics\":{\"top1\":61.25,\"loss\":null},"
        "\"options\":{\"k\":[10,20],\"pooling\":\"cls\"},\"weights\":\"w.pth\",\"data\":\"d\"}");
  const auto run = read_run(folder.path());
  EXPECT_EQ(run.task, "knn");
  EXPECT_TRUE(run.done);
  EXPECT_EQ(run.results.at("knn.top1"), 61.25);
  EXPECT_EQ(run.keys.at("knn.k"), "[10,20]");
  EXPECT_EQ(run.keys.at("knn.pooling"), "cls");
  EXPECT_EQ(run.keys.at("weights"), "w.pth");
  EXPECT_TRUE(run.problems.empty());
}

// Evaluated in the run and later on other images, with fewer neighbors.
TEST(RunRecord, TheLastEvaluationOfANameCountsAlone) {
  TemporaryFolder folder;
  write(folder / "metrics.jsonl",
        "{\"step\":1,\"eval\":{\"name\":\"knn\",\"metrics\":{\"top1_k10\":40,\"top1_k100\":30}}}\n"
        "{\"step\":1,\"eval\":{\"name\":\"kmeans\",\"metrics\":{\"acc\":20}}}\n");
  write(folder / "report.json", "{\"task\":\"knn\",\"metrics\":{\"top1_k10\":60}}");
  const auto run = read_run(folder.path());
  EXPECT_THAT(run.results, ElementsAre(Pair("kmeans.acc", 20), Pair("knn.top1_k10", 60)));
}

TEST(RunRecord, SaysWhatItCannotRead) {
  TemporaryFolder folder;
  write(folder / "config.yaml", "optim: [1, 2\n");
  write(folder / "report.json", "[1, 2");
  write(folder / "metrics.jsonl", "[3]\n\n\"x\"\n{\"step\":\"one\",\"loss\":{\"a\":1}}\n");
  const auto run = read_run(folder.path());
  ASSERT_EQ(run.problems.size(), 3u);
  EXPECT_THAT(run.problems[0], HasSubstr("config.yaml:"));
  EXPECT_EQ(run.problems[1], "metrics.jsonl: lines that cannot be read: 2");
  EXPECT_EQ(run.problems[2], "report.json: is not a report of ibot-eval");
  EXPECT_EQ(run.task, "training");
}

TEST(RunRecord, FindsRunsBelowAFolderAndNamesThemByWhatDiffers) {
  TemporaryFolder folder;
  for (const char* name : {"sweep/lr=0.1", "sweep/lr=0.2", "sweep/lr=0.2/eval/knn"}) {
    write(folder / name / "metrics.jsonl", "");
  }
  write(folder / "sweep/lr=0.1/checkpoints/log.txt", "");
  write(folder / "sweep/notes/readme.txt", "");
  write(folder / "sweep/lr=0.1/config.yaml", "optim: {lr: 0.1}\ntrain: {seed: 1}\n");
  write(folder / "sweep/lr=0.2/config.yaml", "optim: {lr: 0.2}\ntrain: {seed: 1}\n");
  auto runs = read_runs({folder / "sweep/lr=0.2", folder / "sweep", folder / "nothing"});
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].name, "lr=0.2");
  EXPECT_EQ(runs[1].name, "lr=0.2/eval/knn");
  EXPECT_EQ(runs[2].name, "lr=0.1");
  runs.erase(runs.begin() + 1);
  EXPECT_THAT(differing_keys(runs), ElementsAre("optim.lr"));
  EXPECT_EQ(read_runs({folder / "sweep/lr=0.1/"}).at(0).name, "lr=0.1");
}

}  // namespace
}  // namespace ibot::report
