#include "ibot/evaluation/robustness.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "ibot/base/error.h"
#include "ibot/eval/imagenet.h"
#include "support/temporary_folder.h"
#include "support/tiny.h"

namespace ibot::evaluation {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr int kSide = 16;

void write_image(const fs::path& path, int level) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << "P6 " << kSide << ' ' << kSide << " 255\n";
  for (int i = 0; i < kSide * kSide * 3; ++i) file << static_cast<char>((level + i) % 250);
}

/// All of a mask is foreground.
void write_mask(const fs::path& path, int rows = kSide) {
  fs::create_directories(path.parent_path());
  std::string header =
      concat("{'descr': '|b1', 'fortran_order': False, 'shape': (", rows, ", 16), }");
  header.resize(117, ' ');
  std::ofstream(path, std::ios::binary)
      << std::string("\x93NUMPY\x01\x00", 8) << static_cast<char>(118) << '\0' << header << '\n'
      << std::string(rows * kSide, '\1');
}

/// A classifier of ImageNet-1k that says the same of every image.
class RobustnessTests : public ::testing::Test {
 protected:
  ClassifiedSubject saying(int64_t answer) const {
    const auto options = testing::tiny_step_options().backbone;
    auto network = subject_of(options, models::build_backbone(options, models::Role::kTeacher));
    auto bias = torch::zeros({1000});
    bias[answer] = 1.0;
    const auto width = network.backbone->embed_dim();
    return {network, torch::zeros({1000, width}), bias, eval::imagenet_classes(), network};
  }

  ExtractionOptions how(const fs::path& cache = {}) const {
    return {
        .resize_size = kSide, .crop_size = kSide, .batch_size = 3, .workers = 1, .cache = cache};
  }

  eval::RobustnessOptions options(std::vector<std::string> tests) const {
    eval::RobustnessOptions options;
    options.tests = std::move(tests);
    options.shuffle_grids = {"2x2", "4x4"};
    options.drop_grid = 4;
    options.saliency_head = 0;
    return options;
  }

  eval::Report report(std::vector<std::string> tests, int64_t answer) const {
    return Robustness(options(std::move(tests)), saying(answer), root_.path(), how()).run();
  }

  void expect_refusal(const eval::RobustnessOptions& options, const std::string& reason) const {
    try {
      const Robustness robustness(options, saying(0), root_.path(), how());
      robustness.run();
      ADD_FAILURE() << "expected a refusal: " << reason;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(reason));
    }
  }

  const testing::TemporaryFolder root_;
};

// Folders 1 and 2 of ImageNet-1k, not 0 and 1 as their position among the folders would say.
TEST_F(RobustnessTests, ClassesOfCorruptedImagesAreTheirIds) {
  for (const char* folder : {"fog/1", "fog/2", "weather/snow/5"}) {
    for (int i = 0; i < 2; ++i) {
      const auto name = std::to_string(i) + ".JPEG";
      write_image(root_ / "imagenet-c" / folder / "n01443537" / name, i);
      write_image(root_ / "imagenet-c" / folder / "n01484850" / name, i + 50);
    }
  }
  write_image(root_ / "imagenet-c/fog/2/n01484850/2.JPEG", 9);
  const auto robustness = Robustness(options({"imagenet_c"}), saying(1), root_.path(), how());
  const auto metrics = robustness.run().metrics;
  EXPECT_DOUBLE_EQ(metrics.at("imagenet_c_error_fog"), (50.0 + 60.0) / 2);
  EXPECT_DOUBLE_EQ(metrics.at("imagenet_c_error_snow"), 50.0);
  EXPECT_DOUBLE_EQ(metrics.at("imagenet_c_error_2_of_19_severities_missing"), 52.5);
  EXPECT_THAT(robustness.notes(), Contains(HasSubstr("3 of 95 sets")));
}

TEST_F(RobustnessTests, UnknownCorruptionsAreRefused) {
  write_image(root_ / "imagenet-c/frogs/1/n01443537/0.JPEG", 0);
  expect_refusal(options({"imagenet_c"}), "got frogs");
  auto chosen = options({"imagenet_c"});
  chosen.corruptions = {"fogg"};
  expect_refusal(chosen, "robustness.corruptions");
  chosen.corruptions = {"fog"};
  expect_refusal(chosen, "expected a folder fog");
}

