#include "ibot/data/synthesis.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <set>

#include "ibot/codec/decode.h"
#include "ibot/data/image_folder.h"
#include "ibot/io/file.h"
#include "ibot/loading/inspect.h"

namespace ibot::data {
namespace {

class SynthesisTest : public ::testing::Test {
 protected:
  SynthesisTest() : root_(std::filesystem::path(::testing::TempDir()) / name()) {
    std::filesystem::remove_all(root_);
  }
  ~SynthesisTest() override { std::filesystem::remove_all(root_); }

  static std::string name() {
    return std::string("synthesis_") +
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
  }

  std::filesystem::path root_;
};

std::vector<uint8_t> gray(const Image& image) {
  std::vector<uint8_t> values;
  for (int64_t y = 0; y < image.height(); ++y) {
    for (int64_t x = 0; x < image.width(); ++x) values.push_back(image.row(y)[3 * x]);
  }
  return values;
}

/// Mean of each channel less the mean of all three.
std::array<double, 3> mean_tint(const Image& image) {
  std::array<double, 3> sums{};
  for (int64_t y = 0; y < image.height(); ++y) {
    for (int64_t x = 0; x < 3 * image.width(); ++x) {
      sums[static_cast<size_t>(x % 3)] += image.row(y)[x];
    }
  }
  const double pixels = static_cast<double>(image.height() * image.width());
  const double mean = (sums[0] + sums[1] + sums[2]) / 3.0;
  return {(sums[0] - mean) / pixels, (sums[1] - mean) / pixels, (sums[2] - mean) / pixels};
}

TEST_F(SynthesisTest, WritesAnImageFolderOfWholeJpegs) {
  write_synthetic({.classes = 3, .train_per_class = 4, .val_per_class = 2, .size = 40}, root_);
  for (const auto& [split, per_class] : {std::pair{"train", int64_t{4}}, {"val", int64_t{2}}}) {
    const ImageFolder folder(root_ / split);
    EXPECT_EQ(folder.class_names(), tint_names(3));
    const auto summary = summarize(folder, 1);
    EXPECT_EQ(summary.images_per_class, std::vector<int64_t>(3, per_class));
    EXPECT_EQ(summary.formats, (std::map<std::string, int64_t>{{"JPEG", 3 * per_class}}));
    EXPECT_EQ(summary.width.min, 40);
    EXPECT_EQ(summary.height.max, 40);
    EXPECT_TRUE(verify(folder, 1).damaged.empty());
  }
}

// The names' order is the labels' order, whoever reads the folder.
TEST_F(SynthesisTest, ClassNamesAreSortedAndDistinct) {
  const auto names = tint_names(100);
  const std::set<std::string> sorted(names.begin(), names.end());
  EXPECT_EQ(names, std::vector<std::string>(sorted.begin(), sorted.end()));
}

TEST_F(SynthesisTest, TheSameOptionsGiveTheSameBytes) {
  const SynthesisOptions options{
      .classes = 2, .train_per_class = 2, .val_per_class = 1, .size = 32};
  write_synthetic(options, root_ / "one");
  write_synthetic(options, root_ / "two");
  for (const char* file :
       {"train/tint_00/0001.jpg", "train/tint_01/0000.jpg", "val/tint_00/0000.jpg"}) {
    EXPECT_EQ(io::read_file(root_ / "one" / file), io::read_file(root_ / "two" / file)) << file;
  }
}

// A larger set begins with the smaller one: an image depends on its own place alone.
TEST_F(SynthesisTest, AnImageDoesNotDependOnTheNumberOfImages) {
  const SynthesisOptions few{.classes = 2, .train_per_class = 1};
  const SynthesisOptions many{.classes = 2, .train_per_class = 500, .val_per_class = 7};
  EXPECT_EQ(gray(draw_synthetic(few, Split::kTrain, 1, 0)),
            gray(draw_synthetic(many, Split::kTrain, 1, 0)));
}

TEST_F(SynthesisTest, SeedSplitAndIndexGiveOtherImages) {
  const SynthesisOptions options;
  const auto image = gray(draw_synthetic(options, Split::kTrain, 0, 0));
  EXPECT_NE(gray(draw_synthetic(options, Split::kTrain, 0, 1)), image);
  EXPECT_NE(gray(draw_synthetic(options, Split::kVal, 0, 0)), image);
  EXPECT_NE(gray(draw_synthetic({.seed = 1}, Split::kTrain, 0, 0)), image);
}

// The tint of the first and of the opposite class point away from each other, and stay faint beside
// the brightness, which says nothing.
TEST_F(SynthesisTest, ClassesDifferInTintAndNotInBrightness) {
  const SynthesisOptions options{.classes = 4};
  std::array<double, 4> brightness{};
  constexpr int64_t kImages = 200;
  for (int64_t label = 0; label < 4; ++label) {
    for (int64_t index = 0; index < kImages; ++index) {
      const auto image = draw_synthetic(options, Split::kTrain, label, index);
      for (const uint8_t value : gray(image)) {
        brightness[static_cast<size_t>(label)] += value / double{kImages * 32 * 32};
      }
      const auto tint = mean_tint(image);
      const double along = tint[0] - tint[1];                 // classes 0 and 2 lie on this axis
      const double across = tint[0] + tint[1] - 2 * tint[2];  // classes 1 and 3 on this one
      const double signs[] = {along, across, -along, -across};
      EXPECT_GT(signs[label], 0.0) << label << " " << index;
      EXPECT_LT(std::hypot(along, across), 40.0);
    }
  }
  // The mean of 200 pictures whose brightness deviates by 30 deviates by 2.1; red shifts by its
  // tint.
  for (const double mean : brightness) EXPECT_NEAR(mean, 128.0, 17.0);
}

TEST_F(SynthesisTest, RefusesAFolderThatIsNotEmpty) {
  const SynthesisOptions options{.classes = 2, .train_per_class = 1, .val_per_class = 1};
  std::filesystem::create_directories(root_ / "full");
  io::write_file(root_ / "full" / "kept.txt", "kept");
  EXPECT_THROW(write_synthetic(options, root_ / "full"), DataError);
  EXPECT_THROW(write_synthetic(options, root_ / "full" / "kept.txt"), DataError);
  EXPECT_EQ(io::read_file(root_ / "full" / "kept.txt"), "kept");
}

TEST_F(SynthesisTest, RefusesAPlaceThatCannotBeWritten) {
  std::filesystem::create_directories(root_);
  io::write_file(root_ / "file", "");
  const SynthesisOptions options{.classes = 2, .train_per_class = 1, .val_per_class = 1};
  EXPECT_THROW(write_synthetic(options, root_ / "file" / "set"), Error);
}

// What an interrupted run left is drawn anew, and the set takes its place when it is whole.
TEST_F(SynthesisTest, ReplacesAnUnfinishedSet) {
  std::filesystem::create_directories(root_ / "set.partial" / "train" / "stale");
  const SynthesisOptions options{.classes = 2, .train_per_class = 1, .val_per_class = 1};
  write_synthetic(options, root_ / "set/");
  EXPECT_EQ(ImageFolder(root_ / "set" / "train").class_names(), tint_names(2));
  EXPECT_FALSE(std::filesystem::exists(root_ / "set.partial"));
}

TEST_F(SynthesisTest, RefusesOptionsOutOfRange) {
  EXPECT_THROW(write_synthetic({.classes = 101}, root_), OptionError);
  EXPECT_THROW(write_synthetic({.train_per_class = 0}, root_), OptionError);
  EXPECT_THROW(write_synthetic({.size = 8}, root_), OptionError);
  EXPECT_FALSE(std::filesystem::exists(root_));
}

}  // namespace
}  // namespace ibot::data
