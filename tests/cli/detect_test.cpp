// ibot-eval detect from the command line to its files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ibot/io/safetensors.h"
#include "support/expect_tensor.h"
#include "support/running_program.h"
#include "support/temporary_folder.h"

namespace ibot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::ProgramResult;
using Words = std::vector<std::string>;

const Words kTiny{"backbone.embed_dim=16",      "backbone.depth=[4]",
                  "backbone.heads=[2]",         "backbone.image_size=64",
                  "head.prototypes=8",          "head.hidden_dim=16",
                  "head.bottleneck_dim=8",      "data.workers=2",
                  "detect.precision=fp32",      "detect.batch_size=2",
                  "detect.position_size=[0,0]", "detect.short_sides=[64]",
                  "detect.long_side=64",        "detect.crop_short_sides=[64]",
                  "detect.crop_sides=[40,60]",  "detect.channels=8",
                  "detect.hidden=16",           "detect.train_proposals=40",
                  "detect.test_proposals=20",   "detect.anchors_sampled=32",
                  "detect.regions_sampled=16",  "detect.test_size=[64,64]",
                  "detect.warmup_steps=2",      "detect.least_score=0.01",
                  "detect.log_every_steps=1"};

class DetectTask : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::test_folder();
    const auto drawn = testing::run_program(
        "ibot-data",
        {"synth", "--task", "detect", "data", "classes=2", "train=6", "val=2", "size=64"}, folder_);
    ASSERT_EQ(drawn.status, 0) << drawn.err;
  }

  static Words words_of(const Words& more) {
    Words words{"detect", "--data", "data", "--device", "cpu"};
    words.insert(words.end(), kTiny.begin(), kTiny.end());
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static Words training(const std::string& output, const Words& more) {
    Words words{"--weights", "random", "--output", output, "detect.epochs=2"};
    words.insert(words.end(), more.begin(), more.end());
    return words_of(words);
  }
  ProgramResult run(const Words& more) const {
    return testing::run_program("ibot-eval", words_of(more), folder_);
  }
  ProgramResult train(const std::string& output, const Words& more = {}) const {
    return testing::run_program("ibot-eval", training(output, more), folder_);
  }

  std::map<std::string, torch::Tensor> weights(const std::string& output) const {
    return io::read_safetensors(folder_ / output / "detector.safetensors").tensors;
  }
  void expect_same_weights(const std::string& output, const std::string& other) const {
    const auto expected = weights(other);
    for (const auto& [name, tensor] : weights(output)) {
      EXPECT_TRUE(testing::equal(tensor, expected.at(name))) << name;
    }
  }
  size_t detections(const std::string& output) const {
    return nlohmann::json::parse(testing::read_text(folder_ / output / "detections.json")).size();
  }
  nlohmann::json report(const std::string& output) const {
    return nlohmann::json::parse(testing::read_text(folder_ / output / "report.json"));
  }
  void edit_annotations(const std::function<void(nlohmann::json&)>& change) const {
    const auto file = folder_ / "data/annotations/instances_train2017.json";
    auto json = nlohmann::json::parse(testing::read_text(file));
    change(json);
    std::ofstream(file) << json.dump();
  }
  void expect_refusal(const ProgramResult& result, const std::string& reason) const {
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr("error: "), HasSubstr(reason)));
  }

  std::filesystem::path folder_;
};

TEST_F(DetectTask, StoppedAndResumedItEndsWithTheSameWeights) {
  const auto whole = train("whole");
  ASSERT_EQ(whole.status, 0) << whole.err;
  EXPECT_THAT(whole.out, AllOf(HasSubstr("ap50"), HasSubstr("ar_100")));
  EXPECT_TRUE(report("whole")["metrics"].contains("box_ap50"));
  EXPECT_EQ(report("whole")["counts"],
            (nlohmann::json{{"train_images", 6}, {"test_images", 2}, {"classes", 2}}));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "whole/detections.json"));
  ASSERT_EQ(train("parts", {"detect.epochs=2", "detect.save_every_steps=2"}).status, 0);
  // What a run killed after four steps leaves.
  std::filesystem::path before;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "parts/checkpoints")) {
    if (entry.path().filename().string().starts_with("step-") &&
        entry.path().extension() == ".safetensors" && (before.empty() || entry.path() < before)) {
      before = entry.path();
    }
  }
  ASSERT_FALSE(before.empty());
  std::filesystem::create_directories(folder_ / "resumed/checkpoints");
  std::filesystem::copy(before, folder_ / "resumed/checkpoints/last.safetensors");
  const auto resumed = train("resumed");
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("resumed at step"));
  expect_same_weights("resumed", "whole");
}

