#include "ibot/coco/results.h"

#include <gtest/gtest.h>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/coco/image_set.h"
#include "ibot/coco/object_synthesis.h"
#include "ibot/coco/view.h"
#include "ibot/data/picture_files.h"
#include "ibot/io/file.h"
#include "support/temporary_folder.h"

namespace ibot::coco {
namespace {

// Windows that touch every border of the image, a whole column among them.
TEST(PlacedRuns, AreThoseOfTheWholeMask) {
  Rng rng(0, 0, 0, 0);
  for (const auto& box : {data::Box{0, 0, 6, 5},
                          {1, 2, 3, 2},
                          {0, 1, 6, 3},
                          {4, 4, 2, 1},
                          {0, 0, 1, 5},
                          {5, 0, 1, 5}}) {
    for (int draw = 0; draw < 20; ++draw) {
      auto window = torch::empty({box.height, box.width}, torch::kBool);
      for (int64_t i = 0; i < window.numel(); ++i) {
        window.view({-1})[i] = draw == 0 || rng.uniform() < 0.6;
      }
      auto whole = torch::zeros({6, 5}, torch::kByte);
      whole.narrow(0, box.top, box.height).narrow(1, box.left, box.width).copy_(window);
      EXPECT_EQ(placed_runs(window, box.top, box.left, 6, 5).counts,
                metrics::encode_runs(whole).counts);
    }
  }
}

std::vector<metrics::Detection> truths_as_detections(const AnnotatedSet& set) {
  std::vector<metrics::Detection> detections;
  for (const auto& truth : truths_of(set, metrics::Shape::kMask)) {
    detections.push_back({.image = truth.image,
                          .category = truth.category,
                          .score = 0.25,
                          .box = truth.box,
                          .mask = truth.mask});
  }
  return detections;
}

// A drawn set annotates what it shows: the truth, written as results and read again, is found.
TEST(Results, AreReadAsWritten) {
  const testing::TemporaryFolder folder;
  write_objects({.classes = 3, .train = 2, .val = 3, .size = 64}, folder / "set");
  const auto set = open_image_set(folder / "set", "val2017", "annotations/instances_val2017.json");
  ASSERT_EQ(set.images.size(), 3);
  EXPECT_TRUE(set.annotated.notes.empty());
  const auto detections = truths_as_detections(set.annotated);
  write_results(folder / "detections.json", detections);
  const auto found = read_detections(folder / "detections.json", set.annotated);
  ASSERT_EQ(found.size(), detections.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].mask, detections[i].mask);
    EXPECT_EQ(found[i].box, detections[i].box);
  }
  for (const auto shape : {metrics::Shape::kBox, metrics::Shape::kMask}) {
    EXPECT_EQ(metrics::average_precision(truths_of(set.annotated, shape), compared(found, shape),
                                         image_ids(set.annotated), category_ids(set.annotated),
                                         {.shape = shape})
                  .summary()[0],
              1.0);
  }
}

// Before a run begins, from headers.
TEST(ImageSet, RefusesAnImageOfAnotherSizeThanAnnotated) {
  const testing::TemporaryFolder folder;
  write_objects({.classes = 2, .train = 2, .val = 2, .size = 64}, folder / "set");
  const auto open = [&] {
    return open_image_set(folder / "set", "val2017", "annotations/instances_val2017.json");
  };
  const auto file = open().images.path(1);
  data::Image other(64, 50);
  std::fill_n(other.row(0), 3 * 64 * 50, uint8_t{90});
  io::write_file(file, data::jpeg_bytes(other, 75));
  try {
    open();
    FAIL() << "expected a DataError";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("expected 64 x 64 pixels as annotated, got 50 x 64"),
              std::string::npos)
        << error.what();
  }
}

TEST(Results, AreDrawnWhereTheyAre) {
  data::Image gray(40, 60);
  std::fill_n(gray.row(0), 3 * 40 * 60, uint8_t{100});
  const auto mask = metrics::runs_of_box({30, 10, 10, 20}, 40, 60);
  const auto picture = drawn(
      gray, {{.image = 1, .category = 7, .score = 0.9, .box = {30, 10, 10, 20}, .mask = mask}},
      {{7, "cup"}});
  const auto differs = [&](int64_t y, int64_t x) {
    return !std::equal(picture.row(y) + 3 * x, picture.row(y) + 3 * x + 3, gray.row(y) + 3 * x);
  };
  EXPECT_TRUE(differs(20, 35));
  EXPECT_TRUE(differs(10, 32));
  EXPECT_FALSE(differs(35, 5));
}

TEST(ObjectSynthesis, DrawsObjectsThatAreTrainedOn) {
  const ObjectSynthesisOptions options;
  for (int64_t i = 0; i < 5; ++i) {
    const auto scene = draw_objects(options, data::Split::kTrain, i);
    EXPECT_GE(scene.objects.size(), 1U);
    for (const auto& object : scene.objects) {
      EXPECT_TRUE(is_trained(object, {1, "a", options.size, options.size}));
    }
  }
}

}  // namespace
}  // namespace ibot::coco
