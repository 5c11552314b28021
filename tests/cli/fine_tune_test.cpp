// ibot-eval finetune, semi and transfer from the command line to their files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/run_program.h"

namespace ibot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ProgramResult;
using Words = std::vector<std::string>;

const Words kTiny{"backbone.embed_dim=16",
                  "backbone.depth=2",
                  "backbone.heads=2",
                  "backbone.patch_size=4",
                  "backbone.image_size=8",
                  "head.prototypes=8",
                  "head.hidden_dim=16",
                  "head.bottleneck_dim=8",
                  "augment.local_crops=0",
                  "transform.size=8",
                  "transform.rand_operations=0",
                  "mixing.erase_prob=0",
                  "mixing.mixup=0",
                  "mixing.cutmix=0",
                  "data.workers=2"};

void write_image(const std::filesystem::path& path, int level, int number) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << "P6 8 8 255\n";
  for (int i = 0; i < 8 * 8 * 3; ++i) file << static_cast<char>(level + i * (number + 3) % 30);
}

class FineTuneTask : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::test_folder();
    for (int i = 0; i < 6; ++i) {
      for (const auto& [name, level] : {std::pair{"bright", 200}, {"dark", 20}}) {
        const auto file = std::string(name) + "_" + std::to_string(i) + ".ppm";
        write_image(folder_ / "data/train" / name / file, level, i);
        if (i < 3) write_image(folder_ / "data/val" / name / file, level, i + 10);
      }
    }
  }

  /// `task` in fp32 with a batch of 4, from random weights.
  ProgramResult run(const std::string& task, const Words& more = {}) const {
    Words words{task, "--weights", "random", "--data", "data", "--device", "cpu"};
    words.insert(words.end(), kTiny.begin(), kTiny.end());
    for (const char* value : {".precision=fp32", ".batch_size=4", ".lr=0.01", ".lr_batch=0",
                              ".warmup_epochs=1", ".epochs=8"}) {
      words.push_back(task + value);
    }
    words.insert(words.end(), more.begin(), more.end());
    return testing::run_program("ibot-eval", words, folder_);
  }

  nlohmann::json report(const std::string& output) const {
    return nlohmann::json::parse(testing::read_text(folder_ / output / "report.json"));
  }

  void expect_refusal(const ProgramResult& result, const std::string& reason) const {
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr("error: "), HasSubstr(reason)));
  }

  std::filesystem::path folder_;
};

TEST_F(FineTuneTask, LearnsBrightFromDark) {
  const auto result = run("finetune", {"--output", "out"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("top-1 100.00"));
  EXPECT_THAT(result.err, HasSubstr("epoch 8/8"));
  const auto json = report("out");
  EXPECT_EQ(json["task"], "finetune");
  EXPECT_EQ(json["metrics"]["top1"], 100.0);
  EXPECT_FALSE(json["metrics"].contains("top5"));
  EXPECT_EQ(json["options"]["layer_decay"], 0.65);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/checkpoints/best.safetensors"));
  std::istringstream log(testing::read_text(folder_ / "out/log.txt"));
  int64_t epochs = 0;
  for (std::string line; std::getline(log, line); ++epochs) {
    const auto object = nlohmann::json::parse(line);
    EXPECT_EQ(object["epoch"], epochs);
    EXPECT_TRUE(object.contains("test_acc1"));
  }
  EXPECT_EQ(epochs, 8);
  // Counted from 1, as on the console.
  const int64_t best = json["metrics"]["best_epoch"];
  EXPECT_GE(best, 1);
  EXPECT_LE(best, 8);
  EXPECT_THAT(result.out, HasSubstr("best epoch " + std::to_string(best) + ": top-1"));
  EXPECT_THAT(testing::read_text(folder_ / "out/report.html"), HasSubstr("gradient norm"));
}

TEST_F(FineTuneTask, WarnsOfAWarmUpThatTheRunEndsWithin) {
  const auto epochs = run("finetune", {"finetune.epochs=1", "finetune.warmup_epochs=20"});
  EXPECT_EQ(epochs.status, 0) << epochs.err;
  EXPECT_THAT(epochs.err, HasSubstr("warning finetune.warmup_epochs: expected less than "
                                    "finetune.epochs 1, got 20;"));
  const auto steps = run("finetune", {"finetune.epochs=1", "finetune.warmup_steps=3"});
  EXPECT_EQ(steps.status, 0) << steps.err;
  EXPECT_THAT(steps.err, HasSubstr("warning finetune.warmup_steps: expected less than the 3 steps "
                                   "of finetune.epochs 1, got 3;"));
  const auto late = run("transfer", {"transfer.epochs=1", "transfer.warmup_epochs=1"});
  EXPECT_THAT(late.err, HasSubstr("warning transfer.warmup_epochs"));
  EXPECT_THAT(run("finetune", {"finetune.epochs=2"}).err, Not(HasSubstr("warmup")));
}

// A finished run has nothing left to do and says the same again; with other options it is refused.
TEST_F(FineTuneTask, GoesOnFromItsFolder) {
  ASSERT_EQ(run("finetune", {"--output", "out"}).status, 0);
  const auto undated = [&] {
    auto json = report("out");
    json.erase("date");
    return json;
  };
  const auto before = undated();
  const auto log = testing::read_text(folder_ / "out/log.txt");
  const auto again = run("finetune", {"--output", "out"});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("nothing left to do: the run has its 24 steps\n"));
  EXPECT_THAT(again.err, Not(HasSubstr("images/s")));
  EXPECT_EQ(undated(), before);
  EXPECT_EQ(testing::read_text(folder_ / "out/log.txt"), log);
  expect_refusal(run("finetune", {"--output", "out", "finetune.lr=0.02"}),
                 "begun with other inputs: finetune.lr: 0.01 there, 0.02 here; choose another");
  expect_refusal(run("finetune", {"--output", "out", "train.seed=1"}),
                 "begun with other inputs: weights; choose another");
  EXPECT_EQ(run("finetune", {"--output", "out", "data.workers=1", "head.prototypes=9",
                             "eval.batch_size=3", "finetune.log_every_steps=3"})
                .status,
            0);
  write_image(folder_ / "data/train/dark/dark_1.ppm", 200, 3);
  expect_refusal(run("finetune", {"--output", "out"}),
                 "begun with other inputs: images of train/; choose another");
}

