#include "ibot/data/synthesis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "ibot/data/decode.h"
#include "ibot/data/image_folder.h"
#include "ibot/data/inspect.h"
#include "ibot/io/file.h"

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

std::vector<uint8_t> grey(const Image& image) {
  std::vector<uint8_t> values;
  for (int64_t y = 0; y < image.height(); ++y) {
    for (int64_t x = 0; x < image.width(); ++x) values.push_back(image.row(y)[3 * x]);
  }
  return values;
}

struct Moments {
  double mean = 0.0;
  double deviation = 0.0;
};

Moments moments(const std::vector<uint8_t>& values) {
  double sum = 0.0;
  double squares = 0.0;
  for (const uint8_t value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const auto count = static_cast<double>(values.size());
  return {sum / count, std::sqrt(squares / count - sum / count * (sum / count))};
}

TEST_F(SynthesisTest, WritesAnImageFolderOfWholeJpegs) {
  write_synthetic({.classes = 3, .train_per_class = 4, .val_per_class = 2, .size = 40}, root_);
  for (const auto& [split, per_class] : {std::pair{"train", int64_t{4}}, {"val", int64_t{2}}}) {
    const ImageFolder folder(root_ / split);
    EXPECT_EQ(folder.class_names(), mark_names(3));
    const auto summary = summarize(folder, 1);
    EXPECT_EQ(summary.images_per_class, std::vector<int64_t>(3, per_class));
    EXPECT_EQ(summary.formats, (std::map<std::string, int64_t>{{"JPEG", 3 * per_class}}));
    EXPECT_EQ(summary.width.min, 40);
    EXPECT_EQ(summary.height.max, 40);
    EXPECT_TRUE(verify(folder, 1).empty());
  }
}

// The names' order is the labels' order, whoever reads the folder.
TEST_F(SynthesisTest, ClassNamesAreSortedAndDistinct) {
  const auto names = mark_names(kNumMarks);
  const std::set<std::string> sorted(names.begin(), names.end());
  EXPECT_EQ(names, std::vector<std::string>(sorted.begin(), sorted.end()));
}

TEST_F(SynthesisTest, TheSameOptionsGiveTheSameBytes) {
  const SynthesisOptions options{
      .classes = 2, .train_per_class = 2, .val_per_class = 1, .size = 32};
  write_synthetic(options, root_ / "one");
  write_synthetic(options, root_ / "two");
  for (const char* file : {"train/bars/0001.jpg", "train/crosses/0000.jpg", "val/bars/0000.jpg"}) {
    EXPECT_EQ(io::read_file(root_ / "one" / file), io::read_file(root_ / "two" / file)) << file;
  }
}

// A larger set begins with the smaller one: an image depends on its own place alone.
TEST_F(SynthesisTest, AnImageDoesNotDependOnTheNumberOfImages) {
  const SynthesisOptions few{.classes = 2, .train_per_class = 1};
  const SynthesisOptions many{.classes = 9, .train_per_class = 500, .val_per_class = 7};
  EXPECT_EQ(grey(draw_synthetic(few, Split::kTrain, 1, 0)),
            grey(draw_synthetic(many, Split::kTrain, 1, 0)));
}

TEST_F(SynthesisTest, SeedSplitAndIndexGiveOtherImages) {
  const SynthesisOptions options;
  const auto image = grey(draw_synthetic(options, Split::kTrain, 0, 0));
  EXPECT_NE(grey(draw_synthetic(options, Split::kTrain, 0, 1)), image);
  EXPECT_NE(grey(draw_synthetic(options, Split::kVal, 0, 0)), image);
  EXPECT_NE(grey(draw_synthetic({.seed = 1}, Split::kTrain, 0, 0)), image);
}

TEST_F(SynthesisTest, MeanAndDeviationTellNothingOfTheClass) {
  const SynthesisOptions options;
  const auto reference = moments(grey(draw_synthetic(options, Split::kTrain, 0, 0)));
  for (int64_t label = 0; label < kNumMarks; ++label) {
    for (int64_t index = 0; index < 10; ++index) {
      const auto found = moments(grey(draw_synthetic(options, Split::kVal, label, index)));
      // What rounding and the ends of the grey scale leave.
      EXPECT_NEAR(found.mean, reference.mean, 1.0) << label;
      EXPECT_NEAR(found.deviation, reference.deviation, 1.0) << label;
    }
  }
}

// Position and polarity are random, so that the pictures of a class average to grey.
TEST_F(SynthesisTest, TheAverageOfAClassIsFlat) {
  const SynthesisOptions options;
  constexpr int64_t kImages = 400;
  for (const int64_t label : {int64_t{0}, int64_t{2}, int64_t{7}}) {
    std::vector<double> average(static_cast<size_t>(options.size * options.size));
    for (int64_t index = 0; index < kImages; ++index) {
      const auto values = grey(draw_synthetic(options, Split::kTrain, label, index));
      for (size_t i = 0; i < values.size(); ++i) average[i] += values[i] / double{kImages};
    }
    // The deviation of a pixel is 36, that of its average over 400 images 1.8; five of these.
    for (const double value : average) ASSERT_NEAR(value, 128.0, 9.0) << label;
  }
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
  EXPECT_EQ(ImageFolder(root_ / "set" / "train").class_names(), mark_names(2));
  EXPECT_FALSE(std::filesystem::exists(root_ / "set.partial"));
}

TEST_F(SynthesisTest, RefusesOptionsOutOfRange) {
  EXPECT_THROW(write_synthetic({.classes = 11}, root_), OptionError);
  EXPECT_THROW(write_synthetic({.train_per_class = 0}, root_), OptionError);
  EXPECT_THROW(write_synthetic({.size = 8}, root_), OptionError);
  EXPECT_FALSE(std::filesystem::exists(root_));
}

}  // namespace
}  // namespace ibot::data