TEST_F(RobustnessTests, UnknownSeveritiesAreRefused) {
  write_image(root_ / "imagenet-c/fog/1/n01443537/0.JPEG", 0);
  fs::create_directories(root_ / "imagenet-c/fog/.thumbnails");
  EXPECT_EQ(report({"imagenet_c"}, 1).metrics.count("imagenet_c_error_fog"), 1u);
  for (const char* name : {"6", "0", "03", "high"}) {
    const auto image = root_ / "imagenet-c/fog" / name / "n01443537/0.JPEG";
    write_image(image, 0);
    expect_refusal(options({"imagenet_c"}),
                   concat("expected folders of severities 1 to 5, got ", name));
    fs::remove_all(root_ / "imagenet-c/fog" / name);
  }
  fs::rename(root_ / "imagenet-c/fog/1", root_ / "imagenet-c/fog/7");
  expect_refusal(options({"imagenet_c"}), "fog/7: expected folders of severities");
}

TEST_F(RobustnessTests, ImagesOfAnotherSetAreRefused) {
  write_image(root_ / "imagenet-c/fog/1/poodle/0.JPEG", 0);
  expect_refusal(options({"imagenet_c"}), "got poodle");
  write_image(root_ / "imagenet-a/n01440764/0.jpg", 0);  // of ImageNet-1k, not of ImageNet-A
  expect_refusal(options({"imagenet_a"}), "got n01440764");
}

TEST_F(RobustnessTests, MissingFoldersAreRefusedWhereTheyAreAskedFor) {
  expect_refusal(options({"imagenet9"}), "imagenet9: expected a folder");
  expect_refusal(options({"imagenet-9"}), "expected occlusion | saliency");
  expect_refusal(options({}), "expected data of a test of robustness");
  write_image(root_ / "imagenet-c/fog/1/n01443537/0.JPEG", 0);
  const Robustness robustness(options({}), saying(0), root_.path(), how());
  EXPECT_THAT(robustness.notes(), Contains(HasSubstr("imagenet_a: no folder")));
}

TEST_F(RobustnessTests, ACorruptOrSmallImageIsNamed) {
  const auto file = root_ / "imagenet-c/fog/1/n01443537/0.JPEG";
  write_image(file, 0);
  fs::resize_file(file, 100);
  expect_refusal(options({"imagenet_c"}), file.string());
  std::ofstream(file, std::ios::binary) << "P6 2 2 255\n" << std::string(12, 'x');
  expect_refusal(options({"imagenet_c"}), "expected at least 16 x 16 pixels, got 2 x 2");
}

// Everything is taken for class 151, a dog.
TEST_F(RobustnessTests, ForegroundsAndBackgroundsOfNineClasses) {
  const auto set = root_ / "bg_challenge";
  for (const char* variant : {"original", "mixed_same", "mixed_rand", "only_bg_t"}) {
    for (const char* name : {"00_dog", "01_bird", "02_wheeled vehicle"}) {
      for (int i = 0; i < 2; ++i) {
        write_image(set / variant / "val" / name / (std::to_string(i) + ".JPEG"), 20 * i);
      }
    }
  }
  write_image(set / "mixed_same/val/00_dog/2.JPEG", 3);
  write_mask(set / "fg_mask/val/00_dog/0.npy");
  write_mask(set / "fg_mask/val/01_bird/1.npy");
  const auto metrics = report({"imagenet9", "challenge"}, 151).metrics;
  EXPECT_NEAR(metrics.at("imagenet9_original"), 100.0 / 3, 1e-9);
  EXPECT_NEAR(metrics.at("imagenet9_mixed_same"), 300.0 / 7, 1e-9);
  EXPECT_NEAR(metrics.at("imagenet9_background_gap"), 300.0 / 7 - 100.0 / 3, 1e-9);
  EXPECT_DOUBLE_EQ(metrics.at("background_challenge_vulnerable"), 50.0);
  write_mask(set / "fg_mask/val/01_bird/1.npy", 15);
  // Before any image is looked at.
  EXPECT_THROW(Robustness(options({"challenge"}), saying(0), root_.path(), how()), DataError);
  expect_refusal(options({"challenge"}), "1.npy: expected a mask of 16 x 16");
  write_mask(set / "fg_mask/val/01_bird/1.npy");
  write_mask(set / "fg_mask/val/01_bird/7.npy");
  expect_refusal(options({"challenge"}), "7.JPEG");
}