TEST_F(FineTuneTask, TakesTheImageSizeOfTheConfiguration) {
  const auto result =
      run("finetune", {"transform.size=0", "eval.crop_size=8", "eval.resize_size=8",
                       "finetune.epochs=2", "dataset.max_bad_share=0.1", "--output", "out"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(report("out")["options"]["size"], 8);
  EXPECT_EQ(report("out")["counts"]["test_images"], 6);
  expect_refusal(run("finetune", {"transform.size=0", "eval.crop_size=10", "eval.resize_size=10"}),
                 "transform.size: expected a multiple of backbone.patch_size 4, got 10");
}

TEST_F(FineTuneTask, SemiTakesAListAndKeepsAProjectionLayer) {
  std::ofstream(folder_ / "list.txt") << "bright_1.ppm\ndark_2.ppm\nbright_0.ppm\ndark_5.ppm\n";
  const auto result = run("semi", {"dataset.train_list=list.txt", "--output", "out"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("4 training and 6 test images of 2 classes"));
  EXPECT_EQ(report("out")["options"]["head_layers"], 1);
  std::ofstream(folder_ / "list.txt") << "bright_1.ppm\ndark_9.ppm\n";
  expect_refusal(run("semi", {"dataset.train_list=list.txt"}), "1 of 2 images are missing");
}

TEST_F(FineTuneTask, TransferRunsOnAnotherDataSet) {
  const auto result = run("transfer", {"transfer.test_ema=true", "transfer.epochs=2"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("of the average"));
  expect_refusal(run("transfer", {"dataset.kind=cifar10"}), "binary version");
}

TEST_F(FineTuneTask, WarnsOfClassesWithoutImages) {
  std::filesystem::remove_all(folder_ / "data/val/dark");
  std::filesystem::create_directories(folder_ / "data/train/grey");
  const auto result = run("finetune", {"finetune.epochs=1"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("1 of 3 classes without training images, the first one grey"));
  EXPECT_THAT(result.err, HasSubstr("1 of 3 classes without test images"));
}

TEST_F(FineTuneTask, RefusesWhatItCannotTrainOn) {
  expect_refusal(run("finetune", {"finetune.precision=fp16"}), "finetune.precision");
  expect_refusal(run("finetune", {"finetune.batch_size=13"}), "finetune.batch_size");
  expect_refusal(run("finetune", {"finetune.accumulation=4"}), "finetune.accumulation");
  expect_refusal(run("finetune", {"transform.size=10"}), "transform.size");
  expect_refusal(run("finetune", {"finetune.head_layers=4"}), "finetune.head_layers");
  expect_refusal(run("finetune", {"dataset.kind=pets"}), "dataset.kind");
  write_image(folder_ / "data/val/cat/1.ppm", 100, 0);
  expect_refusal(run("finetune"), "cat has 1 test images");
  std::filesystem::remove_all(folder_ / "data/val/cat");
  std::filesystem::remove_all(folder_ / "data/train/dark");
  expect_refusal(run("finetune"), "two or more classes, got 1");
}

TEST_F(FineTuneTask, EndsOnAFileThatIsNoImage) {
  std::ofstream(folder_ / "data/train/dark/dark_3.ppm") << "no picture";
  const auto result = run("finetune");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("dark_3.ppm"));
}

}  // namespace
}  // namespace ibot
