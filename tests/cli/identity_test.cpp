// What was kept is taken up for what it belongs to and for nothing else.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>

#include "cli/pretrain_folder.h"
#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "support/temporary_folder.h"

namespace ibot::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class KeptResults : public PretrainFolder {
 protected:
  void SetUp() override {
    PretrainFolder::SetUp();
    // Other images under the same names.
    const auto drawn = run("ibot-data", {"synth", "other", "classes=2", "train_per_class=8",
                                         "val_per_class=4", "size=16", "seed=1"});
    ASSERT_EQ(drawn.status, 0) << drawn.err;
  }

  ProgramResult evaluate(const std::string& task, const std::string& data,
                         const std::string& output, const Words& more = {}) const {
    Words words{task,
                "--weights",
                "random",
                "--data",
                data,
                "--output",
                output,
                "--device",
                "cpu",
                "--threads",
                "1",
                "backbone.embed_dim=16",
                "backbone.depth=2",
                "backbone.heads=2",
                "backbone.patch_size=4",
                "backbone.image_size=16",
                "head.prototypes=8",
                "eval.resize_size=16",
                "eval.crop_size=16",
                "eval.k=[1,3]",
                "features.pooling=class",
                "linear.batch_size=8",
                "linear.epochs=2",
                "linear.lr=[0.1]"};
    words.insert(words.end(), more.begin(), more.end());
    return run("ibot-eval", words);
  }

  /// Without its date.
  Json report(const std::string& output) const {
    auto report = Json::parse(text(output + "/report.json"));
    report.erase("date");
    return report;
  }

  /// Sets of images whose features a folder keeps.
  size_t entries(const std::string& output) const {
    return entries_in(folder_ / output / "features");
  }

  fs::path first_image(const std::string& split) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / split)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    return *std::min_element(files.begin(), files.end());
  }

  void expect_refusal(const ProgramResult& result, const std::string& reason) const {
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr("begun with other inputs: " + reason +
                                      "; choose another --output or remove it"));
  }
};

TEST_F(KeptResults, FeaturesServeNoOtherImagesOfTheSameNames) {
  for (const char* task : {"knn", "logistic", "kmeans"}) {
    ASSERT_EQ(evaluate(task, "set", "shared").status, 0);
    ASSERT_EQ(evaluate(task, "other", "shared").status, 0);
    ASSERT_EQ(evaluate(task, "other", "fresh").status, 0);
    EXPECT_EQ(report("shared"), report("fresh")) << task;
  }
  EXPECT_EQ(entries("shared"), 4);
  EXPECT_EQ(entries("fresh"), 2);
}

TEST_F(KeptResults, FeaturesServeNoImageReplacedInPlace) {
  ASSERT_EQ(evaluate("knn", "set", "kept").status, 0);
  ASSERT_EQ(evaluate("kmeans", "set", "kept").status, 0);
  const auto before = report("kept");
  fs::copy_file(first_image("other/val"), first_image("set/val"),
                fs::copy_options::overwrite_existing);
  ASSERT_EQ(evaluate("kmeans", "set", "kept").status, 0);
  EXPECT_NE(report("kept")["metrics"]["inertia"], before["metrics"]["inertia"]);
  EXPECT_NE(report("kept")["identity"]["images of val/"], before["identity"]["images of val/"]);
  EXPECT_EQ(report("kept")["identity"]["weights"], before["identity"]["weights"]);
  EXPECT_EQ(entries("kept"), 3);  // the training images are as they were
}

TEST_F(KeptResults, FeaturesAreTakenWhereNothingMatters) {
  ASSERT_EQ(evaluate("knn", "set", "kept").status, 0);
  fs::copy(folder_ / "set", folder_ / "copy", fs::copy_options::recursive);
  const Words faster{"data.workers=1", "data.prefetch_batches=2", "eval.batch_size=3",
                     "eval.temperature=0.1"};
  ASSERT_EQ(evaluate("knn", "copy", "kept", faster).status, 0);
  EXPECT_EQ(entries("kept"), 2);
  // Heads are not among the weights' shapes.
  ASSERT_EQ(evaluate("knn", "set", "kept", {"backbone.heads=4"}).status, 0);
  EXPECT_EQ(entries("kept"), 4);
}

