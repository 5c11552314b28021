// ibot-doctor from the command line.
#include "cli/pretrain_folder.h"

namespace ibot::testing {
namespace {

using ::testing::HasSubstr;

class Doctor : public PretrainFolder {
 protected:
  /// The check `name` of a report.
  static Json check(const std::string& report, const std::string& name) {
    const auto parsed = Json::parse(report);
    for (const auto& found : parsed["checks"]) {
      if (found["name"] == name) return found;
    }
    return {};
  }
};

TEST_F(Doctor, ExaminesMachineFolderAndImages) {
  const auto result = run("ibot-doctor", {"--json", "--device", "cpu", "--threads", "1", "--output",
                                          "runs", "--data", "set/train"});
  EXPECT_THAT(check(result.out, "versions")["found"], HasSubstr("LibTorch 2."));
  EXPECT_EQ(check(result.out, "processors")["figures"]["threads"], 1);
  EXPECT_GT(check(result.out, "writing")["figures"]["write_bytes_per_s"], 0);
  EXPECT_EQ(check(result.out, "locks")["status"], "ok");
  EXPECT_EQ(check(result.out, "images")["figures"]["tried"], 16);
  EXPECT_EQ(check(result.out, "images")["status"], "ok");
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "runs"));
  const bool failed = Json::parse(result.out)["status"] == "failed";
  EXPECT_EQ(result.status, failed ? 1 : 0) << result.out;
}

TEST_F(Doctor, NamesWhatFailsWithARemedy) {
  for (const char* name : {"tint_00", "tint_01"}) {
    for (const auto& file : std::filesystem::directory_iterator(folder_ / "set/train" / name))
      std::filesystem::resize_file(file.path(), 100);
  }
  const auto result = run("ibot-doctor", {"--device", "cpu", "--data", "set/train"});
  EXPECT_EQ(result.status, 1) << result.err;
  EXPECT_THAT(result.out, HasSubstr("failed   images          set/train: 16 images; of 16 tried, "
                                    "16 damaged (set/train/tint_00/0000.jpg)"));
  EXPECT_THAT(result.out, HasSubstr("-> ibot-data verify set/train"));
  for (const Words& words : {Words{"--data", "nowhere"}, {"--output", "/proc/x"}}) {
    const auto unusable = run("ibot-doctor", words);
    EXPECT_EQ(unusable.status, 1);
    EXPECT_THAT(unusable.out, ::testing::ContainsRegex("failed   (images|output) .*" + words[1]));
    EXPECT_THAT(unusable.out, HasSubstr("-> name a folder"));
  }
  expect_failure(run("ibot-doctor", {"--device", "gpu"}), 2, "--device");
  const auto without_gpu = run("ibot-doctor", {"--device", "cuda:99"});
  EXPECT_EQ(without_gpu.status, 1);
  EXPECT_THAT(without_gpu.out, HasSubstr("failed   device          --device: expected "));
}

TEST_F(Doctor, MeasuresTheNetworkBetweenRanks) {
  const auto result =
      run("ibot-doctor", {"--json", "--device", "cpu", "--threads", "1", "--nproc", "2"});
  const auto ranks = check(result.out, "ranks");
  EXPECT_EQ(ranks["figures"]["ranks"], 2) << result.out << result.err;
  EXPECT_GT(ranks["figures"]["bytes_per_s"], 0);
  EXPECT_NE(ranks["status"], "failed");
}

}  // namespace
}  // namespace ibot::testing
