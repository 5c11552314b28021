#include "ibot/coco/view.h"

#include <gtest/gtest.h>

#include <set>

#include "ibot/base/error.h"
#include "ibot/image/linear_resize.h"
#include "support/golden.h"

namespace ibot::coco {
namespace {

using ::ibot::testing::near;

class ViewDense : public ::testing::Test {
 protected:
  torch::Tensor tensor(const std::string& name) const { return tensors_.at(name); }
  View view() const {
    return {tensor("image"), tensor("det.boxes"), tensor("det.labels"), tensor("det.masks")};
  }
  void compare_boxes(const View& view, const std::string& name) const {
    const double atol = golden_.json["tolerance"]["boxes"]["atol"];
    EXPECT_TRUE(near(view.boxes, tensor(name + ".boxes"), {0, atol})) << name;
  }

  const testing::GoldenCase golden_ = testing::dense_case("11_pipelines", "pipelines");
  const std::map<std::string, torch::Tensor> tensors_ = golden_.tensors();
};

TEST_F(ViewDense, ResizedObjectsAreTheSame) {
  const auto& given = golden_.json["det_resize"];
  const auto scale = given["scale"].get<std::vector<int64_t>>();
  const auto size =
      data::size_within(view().size(), std::max(scale[0], scale[1]), std::min(scale[0], scale[1]));
  EXPECT_EQ(size, (data::ImageSize{given["image_size"][0], given["image_size"][1]}));
  EXPECT_TRUE(near(scale_factors(view().size(), size),
                   torch::tensor(given["scale_factor"].get<std::vector<float>>()), {0, 1e-7}));
  const auto larger = resized(view(), size);
  compare_boxes(larger, "det.resized");
  EXPECT_TRUE(testing::equal(larger.masks, tensor("det.resized.masks")));
}

TEST_F(ViewDense, FlippedObjectsAreTheSame) { compare_boxes(flipped(view()), "det.flipped"); }

TEST_F(ViewDense, CroppedObjectsAreTheSame) {
  const auto& given = golden_.json["det_crop"];
  const auto part = cropped(view(), {.top = given["offset"][0],
                                     .left = given["offset"][1],
                                     .height = given["crop"][0],
                                     .width = given["crop"][1]});
  compare_boxes(part, "det.cropped");
  EXPECT_TRUE(testing::equal(part.masks, tensor("det.cropped.masks")));
  EXPECT_TRUE(testing::equal(part.labels, tensor("det.cropped.labels")));
}

TEST_F(ViewDense, CropsHaveTheSameSizes) {
  for (const auto& item : golden_.json["det_crop_sizes"]["items"].elements()) {
    const data::ImageSize size{item["image"][0], item["image"][1]};
    std::set<int64_t> heights, widths;
    for (uint64_t sample = 0; sample < 4000; ++sample) {
      Rng rng(0, 0, sample, kCrop);
      const auto box = random_crop(size, ViewOptions(), rng);
      heights.insert(box.height);
      widths.insert(box.width);
      EXPECT_LE(box.top + box.height, size.height);
      EXPECT_LE(box.left + box.width, size.width);
    }
    const auto range = [](const std::set<int64_t>& sides) {
      return std::vector<int64_t>{*sides.begin(), *sides.rbegin()};
    };
    EXPECT_EQ(range(heights), item["height"].get<std::vector<int64_t>>());
    EXPECT_EQ(range(widths), item["width"].get<std::vector<int64_t>>());
  }
}

AnnotatedSet one_image() {
  AnnotatedSet set;
  set.images = {{7, "a.jpg", 40, 60}};
  set.categories = {{1, "a"}, {2, "b"}};
  const Segmentation square{{{10, 10, 30, 10, 30, 30, 10, 30}}, {}};
  const auto object = [&](metrics::Box box, double area) {
    return Object{.id = 1, .label = 1, .box = box, .area = area, .segmentation = square};
  };
  auto crowd = object({0, 0, 20, 20}, 400);
  crowd.crowd = true;
  auto unmasked = object({0, 0, 20, 20}, 400);
  unmasked.segmentation = {};
  set.objects = {{object({10, 10, 20, 20}, 400), object({60, 0, 20, 20}, 400),
                  object({10, 10, 0.5, 20}, 10), object({10, 10, 20, 20}, 0), crowd, unmasked}};
  return set;
}

TEST(View, HoldsWhatIsTrainedOnAlone) {
  const auto set = one_image();
  const auto view = view_of(data::Image(40, 60), set, 0);
  ASSERT_EQ(view.boxes.size(0), 1);
  EXPECT_TRUE(testing::equal(view.boxes, torch::tensor({{10.F, 10.F, 30.F, 30.F}})));
  EXPECT_EQ(view.labels[0].item<int64_t>(), 1);
  EXPECT_EQ(view.masks.sum().item<int64_t>(), 400);
  EXPECT_THROW(view_of(data::Image(60, 40), set, 0), DataError);
}

// Whatever the draws, sizes stay within their limits and each mask lies within its box.
TEST(View, RandomViewsStayWithinTheirLimits) {
  const auto set = one_image();
  const ViewOptions options{
      .short_sides = {24, 32}, .long_side = 45, .crop_short_sides = {30}, .crop_sides = {16, 28}};
  int64_t empty = 0;
  for (uint64_t sample = 0; sample < 50; ++sample) {
    Rng rng(0, 0, sample, kCrop);
    Rng same(0, 0, sample, kCrop);
    const auto view = training_view(view_of(data::Image(40, 60), set, 0), options, rng);
    EXPECT_TRUE(testing::equal(
        view.boxes, training_view(view_of(data::Image(40, 60), set, 0), options, same).boxes));
    const auto [height, width] = view.size();
    EXPECT_LE(std::max(height, width), 45);
    EXPECT_LE(std::min(height, width), 32);
    EXPECT_EQ(view.masks.size(1), height);
    if (view.boxes.size(0) == 0 && ++empty > 0) continue;
    const auto* box = view.boxes.const_data_ptr<float>();
    const auto pixels = view.masks[0].nonzero();  // [N, 2]
    if (pixels.size(0) == 0) continue;            // less than a pixel is left
    // The nearest pixel may lie one beyond.
    EXPECT_GE(pixels.select(1, 1).min().item<double>() + 2, box[0]);
    EXPECT_LE(pixels.select(1, 1).max().item<double>(), box[2] + 1);
  }
  EXPECT_LT(empty, 25);
}

}  // namespace
}  // namespace ibot::coco
