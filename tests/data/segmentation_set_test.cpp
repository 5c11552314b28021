#include "ibot/data/segmentation_set.h"

#include <gtest/gtest.h>

#include "data/scene_folder.h"
#include "ibot/base/error.h"
#include "ibot/data/scene_synthesis.h"
#include "ibot/metrics/segmentation.h"
#include "support/expect_tensor.h"

namespace ibot::data {
namespace {

using testing::SceneFolder;

SegmentationSet open_train(const SceneFolder& folder, const SegmentationSetOptions& options = {}) {
  return open_segmentation(folder.path(), options, Split::kTrain);
}

/// The message of the DataError that `work` throws.
template <class Work>
std::string refusal(const Work& work) {
  try {
    work();
  } catch (const DataError& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected a DataError";
  return {};
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(SegmentationSet, ReadsTheLayoutOfAde20k) {
  const SceneFolder folder(3);
  const auto set = open_train(folder);
  EXPECT_EQ(set.size(), 3);
  EXPECT_EQ(set.classes, 2);
  check_segmentation(set, 2);
  const auto label = set.label(0);
  EXPECT_EQ(label.scalar_type(), torch::kByte);
  EXPECT_EQ(label[0][0].item<int>(), 255);
  EXPECT_EQ(label[1][0].item<int>(), 0);
  EXPECT_EQ(label[1][39].item<int>(), 1);
  EXPECT_EQ(segmentation_classes(folder.path(), {}), (std::vector<std::string>{"left", "right"}));
}

TEST(SegmentationSet, ReadsOtherFoldersAndNames) {
  const SceneFolder folder(1);
  namespace fs = std::filesystem;
  fs::create_directories(folder.path() / "a");
  fs::create_directories(folder.path() / "b");
  fs::copy(folder.path() / "images/training/scene_0.png", folder.path() / "a/x_left.png");
  fs::copy(folder.path() / "annotations/training/scene_0.png", folder.path() / "b/x_ids.png");
  std::ofstream(folder.path() / "names.tsv")
      << "Idx\tName\n0\tnothing\n1\tleft, other word\n2\tright;else\n";
  const SegmentationSetOptions options{.train_images = "a",
                                       .train_labels = "b",
                                       .image_ending = "_left.png",
                                       .label_ending = "_ids.png",
                                       .zero_is_ignored = false,
                                       .class_file = (folder.path() / "names.tsv").string()};
  const auto set = open_train(folder, options);
  check_segmentation(set, 1);
  EXPECT_TRUE(testing::equal(set.label(0), SceneFolder::label()));
  EXPECT_EQ(segmentation_classes(folder.path(), options),
            (std::vector<std::string>{"nothing", "left", "right"}));
}

TEST(SegmentationSet, DrawnScenesAreOneAndTheSameOnEveryCall) {
  const testing::TemporaryFolder folder;
  const SceneSynthesisOptions options{.classes = 4, .train = 3, .val = 2, .size = 40};
  write_scenes(options, folder / "set");
  const auto set = open_segmentation(folder / "set", {}, Split::kTrain);
  check_segmentation(set, 2);
  EXPECT_EQ(set.size(), 3);
  EXPECT_EQ(set.classes, 4);
  const auto scene = draw_scene(options, Split::kTrain, 1);
  EXPECT_TRUE(testing::equal(metrics::labels_of_file(scene.label).to(torch::kByte), set.label(1)));
  EXPECT_FALSE(testing::equal(scene.label, draw_scene(options, Split::kVal, 1).label));
  expect_part(refusal([&] { write_scenes(options, folder / "set"); }), "new or empty folder");
}

TEST(SegmentationSet, RefusesLabelsBeyondTheClasses) {
  const SceneFolder folder(2);
  folder.write_label("training", "scene_1", SceneFolder::label() + 1);
  const auto set = open_train(folder);
  const auto text = refusal([&] { check_segmentation(set, 2); });
  expect_part(text, "scene_1.png");
  expect_part(text, "expected labels 1 to 2, 0 and 255, got 3");
}

TEST(SegmentationSet, RefusesImagesWithoutLabelMapAndMapsOfAnotherSize) {
  const SceneFolder folder(3);
  folder.write_label("training", "scene_1", SceneFolder::label().slice(0, 0, 20).contiguous());
  const auto set = open_train(folder);
  expect_part(refusal([&] { check_segmentation(set, 1); }),
              "expected 40 x 30 pixels as its image has, got 40 x 20");
  std::filesystem::remove(folder.path() / "annotations/training/scene_0.png");
  std::filesystem::remove(folder.path() / "annotations/training/scene_2.png");
  const auto text = refusal([&] { open_train(folder); });
  expect_part(text, "scene_0.png: expected a label map");
  expect_part(text, "2 of 3 images lack theirs");
}

TEST(SegmentationSet, RefusesMissingFoldersAndOtherNumbersOfClasses) {
  const SceneFolder folder(1);
  expect_part(refusal([&] { open_train(folder, {.train_images = "none"}); }),
              "segment.train_images");
  expect_part(refusal([&] { open_train(folder, {.classes = 7}); }), "expected 7 classes");
  std::filesystem::remove(folder.path() / "classes.txt");
  EXPECT_EQ(open_train(folder).classes, 150);
  EXPECT_EQ(open_train(folder, {.classes = 7}).classes, 7);
}

}  // namespace
}  // namespace ibot::data
