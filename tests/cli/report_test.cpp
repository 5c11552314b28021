// ibot-report, the report that a run leaves, and the sheet of crops before it.
#include "cli/pretrain_folder.h"

namespace ibot::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Reports : public PretrainFolder {
 protected:
  /// Width and height of a PNG, from its header.
  std::pair<int, int> size_of(const std::string& png) const {
    const auto bytes = text(png);
    EXPECT_THAT(bytes, StartsWith("\x89PNG"));
    const auto number = [&](size_t at) {
      return static_cast<unsigned char>(bytes[at + 2]) * 256 +
             static_cast<unsigned char>(bytes[at + 3]);
    };
    return {number(16), number(20)};
  }
};

TEST_F(Reports, ARunLeavesAPageThatIbotReportWritesAgain) {
  finish("run", {"eval.path=set", "eval.every_epochs=4"});
  const auto left = text("run/report.html");
  for (const char* part : {"Crops and masks", "Attention", "Nearest neighbors", "t-SNE", "tint_01",
                           "\"title\":\"loss_patch\"", "top1_k", "<td>done</td>"}) {
    EXPECT_THAT(left, HasSubstr(part));
  }
  const auto result = run("ibot-report", {"run", "--output", "page.html", "--plots", "plots",
                                          "--no-pictures", "--threads", "1"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("page.html: 1 run\nplots: "));
  EXPECT_THAT(text("page.html"), HasSubstr("\"title\":\"loss_patch\""));
  EXPECT_THAT(text("page.html"), Not(HasSubstr("Attention")));
  EXPECT_THAT(text("plots/Losses-loss.svg"), HasSubstr("</svg>"));
  EXPECT_EQ(size_of("plots/Losses-loss.png"), (std::pair{1280, 836}));
}

// Of several runs, pictures of the same kind stand together; an evaluation into the folder of a run
// is on its page.
TEST_F(Reports, SeveralRunsAndTheirEvaluationsShareAPage) {
  finish("runs/a", {"train.report=false", "eval.path=set", "eval.every_epochs=4"});
  finish("runs/b", {"train.report=false", "train.seed=7"});
  for (int time = 0; time < 2;
       ++time) {  // runs/a stands for the pre-training's weights after it too
    const auto evaluated = run("ibot-eval", {"knn", "--weights", "runs/a", "--data", "set",
                                             "--output", "runs/a", "eval.k=[1]"});
    ASSERT_EQ(evaluated.status, 0) << evaluated.err;
  }
  EXPECT_THAT(text("runs/a/report.html"),
              ::testing::AllOf(HasSubstr("Attention"), HasSubstr("<td>top1_k1</td>")));
  ASSERT_EQ(run("ibot-report", {"runs"}).status, 0);
  const auto both = text("runs/report.html");
  for (const char* part : {"<figcaption>a. Attention of", "<figcaption>b. Attention of",
                           "<figcaption>b. Class tokens of"}) {
    EXPECT_THAT(both, HasSubstr(part));
  }
  ASSERT_EQ(run("ibot-report", {"runs", "--pictures", "b"}).status, 0);
  EXPECT_THAT(text("runs/report.html"),
              ::testing::AllOf(HasSubstr("Nearest neighbors"), Not(HasSubstr("<figcaption>a."))));
  expect_failure(run("ibot-report", {"runs", "--pictures", "c"}), 2,
                 "--pictures: expected a, b, got c");
}

// The run is done whether or not its page can be written.
TEST_F(Reports, APageThatCannotBeWrittenIsAWarning) {
  finish("run", {"train.report=false", "train.max_steps=2"});
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/report.html"));
  std::filesystem::create_directories(folder_ / "run/report.html/in the way");
  finish("run");
  EXPECT_THAT(text("stderr.txt"), HasSubstr("`ibot-report run` writes it later"));
}

TEST_F(Reports, RefuseWhatIsNoRun) {
  expect_failure(run("ibot-report", {"nowhere"}), 2, "nowhere: expected a folder of runs");
  expect_failure(run("ibot-report", {"set"}), 2, "metrics.jsonl");
}

// Two global crops of 16 px and two local ones of 8 px side by side, margins of 6.
TEST_F(Reports, ShowDrawsTheCropsOfTheConfiguration) {
  const auto result =
      run("ibot-data", {"show", "set/train", "augment.global_size=16", "augment.local_size=8",
                        "augment.local_crops=2", "backbone.patch_size=8", "--images", "3"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "crops.png: 3 images, 2 global and 2 local crops each\n");
  // Ten times as large.
  EXPECT_EQ(size_of("crops.png"),
            (std::pair{6 + 2 * (160 + 6) + (6 + 2 * (80 + 6)) + 6, 6 + 3 * (160 + 6)}));
  expect_failure(run("ibot-data", {"show", "set/train", "augment.local_crop=2"}), 2, "local_crops");
}

}  // namespace
}  // namespace ibot::testing