// Class 11 is the second of ImageNet-A's, n01531178; class 0 is none, so that of 200 equal scores
// the first one wins.
TEST_F(RobustnessTests, OnlyTheClassesOfImagenetACount) {
  write_image(root_ / "imagenet-a/n01498041/0.jpg", 1);
  write_image(root_ / "imagenet-a/n01498041/1.jpg", 2);
  write_image(root_ / "imagenet-a/n01531178/0.jpg", 3);
  EXPECT_NEAR(report({"imagenet_a"}, 11).metrics.at("imagenet_a_top1"), 100.0 / 3, 1e-9);
  const auto metrics = report({"imagenet_a"}, 0).metrics;
  EXPECT_NEAR(metrics.at("imagenet_a_top1"), 200.0 / 3, 1e-9);
  EXPECT_EQ(metrics.count("imagenet_a_rms_calibration_error"), 0u);
}

class OcclusionTests : public RobustnessTests {
 protected:
  void SetUp() override {
    for (int i = 0; i < 3; ++i) {
      const auto name = std::to_string(i) + ".JPEG";
      write_image(root_ / "val/n01440764" / name, 10 * i);
      write_image(root_ / "val/n01443537" / name, 200 - 10 * i);
    }
    write_image(root_ / "val/n01443537/3.JPEG", 77);
  }
};

TEST_F(OcclusionTests, HasAFigureForEverySetting) {
  const auto found = report({"occlusion", "saliency", "shuffle"}, 1);
  for (const char* name : {"occlusion_random_0", "occlusion_random_0.9", "occlusion_salient_0.1",
                           "occlusion_non_salient_1", "shuffle_2x2", "shuffle_4x4"}) {
    EXPECT_NEAR(found.metrics.at(name), 400.0 / 7, 1e-9) << name;
  }
  EXPECT_EQ(found.metrics.size(), 10 + 20 + 20 + 2u);
  EXPECT_DOUBLE_EQ(found.metrics.at("information_loss_salient_1"), 1.0);
  EXPECT_DOUBLE_EQ(found.metrics.at("information_loss_non_salient_1"), 0.0);
  EXPECT_EQ(found.figures.size(), 2u);
  EXPECT_TRUE(found.identity.count("images of occlusion"));
}

/// A classifier that tells images apart.
ClassifiedSubject drawn(ClassifiedSubject subject) {
  subject.weight =
      torch::randn(subject.weight.sizes(), at::make_generator<at::CPUGeneratorImpl>(3));
  return subject;
}

// Whatever the batch and however the work is shared out.
TEST_F(OcclusionTests, CellsDependOnTheSeedAlone) {
  auto chosen = options({"occlusion", "shuffle"});
  chosen.set_images = 2;
  const auto subject = drawn(saying(1));
  const auto whole = Robustness(chosen, subject, root_.path(), how()).run().metrics;
  auto other = how(root_ / "cache");
  other.batch_size = 7;
  auto helping = other;
  helping.rank = 1;
  helping.processes = 2;
  Robustness(chosen, subject, root_.path(), helping).share();
  EXPECT_FALSE(fs::is_empty(root_ / "cache"));
  EXPECT_EQ(Robustness(chosen, subject, root_.path(), other).run().metrics, whole);
}

TEST_F(OcclusionTests, GridsThatDoNotDivideTheCropAreRefused) {
  auto chosen = options({"shuffle"});
  chosen.shuffle_grids = {"3x3"};
  expect_refusal(chosen, "robustness.shuffle_grids: expected grids that divide eval.crop_size 16");
  chosen = options({"saliency"});
  chosen.saliency_head = 5;
  expect_refusal(chosen, "robustness.saliency_head: expected below the");
}

TEST_F(OcclusionTests, WithoutAttentionSaliencyIsLeftOutOrRefused) {
  auto subject = saying(1);
  subject.saliency.backbone = nullptr;
  const Robustness left_out(options({}), subject, root_.path(), how());
  EXPECT_THAT(left_out.notes(), Contains(HasSubstr("saliency: the network is no ViT")));
  EXPECT_EQ(left_out.run().metrics.size(), 12u);
  EXPECT_THROW(Robustness(options({"saliency"}), subject, root_.path(), how()), DataError);
}

TEST(RobustnessOptions, GridsAreRowsAndColumns) {
  const auto grid = eval::grid_of("4x8");
  ASSERT_TRUE(grid);
  EXPECT_EQ(grid->rows, 4);
  EXPECT_EQ(grid->columns, 8);
  for (const char* text : {"", "4", "x", "4x", "x8", "4x8x2", "0x2", "-1x2", "4 x 8"}) {
    EXPECT_FALSE(eval::grid_of(text)) << text;
  }
}

}  // namespace
}  // namespace ibot::evaluation
