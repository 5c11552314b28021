// ibot-eval segment from the command line to its files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ibot/io/safetensors.h"
#include "support/expect_tensor.h"
#include "support/running_program.h"

namespace ibot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::ProgramResult;
using Words = std::vector<std::string>;

const Words kTiny{
    "backbone.embed_dim=16",      "backbone.depth=4",        "backbone.heads=2",
    "backbone.patch_size=8",      "backbone.image_size=32",  "data.workers=2",
    "segment.crop_size=32",       "segment.resize_short=32", "segment.resize_long=128",
    "segment.stride=20",          "segment.channels=8",      "segment.precision=fp32",
    "segment.batch_size=4",       "segment.iterations=6",    "segment.lr=0.002",
    "segment.test_every_epochs=1"};

class SegmentTask : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::test_folder();
    const auto drawn = testing::run_program(
        "ibot-data",
        {"synth", "scenes", "--task", "segment", "classes=3", "train=8", "val=4", "size=40"},
        folder_);
    ASSERT_EQ(drawn.status, 0) << drawn.err;
  }

  static Words words_of(const Words& weights, const Words& more) {
    Words words{"segment", "--data", "scenes", "--device", "cpu"};
    for (const auto* list : {&weights, &kTiny, &more}) {
      words.insert(words.end(), list->begin(), list->end());
    }
    return words;
  }
  ProgramResult run(const Words& weights, const Words& more) const {
    return testing::run_program("ibot-eval", words_of(weights, more), folder_);
  }

  nlohmann::json report(const std::string& output) const {
    return nlohmann::json::parse(testing::read_text(folder_ / output / "report.json"));
  }

  std::filesystem::path folder_;
};

TEST_F(SegmentTask, TrainsWritesAndIsTestedAgain) {
  const auto result =
      run({"--weights", "random"},
          {"--output", "out", "segment.save_predictions=true", "segment.overlays=2"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("tint_02"), HasSubstr("mIoU")));
  const auto json = report("out");
  for (const auto* metric : {"miou", "macc", "aacc"}) {
    EXPECT_GE(json["metrics"][metric], 0.0);
    EXPECT_LE(json["metrics"][metric], 100.0);
  }
  EXPECT_EQ(json["options"]["crop_size"], 32);
  EXPECT_EQ(json["counts"],
            (nlohmann::json{{"train_images", 8}, {"test_images", 4}, {"classes", 3}}));
  EXPECT_THAT(testing::read_text(folder_ / "out/report.html"), HasSubstr("loss"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/predictions/scene_0003.png"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/overlays/scene_0001.png"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/overlays/scene_0002.png"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/checkpoints/best.safetensors"));

  const auto pth = testing::run_program(
      "ibot-model", {"convert", "out/segmentor.safetensors", "segmentor.pth", "--part", "dense"},
      folder_);
  ASSERT_EQ(pth.status, 0) << pth.err;
  for (const auto* file : {"out/segmentor.safetensors", "segmentor.pth"}) {
    const auto again = run({"--trained", file}, {"--output", "again"});
    ASSERT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(report("again")["metrics"], json["metrics"]);
    EXPECT_EQ(report("again")["weights"], file);
  }
}

// In the midst of an epoch, in bf16, on two processes.
TEST_F(SegmentTask, TerminatedAndRepeatedItEndsWithTheSameWeights) {
  const auto words = [](const char* output) {
    return words_of({"--weights", "random"},
                    {"--output", output, "--nproc", "2", "--threads", "1", "data.workers=1",
                     "segment.batch_size=2", "segment.iterations=24", "segment.precision=bf16",
                     "segment.log_every_steps=1", "segment.test_every_epochs=0"});
  };
  const auto whole = testing::run_program("ibot-eval", words("whole"), folder_);
  ASSERT_EQ(whole.status, 0) << whole.err;
  testing::RunningProgram program("ibot-eval", words("stopped"), folder_);
  ASSERT_TRUE(program.wait_until([&] {
    const auto log = testing::read_text(folder_ / "stopped/metrics.jsonl");
    return std::count(log.begin(), log.end(), '\n') >= 3;
  })) << "ended before it could be stopped";
  EXPECT_EQ(program.interrupt(SIGTERM).status, 128 + SIGTERM);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "stopped/segmentor.safetensors"));
  const auto resumed = testing::run_program("ibot-eval", words("stopped"), folder_);
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("resumed at step"));
  const auto expected = io::read_safetensors(folder_ / "whole/segmentor.safetensors").tensors;
  for (const auto& [name, tensor] :
       io::read_safetensors(folder_ / "stopped/segmentor.safetensors").tensors) {
    EXPECT_TRUE(testing::equal(tensor, expected.at(name))) << name;
  }
  EXPECT_EQ(report("stopped")["metrics"], report("whole")["metrics"]);
}

// Six batches are three updates.
TEST_F(SegmentTask, AFinishedRunHasNothingLeftToDo) {
  const Words more{"--output", "out", "segment.accumulation=2"};
  const auto first = run({"--weights", "random"}, more);
  ASSERT_EQ(first.status, 0) << first.err;
  const auto again = run({"--weights", "random"}, more);
  EXPECT_EQ(again.out, first.out);
  EXPECT_THAT(again.err, HasSubstr("nothing left to do: the run has its 3 steps\n"));
}

TEST_F(SegmentTask, RefusesBadDataInOneLine) {
  const auto wrong = run({"--weights", "random"}, {"segment.class_file=", "segment.classes=2"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("expected 2 classes"));
  std::filesystem::remove(folder_ / "scenes/classes.txt");
  const auto beyond = run({"--weights", "random"}, {"segment.classes=2"});
  EXPECT_EQ(beyond.status, 2);
  EXPECT_THAT(beyond.err, HasSubstr("expected labels 1 to 2, 0 and 255, got 3"));
  std::filesystem::remove(folder_ / "scenes/annotations/validation/scene_0002.png");
  const auto missing = run({"--weights", "random"}, {});
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.err, HasSubstr("scene_0002.jpg: expected a label map"));
  EXPECT_EQ(std::count(missing.err.begin(), missing.err.end(), '\n'), 1) << missing.err;
}

TEST_F(SegmentTask, RefusesANetworkOfAnotherShapeAndABatchOfOne) {
  const auto patches = run({"--weights", "random"}, {"segment.crop_size=36"});
  EXPECT_EQ(patches.status, 2);
  EXPECT_THAT(patches.err, HasSubstr("segment.crop_size: expected a multiple of"));
  const auto alone = run({"--weights", "random"}, {"segment.batch_size=1"});
  EXPECT_EQ(alone.status, 2);
  EXPECT_THAT(alone.err, HasSubstr("segment.batch_size: expected 2 or more images"));
  const auto pixels = run({"--weights", "pixels"}, {});
  EXPECT_EQ(pixels.status, 2);
  EXPECT_THAT(pixels.err, HasSubstr("expected a network, got pixels"));
}

}  // namespace
}  // namespace ibot