TEST_F(KeptResults, ALinearProbeGoesOnForItsOwnInputsAlone) {
  ASSERT_EQ(evaluate("linear", "set", "out").status, 0);
  const auto before = report("out");
  expect_refusal(evaluate("linear", "other", "out"), "images of train/, images of val/");
  expect_refusal(evaluate("linear", "set", "out", {"train.seed=1"}), "weights");
  expect_refusal(evaluate("linear", "set", "out", {"linear.epochs=3", "eval.crop_size=8"}),
                 "eval.crop_size: 16 there, 8 here, linear.epochs: 2 there, 3 here");
  EXPECT_EQ(report("out"), before);
  const auto again = evaluate(
      "linear", "set", "out",
      {"data.workers=1", "data.prefetch_batches=2", "eval.batch_size=3", "finetune.epochs=7"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(report("out"), before);
  fs::copy_file(first_image("other/val"), first_image("set/val"),
                fs::copy_options::overwrite_existing);
  expect_refusal(evaluate("linear", "set", "out"), "images of val/");
}

// Which was a file of its own, without checkpoints.
TEST_F(KeptResults, AProbeOfAFormerVersionGoesOn) {
  ASSERT_EQ(evaluate("linear", "set", "out").status, 0);
  const auto before = report("out");
  fs::remove_all(folder_ / "out/checkpoints");
  const auto again = evaluate("linear", "set", "out");
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("the run has its 4 steps"));
  EXPECT_EQ(report("out"), before);
}

// Each rank computes the features of its images; the classifiers learn from those of all.
TEST_F(KeptResults, AProbeOverRanksIsThatOfOne) {
  ASSERT_EQ(evaluate("linear", "set", "one").status, 0);
  const auto ranks = evaluate("linear", "set", "two", {"linear.batch_size=4", "--nproc", "2"});
  ASSERT_EQ(ranks.status, 0) << ranks.err;
  EXPECT_THAT(ranks.err, Not(HasSubstr("rank 1: "))) << "rank 0 alone shows";
  EXPECT_EQ(report("two")["metrics"], report("one")["metrics"]);
  const auto one = io::read_safetensors(folder_ / "one/linear.safetensors").tensors;
  const auto two = io::read_safetensors(folder_ / "two/linear.safetensors").tensors;
  for (const auto& [name, tensor] : one) {
    EXPECT_TRUE(torch::allclose(two.at(name), tensor, 1e-5, 1e-7)) << name;
  }
}

// A key that the version before had not had the value that is its default now.
TEST_F(KeptResults, AStateFromBeforeAKeyGoesOn) {
  ASSERT_EQ(evaluate("linear", "set", "out").status, 0);
  auto content = io::read_safetensors(folder_ / "out/linear.safetensors");
  auto& identity = content.metadata["identity"];
  const std::string key = "data.gray_range: clip\n";
  ASSERT_NE(identity.find(key), std::string::npos) << identity;
  identity.erase(identity.find(key), key.size());
  io::write_safetensors(folder_ / "out/linear.safetensors", content);
  fs::remove_all(folder_ / "out/checkpoints");
  EXPECT_THAT(evaluate("linear", "set", "out").err, HasSubstr("the run has its 4 steps"));
  fs::remove_all(folder_ / "out/checkpoints");
  io::write_safetensors(folder_ / "out/linear.safetensors", content);
  expect_refusal(evaluate("linear", "set", "out", {"data.gray_range=type"}),
                 "data.gray_range: clip there, type here");
}

TEST_F(KeptResults, AStateOfAnEarlierVersionIsRefused) {
  ASSERT_EQ(evaluate("linear", "set", "out").status, 0);
  auto content = io::read_safetensors(folder_ / "out/linear.safetensors");
  content.metadata.erase("identity");
  content.metadata["config"] = "linear:\n  epochs: 2\n";
  io::write_safetensors(folder_ / "out/linear.safetensors", content);
  fs::remove_all(folder_ / "out/checkpoints");
  expect_refusal(evaluate("linear", "set", "out"),
                 "weights, images and keys that an earlier version did not record");
}

TEST_F(KeptResults, ASecondEvaluationIntoTheFolderIsRefused) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  fs::create_directory(folder_ / "out");
  const auto holder = concat("process ", ::getpid(), " on ", host.data());
  io::write_file(folder_ / "out/.lock", holder + "\n");
  const int lock = ::open((folder_ / "out/.lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  const auto second = evaluate("linear", "set", "out");
  expect_failure(second, 2, "expected no other run in this folder, found " + holder);
  EXPECT_FALSE(fs::exists(folder_ / "out/features"));
  EXPECT_EQ(evaluate("knn", "set", "elsewhere", {"--cache", "out/features"}).status, 0);
  ::close(lock);
  EXPECT_EQ(evaluate("linear", "set", "out").status, 0);
}

TEST_F(KeptResults, DumpedFilesBelongTogether) {
  ASSERT_EQ(evaluate("knn", "set", "out", {"--dump-features", "dump"}).status, 0);
  ASSERT_EQ(evaluate("knn", "other", "out", {"--dump-features", "dumped"}).status, 0);
  const Words loaded{"knn", "--load-features", "dump", "eval.k=1", "--output", "loaded"};
  ASSERT_EQ(run("ibot-eval", loaded).status, 0);
  EXPECT_TRUE(report("loaded")["identity"].contains("features of train"));
  fs::copy_file(folder_ / "dumped/testfeat.pth", folder_ / "dump/testfeat.pth",
                fs::copy_options::overwrite_existing);
  const auto mixed = run("ibot-eval", loaded);
  EXPECT_EQ(mixed.status, 2);
  EXPECT_THAT(mixed.err, HasSubstr("dump: expected four files that were dumped together, got "
                                   "others by these names: testfeat.pth; dump them again, or "
                                   "remove files.txt"));
  fs::remove(folder_ / "dump/files.txt");
  EXPECT_EQ(run("ibot-eval", loaded).status, 0);
}

/// Runs whose own evaluation has fewer, or other, classes on one side.
class InRunKnn : public PretrainFolder {
 protected:
  void SetUp() override {
    const auto drawn = run("ibot-data", {"synth", "set", "classes=3", "train_per_class=8",
                                         "val_per_class=8", "size=16"});
    ASSERT_EQ(drawn.status, 0) << drawn.err;
    for (const auto& entry : fs::directory_iterator(folder_ / "set/train")) {
      classes_.push_back(entry.path().filename().string());
    }
    std::sort(classes_.begin(), classes_.end());
  }

  /// The run's figures are those of `ibot-eval knn` on its checkpoint, to the last digit; returns
  /// what the run said.
  std::string expect_figures_of_ibot_eval() const {
    const auto trained = train("run", evaluated_);
    EXPECT_EQ(trained.status, 0) << trained.err;
    Json last;
    for (const auto& line : objects("run/metrics.jsonl")) {
      if (line.contains("eval")) last = line["eval"]["metrics"];
    }
    const auto result =
        run("ibot-eval", {"knn", "--weights", "run/checkpoints/last.safetensors", "--data", "set",
                          "--output", "knn", "--device", "cpu", "--threads", "1"});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(Json::parse(text("knn/report.json"))["metrics"], last);
    EXPECT_FALSE(last.empty());
    return trained.err;
  }

  std::vector<std::string> classes_;
  const Words evaluated_{"eval.path=set", "eval.every_epochs=1", "train.epochs=1"};
};

TEST_F(InRunKnn, MatchesClassesByNameWhereValHasFewer) {
  fs::remove_all(folder_ / "set/val" / classes_[0]);
  const auto said = expect_figures_of_ibot_eval();
  EXPECT_THAT(said, HasSubstr("1 of 3 classes without test images; accuracy is over the others, "
                              "the first one " +
                              classes_[0]));
}

TEST_F(InRunKnn, MatchesClassesByNameWhereAClassIsEmpty) {
  fs::remove_all(folder_ / "set/val" / classes_[0]);
  fs::remove_all(folder_ / "set/train" / classes_[0]);
  fs::create_directory(folder_ / "set/train" / classes_[0]);
  EXPECT_THAT(expect_figures_of_ibot_eval(),
              HasSubstr("1 of 3 classes without training images, the first one " + classes_[0]));
}

TEST_F(InRunKnn, RefusesAClassWithoutTrainingImagesAtTheStart) {
  fs::rename(folder_ / "set/val" / classes_[2], folder_ / "set/val/zebra");
  const std::string reason = "classes: zebra has 8 test images but no training image";
  expect_failure(train("run", evaluated_), 2, reason);
  EXPECT_FALSE(fs::exists(folder_ / "run"));
  auto dry = evaluated_;
  dry.push_back("--dry-run");
  expect_failure(train("run", dry), 2, reason);
}

TEST_F(InRunKnn, TheBestOfOtherImagesNoLongerCounts) {
  const Words evaluated{"eval.path=set", "eval.every_epochs=1"};
  const auto with = [&](Words words) {
    words.insert(words.end(), evaluated.begin(), evaluated.end());
    return words;
  };
  const std::string forgotten = "was selected by other evaluations (";
  ASSERT_EQ(train("run", with({"train.max_steps=6"})).status, 0);
  const auto same = train("run", with({"train.max_steps=12", "eval.batch_size=5"}));
  EXPECT_THAT(same.err, Not(HasSubstr(forgotten)));
  fs::remove_all(folder_ / "set/val" / classes_[2]);
  const auto other = train("run", with({"train.max_steps=18", "eval.k=[1]"}));
  ASSERT_EQ(other.status, 0) << other.err;
  EXPECT_THAT(other.err, HasSubstr(forgotten + "images of val/, eval.k: [1, 3] there, [1] here) "
                                               "and no longer counts"));
}

}  // namespace
}  // namespace ibot::testing
