// ibot-eval robustness, attention, correspondence, patterns and parts from the command line to
// their files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ibot/io/safetensors.h"
#include "support/run_program.h"

namespace ibot {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ProgramResult;
using Words = std::vector<std::string>;

const Words kTinyNetwork{"backbone.embed_dim=16",
                         "backbone.depth=2",
                         "backbone.heads=2",
                         "backbone.patch_size=4",
                         "backbone.image_size=16",
                         "head.prototypes=8",
                         "head.hidden_dim=16",
                         "head.bottleneck_dim=8",
                         "eval.resize_size=16",
                         "eval.crop_size=16",
                         "augment.local_crops=0",
                         "augment.global_size=16",
                         "data.workers=1",
                         "robustness.drop_grid=4",
                         "robustness.saliency_head=0",
                         "robustness.shuffle_grids=[2x2,4x4]"};

const Words kSwin{"backbone.arch=swin_tiny",  "backbone.embed_dim=16", "backbone.depth=[1,1,1,1]",
                  "backbone.heads=[1,1,2,2]", "backbone.patch_size=4", "backbone.image_size=32",
                  "backbone.window_size=1",   "eval.resize_size=32",   "eval.crop_size=32",
                  "head.prototypes=8",        "head.hidden_dim=16",    "head.bottleneck_dim=8",
                  "augment.local_crops=0",    "augment.global_size=32"};

void write_gray(const fs::path& path, int level) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << "P6 24 20 255\n";
  for (int i = 0; i < 24 * 20 * 3; ++i) file << static_cast<char>((level + 3 * i) % 200 + 50);
}

class Analysis : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::test_folder();
    for (int i = 0; i < 4; ++i) {
      const auto name = std::to_string(i) + ".ppm";
      for (const char* half : {"train", "val"}) {
        write_gray(folder_ / "data" / half / "n01440764" / name, 10 * i);
        write_gray(folder_ / "data" / half / "n01443537" / name, 100 + 10 * i);
      }
    }
  }

  ProgramResult run(const std::string& task, const Words& more = {},
                    const Words& network = kTinyNetwork) const {
    Words words{task,       "--weights", "random",   "--data", "data",
                "--output", "out",       "--device", "cpu"};
    words.insert(words.end(), network.begin(), network.end());
    words.insert(words.end(), more.begin(), more.end());
    return testing::run_program("ibot-eval", words, folder_);
  }

  /// Linear classifiers of `classes` classes on features of `width`.
  void write_classifier(const std::string& name, int64_t classes, int64_t width) const {
    io::write_safetensors(folder_ / name, {{{"linear.weight", torch::eye(classes, width)},
                                            {"linear.bias", torch::zeros({classes})}},
                                           {}});
  }

  nlohmann::json report() const {
    return nlohmann::json::parse(testing::read_text(folder_ / "out/report.json"));
  }
  std::string page() const { return testing::read_text(folder_ / "out/report.html"); }

  void expect_refusal(const ProgramResult& result, const std::string& reason) const {
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr("error: "), HasSubstr(reason)));
    EXPECT_FALSE(fs::exists(folder_ / "out/report.json"));
  }

  fs::path folder_;
};

TEST_F(Analysis, RobustnessTestsAClassifier) {
  write_classifier("classifier.safetensors", 2, 32);
  const auto result = run("robustness", {"--classifier", "classifier.safetensors"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("shuffle_4x4"));
  EXPECT_THAT(result.err, HasSubstr("imagenet_c: no folder"));
  const auto metrics = report()["metrics"];
  EXPECT_EQ(metrics.size(), 10 + 20 + 20 + 2u);
  EXPECT_GE(metrics["occlusion_random_0"].get<double>(), 0.0);
  EXPECT_THAT(page(), AllOf(HasSubstr("<svg "), HasSubstr("Shuffled cells")));
  const auto again = run("robustness", {"--classifier", "classifier.safetensors", "--cache",
                                        "shared", "--nproc", "2"});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(report()["metrics"], metrics);
}

TEST_F(Analysis, RobustnessRefusesWhatDoesNotFit) {
  expect_refusal(run("robustness"), "robustness: expected --classifier");
  write_classifier("wide.safetensors", 2, 17);
  expect_refusal(run("robustness", {"--classifier", "wide.safetensors"}), "features of width");
  write_classifier("classes.safetensors", 5, 16);
  expect_refusal(run("robustness", {"--classifier", "classes.safetensors"}),
                 "name them by robustness.class_list");
  write_classifier("good.safetensors", 2, 16);
  expect_refusal(
      run("robustness", {"--classifier", "good.safetensors", "robustness.tests=[imagenet9]"}),
      "imagenet9: expected a folder");
  expect_refusal(
      run("robustness", {"--classifier", "good.safetensors", "robustness.images=train/n01440764"}),
      "expected a folder a class");
}

TEST_F(Analysis, AttentionWritesAPanelAnImage) {
  const auto result = run("attention", {"attention.size=[33,50]", "attention.separate=true"});
  ASSERT_EQ(result.status, 0) << result.err;
  // Cut to whole patches: 32 x 48, of the image, the colors and two heads.
  const auto panel = testing::read_text(folder_ / "out/idx7_attn.png");
  EXPECT_EQ(panel.substr(12, 12), std::string("IHDR\0\0\0\xc0\0\0\0\x20", 12));
  EXPECT_TRUE(fs::exists(folder_ / "out/idx0_color.png"));
  EXPECT_TRUE(fs::exists(folder_ / "out/idx0_head1.png"));
  EXPECT_EQ(report()["metrics"]["images"], 8);
  EXPECT_THAT(page(), HasSubstr("data:image/jpeg;base64,"));
}

TEST_F(Analysis, AttentionOfAFileAndOfFrames) {
  Words words{"attention", "--weights", "random", "--output", "out", "--device", "cpu"};
  words.insert(words.end(), kTinyNetwork.begin(), kTinyNetwork.end());
  auto of_file = words;
  of_file.insert(of_file.end(), {"--data", "data/val/n01440764/2.ppm"});
  ASSERT_EQ(testing::run_program("ibot-eval", of_file, folder_).status, 0);
  EXPECT_TRUE(fs::exists(folder_ / "out/idx0_attn.png"));
  words.insert(words.end(),
               {"--data", "data/val/n01440764", "attention.video=true", "attention.size=[]"});
  const auto result = testing::run_program("ibot-eval", words, folder_);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(testing::read_text(folder_ / "out/attention.avi").substr(0, 4), "RIFF");
  std::ofstream(folder_ / "data/val/n01440764/9.ppm", std::ios::binary) << "P6 40 40 255\n"
                                                                        << std::string(4800, 'x');
  const auto refused = testing::run_program("ibot-eval", words, folder_);
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err,
              HasSubstr("9.ppm: video: expected frames of 20 x 24 pixels, got 40 x 40"));
}