// In the midst of an epoch, in bf16, on two processes.
TEST_F(DetectTask, TerminatedAndRepeatedItEndsWithTheSameWeights) {
  const Words longer{"--nproc",         "2",
                     "--threads",       "1",
                     "detect.epochs=8", "detect.test_every_epochs=8",
                     "data.workers=1",  "detect.precision=bf16"};
  const auto whole = train("whole", longer);
  ASSERT_EQ(whole.status, 0) << whole.err;
  testing::RunningProgram program("ibot-eval", training("stopped", longer), folder_);
  ASSERT_TRUE(program.wait_until([&] {
    const auto log = testing::read_text(folder_ / "stopped/metrics.jsonl");
    return std::count(log.begin(), log.end(), '\n') >= 3;
  })) << "ended before it could be stopped";
  const auto stopped = program.interrupt(SIGTERM);
  EXPECT_EQ(stopped.status, 128 + SIGTERM) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("stopped at step"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "stopped/detector.safetensors"));
  const auto resumed = train("stopped", longer);
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("resumed at step"));
  expect_same_weights("stopped", "whole");
  EXPECT_EQ(report("stopped")["metrics"], report("whole")["metrics"]);
}

TEST_F(DetectTask, SoftSuppressionKeepsWhatOverlaps) {
  ASSERT_EQ(train("out").status, 0);
  for (const char* kind : {"hard", "soft_naive", "soft_linear", "soft_gaussian"}) {
    const auto result = run({"--trained", "out/detector.safetensors", "--output", kind,
                             std::string("detect.suppression=") + kind, "detect.nms_threshold=0.3",
                             "detect.least_score=0.001"});
    ASSERT_EQ(result.status, 0) << result.err;
  }
  EXPECT_EQ(detections("soft_naive"), detections("hard"));
  EXPECT_GT(detections("soft_linear"), detections("hard"));
  EXPECT_GT(detections("soft_gaussian"), detections("hard"));
  expect_refusal(run({"--trained", "out/detector.safetensors", "detect.suppression=soft"}),
                 "detect.suppression: expected hard | soft_naive | soft_linear | soft_gaussian");
}

// A trained detector, as safetensors and by mmdetection's names in a .pth, finds the same; so do
// its detections alone.
TEST_F(DetectTask, TestsWhatWasTrained) {
  ASSERT_EQ(train("out", {"detect.drawings=1"}).status, 0);
  EXPECT_EQ(testing::entries_in(folder_ / "out/drawings"), 1U);
  const auto converted = testing::run_program(
      "ibot-model", {"convert", "out/detector.safetensors", "out/mm.pth", "--part", "dense"},
      folder_);
  ASSERT_EQ(converted.status, 0) << converted.err;
  const auto metrics = report("out")["metrics"];
  for (const char* file :
       {"out/detector.safetensors", "out/checkpoints/last.safetensors", "out/mm.pth"}) {
    const auto result = run({"--trained", file, "--output", "again"});
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(report("again")["metrics"], metrics);
  }
  const auto scored = run({"--results", "out/detections.json", "--output", "scored"});
  ASSERT_EQ(scored.status, 0) << scored.err;
  EXPECT_EQ(report("scored")["metrics"], metrics);
}

TEST_F(DetectTask, RefusesDataThatCannotBeUsedBeforeAnyWork) {
  edit_annotations([](auto& json) { json["annotations"][0]["bbox"] = {1, 2, 3}; });
  expect_refusal(train("out"), "annotations entry 0: bbox: expected x, y, width and height");
  edit_annotations([](auto& json) {
    json["annotations"][0]["bbox"] = {1, 2, 3, 4};
    for (auto& one : json["annotations"]) one["iscrowd"] = 1;
  });
  expect_refusal(train("out"), "expected an image with an object to train on");
  edit_annotations([](auto& json) { json["images"][0]["file_name"] = "none.jpg"; });
  expect_refusal(train("out"), "none.jpg");
  edit_annotations([](auto& json) {
    json["images"][0]["file_name"] = "objects_0000.jpg";
    json["categories"][0]["id"] = 9;
  });
  expect_refusal(train("out"), "expected the 2 categories");
  edit_annotations([](auto& json) {
    json["categories"][0]["id"] = 1;
    json["categories"][0]["name"] = "other";
  });
  expect_refusal(train("out"), "expected category 1 to be other");
  std::filesystem::resize_file(folder_ / "data/annotations/instances_train2017.json", 300);
  expect_refusal(train("out"), "cut short");
  std::filesystem::remove(folder_ / "data/annotations/instances_val2017.json");
  expect_refusal(train("out"), "detect.train_annotations and detect.val_annotations name them");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

}  // namespace
}  // namespace ibot
