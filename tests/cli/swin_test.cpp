// A tiny Swin transformer through the programs: train, evaluate, dry run, bench.
#include "cli/pretrain_folder.h"

namespace ibot::testing {
namespace {

class SwinRun : public PretrainFolder {
 protected:
  /// Two stages: 4 x 4 and 2 x 2 tokens of a global crop, 2 x 2 and one of a local one.
  static Words swin(const std::string& depth = "[2, 1]") {
    return {"backbone.arch=swin_tiny", "backbone.embed_dim=16",  "backbone.depth=" + depth,
            "backbone.heads=[1, 2]",   "backbone.window_size=3", "train.epochs=2"};
  }

  static Words with_swin(Words words) {
    const auto more = swin();
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
};

TEST_F(SwinRun, TrainsAndIsEvaluated) {
  finish("swin", swin());
  EXPECT_EQ(steps("swin"), 8);
  const auto evaluated = run("ibot-eval", {"knn", "--weights", last("swin").string(), "--data",
                                           "set", "--output", "report", "--threads", "1"});
  ASSERT_EQ(evaluated.status, 0) << evaluated.err;
  EXPECT_EQ(Json::parse(text("report/report.json"))["task"], "knn");
}

// Four blocks, since linear probing takes the last four.
TEST_F(SwinRun, EveryEvaluationTakesIt) {
  auto words = swin("[2, 2]");
  words.push_back("train.max_steps=1");
  finish("swin", words);
  const Words shared{"linear.epochs=1", "linear.batch_size=4", "linear.lr=[0.1,1]",
                     "transform.size=16", "transform.rand_operations=0"};
  for (const std::string task :
       {"knn", "linear", "logistic", "kmeans", "cluster", "finetune", "semi", "transfer"}) {
    Words evaluation{task,       "--weights", last("swin").string(),
                     "--data",   "set",       "--output",
                     task,       "--cache",   "features",
                     "--device", "cpu",       "--threads",
                     "1"};
    evaluation.insert(evaluation.end(), shared.begin(), shared.end());
    if (task == "finetune" || task == "semi" || task == "transfer") {
      for (const char* value : {".epochs=1", ".batch_size=4", ".precision=fp32"}) {
        evaluation.push_back(task + value);
      }
    }
    const auto result = run("ibot-eval", evaluation);
    ASSERT_EQ(result.status, 0) << task << ": " << result.err;
    EXPECT_EQ(Json::parse(text(task + "/report.json"))["task"], task);
  }
}

TEST_F(SwinRun, WeightsOfAnotherArchitectureAreRefused) {
  auto words = swin();
  words.push_back("train.max_steps=1");
  finish("swin", words);
  const auto result =
      run("ibot-eval", {"knn", "--weights", last("swin").string(), "--data", "set",
                        "backbone.arch=vit_tiny", "backbone.depth=2", "backbone.heads=2"});
  EXPECT_NE(result.status, 0);
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_THAT(result.err, ::testing::HasSubstr("error: "));
}

TEST_F(SwinRun, DryRunAndBenchCountIt) {
  const auto dry = train("dry", with_swin({"--dry-run", "--json"}));
  ASSERT_EQ(dry.status, 0) << dry.err;
  EXPECT_GT(Json::parse(dry.out)["flops_per_step"].get<double>(), 0.0);
  auto words = with_swin(config_words());
  words.insert(words.begin(), "step");
  words.insert(words.end(), {"--steps", "1", "--device", "cpu", "--threads", "1"});
  const auto bench = run("ibot-bench", words);
  ASSERT_EQ(bench.status, 0) << bench.err;
  EXPECT_EQ(Json::parse(bench.out.substr(0, bench.out.find('\n')))["case"], "step");
}

TEST_F(SwinRun, AnotherPatchSizeIsRefusedInOneLine) {
  auto words = swin();
  words.push_back("backbone.patch_size=16");
  const auto refused = train("refused", words);
  EXPECT_EQ(refused.status, 2);
  EXPECT_EQ(refused.err,
            "error: backbone.patch_size: expected 4 with swin_tiny, got 16; set "
            "backbone.patch_size=4 (command line)\n");
}

}  // namespace
}  // namespace ibot::testing