TEST_F(Analysis, WhatSwinDoesNotHaveIsRefused) {
  for (const char* task : {"attention", "correspondence", "parts"}) {
    expect_refusal(run(task, {}, kSwin),
                   "expected a ViT, whose class token attends to patches, got swin_tiny");
  }
  const auto matched = run("correspondence", {"correspondence.drawings=0"}, kSwin);
  EXPECT_EQ(matched.status, 0) << matched.err;
}

TEST_F(Analysis, CorrespondenceCountsAndDraws) {
  auto result = run("correspondence", {"correspondence.drawings=3"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(report()["metrics"]["pairs"], 8);
  const auto accuracy = report()["metrics"]["accuracy"].get<double>();
  EXPECT_GE(accuracy, 0.0);
  EXPECT_TRUE(fs::exists(folder_ / "out/instance_corresp2_cls0_nh0.png"));
  EXPECT_FALSE(fs::exists(folder_ / "out/instance_corresp3_cls0_nh0.png"));
  result = run("correspondence", {"correspondence.drawings=3", "correspondence.radius=4"});
  EXPECT_DOUBLE_EQ(report()["metrics"]["accuracy"].get<double>(), 100.0);  // of 4 x 4 patches
  result = run("correspondence", {"correspondence.pairs=class"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(report()["metrics"]["pairs"], 4);
  EXPECT_TRUE(fs::exists(folder_ / "out/class_corresp3_cls1_nh0.png"));
  EXPECT_EQ(report()["metrics"].count("accuracy"), 0u);
}

TEST_F(Analysis, PatternsShowEachPrototype) {
  const auto result = run("patterns", {"patterns.clusters=3", "patterns.tiles=4"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto shown = report()["metrics"]["prototypes_shown"].get<int>();
  EXPECT_GE(shown, 1);
  int pictures = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "out")) {
    pictures += entry.path().filename().string().rfind("cpatch_crank", 0) == 0 ? 1 : 0;
  }
  EXPECT_EQ(pictures, shown);
  EXPECT_EQ(run("patterns", {"patterns.of=cls", "patterns.clusters=2"}).status, 0);
}

TEST_F(Analysis, PartsProbeEachNumberOfPatches) {
  const auto result =
      run("parts", {"parts.k=[1,16]", "linear.epochs=1", "linear.batch_size=4", "linear.lr=[0.1]"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(report()["metrics"].count("top1_k1"), 1u);
  EXPECT_EQ(report()["metrics"].count("top1_k16"), 1u);
  EXPECT_TRUE(fs::exists(folder_ / "out/k16/linear.safetensors"));
  EXPECT_THAT(page(), HasSubstr("Part-wise linear probing"));
}

TEST_F(Analysis, PicturesNeedAFolder) {
  Words words{"attention", "--weights", "random", "--data", "data", "--device", "cpu"};
  words.insert(words.end(), kTinyNetwork.begin(), kTinyNetwork.end());
  const auto result = testing::run_program("ibot-eval", words, folder_);
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("attention: expected --output"));
  EXPECT_THAT(run("attention", {"--nproc", "2"}).err, HasSubstr("expected one process"));
}

TEST_F(Analysis, ACorruptImageIsNamed) {
  std::ofstream(folder_ / "data/val/n01440764/5.ppm") << "P6 24 20 255\nshort";
  const auto result = run("attention");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("error: "), HasSubstr("5.ppm")));
}

}  // namespace
}  // namespace ibot
