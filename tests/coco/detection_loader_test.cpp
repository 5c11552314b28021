#include "ibot/coco/detection_loader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

#include "ibot/base/error.h"
#include "ibot/data/file_list.h"
#include "ibot/data/picture_files.h"
#include "support/golden.h"
#include "support/temporary_folder.h"

namespace ibot::coco {
namespace {

// Seven wide images and four others.
const std::vector<bool> kWide{true, false, true, true, true, false, true, true, false, true, false};

TEST(OrientedOrder, EveryStepHasOneOrientationAndEveryImageComes) {
  const auto order = oriented_order(kWide, 3, 1, 0, {});
  ASSERT_EQ(order.size() % 3, 0U);
  EXPECT_EQ(static_cast<int64_t>(order.size()) / 3, oriented_steps(kWide, 3, 1));
  std::vector<int64_t> seen(kWide.size(), 0);
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(kWide[order[i]], kWide[order[i - i % 3]]);
    ++seen[order[i]];
  }
  for (const auto count : seen) EXPECT_GE(count, 1);
  EXPECT_NE(order, oriented_order(kWide, 3, 1, 1, {}));
  EXPECT_NE(order, oriented_order(kWide, 3, 2, 0, {}));
}

// Ranks share out the steps that one rank of a larger batch takes.
TEST(OrientedOrder, RanksTakeTheirPartOfEachStep) {
  const auto whole = oriented_order(kWide, 4, 1, 3, {});
  const auto first = oriented_order(kWide, 2, 1, 3, {.rank = 0, .world = 2});
  const auto second = oriented_order(kWide, 2, 1, 3, {.rank = 1, .world = 2});
  EXPECT_EQ(oriented_steps(kWide, 4, 1), oriented_steps(kWide, 2, 2));
  std::vector<int64_t> together;
  for (size_t i = 0; i < first.size(); ++i) {
    together.push_back(first[i]);
    together.push_back(second[i]);
  }
  EXPECT_EQ(together, whole);
}

class DetectionLoaderTest : public ::testing::Test {
 protected:
  DetectionLoaderTest() {
    set_.categories = {{1, "a"}};
    std::vector<data::FileList::Entry> files;
    for (int64_t i = 0; i < 6; ++i) {
      const int64_t height = i % 2 == 0 ? 40 : 70;
      add_image(i, height, 110 - height);
      files.push_back({(folder_ / concat(i, ".png")).string(), 0});
    }
    add_image(6, 20, 60);  // too low
    files.push_back({(folder_ / "6.png").string(), 0});
    set_.images.push_back({7, "none.png", 50, 50});
    set_.objects.emplace_back();  // without annotation, never read
    files.push_back(files.back());
    images_.emplace("set", files, std::vector<std::string>{""});
    trained_ = trained_images(set_);
  }

  void add_image(int64_t id, int64_t height, int64_t width) {
    data::Image image(height, width);
    std::fill_n(image.row(0), 3 * height * width, static_cast<uint8_t>(10 * id));
    std::ofstream(folder_ / concat(id, ".png"), std::ios::binary) << data::png_bytes(image);
    set_.images.push_back({id, concat(id, ".png"), height, width});
    const auto size = static_cast<double>(10 + id);
    set_.objects.push_back({{.id = id,
                             .label = 0,
                             .box = {5, 5, size, size},
                             .area = size * size,
                             .segmentation = {{{5, 5, 5 + size, 5, 5 + size, 5 + size}}, {}}}});
  }

  DetectionLoaderOptions options() const {
    DetectionLoaderOptions options{.view = {.short_sides = {40, 64},
                                            .long_side = 100,
                                            .crop_short_sides = {36},
                                            .crop_sides = {20, 40}},
                                   .seed = 3,
                                   .batch_size = 2,
                                   .num_epochs = 3,
                                   .workers = 3};
    return options;
  }

  const testing::TemporaryFolder folder_;
  AnnotatedSet set_;
  std::optional<data::FileList> images_;
  std::vector<int64_t> trained_;
};

class PaddingDense : public DetectionLoaderTest {};

TEST_F(PaddingDense, IsTheSame) {
  const auto golden = testing::dense_case("11_pipelines", "pipelines");
  for (const auto& item : golden.json["det_pad"].elements()) {
    const auto size = item["size"].get<std::vector<int64_t>>();
    set_ = {};
    set_.categories = {{1, "a"}};
    add_image(0, size[0], size[1]);
    const data::FileList files("set", {{(folder_ / "0.png").string(), 0}}, {""});
    const auto [least, most] = std::minmax(size[0], size[1]);
    auto whole = options();
    whole.view = {
        .short_sides = {least}, .long_side = most, .crop_short_sides = {least}, .crop_prob = 0};
    whole.batch_size = 1;
    const std::vector<int64_t> trained{0};
    DetectionLoader loader(files, set_, trained, whole);
    const auto batch = loader.next();
    EXPECT_EQ(batch->image.sizes().slice(2).vec(), item["padded"].get<std::vector<int64_t>>());
    EXPECT_EQ(batch->size[0][0].item<int64_t>(), size[0]);
    EXPECT_EQ(batch->size[0][1].item<int64_t>(), size[1]);
  }
}

void expect_same(const batch::DetectionBatch& a, const batch::DetectionBatch& b) {
  EXPECT_TRUE(testing::equal(a.image, b.image));
  EXPECT_TRUE(testing::equal(a.size, b.size));
  EXPECT_TRUE(testing::equal(a.sample_id, b.sample_id));
  for (size_t i = 0; i < a.boxes.size(); ++i) {
    EXPECT_TRUE(testing::equal(a.boxes[i], b.boxes[i]));
    EXPECT_TRUE(testing::equal(a.masks[i], b.masks[i]));
  }
}

TEST_F(DetectionLoaderTest, BatchesArePaddedAndFollowTheirPosition) {
  EXPECT_EQ(trained_, (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  DetectionLoader loader(*images_, set_, trained_, options());
  std::vector<batch::DetectionBatch> batches;
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  ASSERT_EQ(batches.size(), 12U);  // 3 epochs of two steps of either orientation
  for (const auto& batch : batches) {
    EXPECT_EQ(batch.image.size(2) % 32, 0);
    EXPECT_EQ(batch.image.size(3) % 32, 0);
    for (int64_t i = 0; i < 2; ++i) {
      const int64_t height = batch.size[i][0].item<int64_t>();
      const int64_t width = batch.size[i][1].item<int64_t>();
      EXPECT_EQ(batch.masks[i].size(1), height);
      EXPECT_EQ(batch.image[i].slice(1, height).sum().item<int64_t>(), 0);
      EXPECT_EQ(batch.image[i].slice(2, width).sum().item<int64_t>(), 0);
      EXPECT_EQ(batch.image[i][0][0][0].item<int64_t>(), 10 * batch.sample_id[i].item<int64_t>());
    }
  }
  auto late = options();
  late.first_epoch = 1;
  late.first_step = 3;
  late.workers = 1;
  DetectionLoader resumed(*images_, set_, trained_, late);
  for (size_t i = 7; i < batches.size(); ++i) expect_same(*resumed.next(), batches[i]);
  EXPECT_FALSE(resumed.next().has_value());
}

TEST_F(DetectionLoaderTest, AnImageOfAnotherSizeThanAnnotatedIsRefused) {
  set_.images[2].width += 1;
  DetectionLoader loader(*images_, set_, trained_, options());
  EXPECT_THROW(while (loader.next()), DataError);
}

TEST(DetectionBatch, PaddingIsZeroAfterNormalization) {
  const auto images = batch::padded_normalized(torch::full({2, 3, 4, 4}, 200, torch::kByte),
                                               torch::tensor({{4, 2}, {3, 4}}), {});
  EXPECT_EQ(images[0].slice(2, 2).abs().sum().item<double>(), 0);
  EXPECT_EQ(images[1].slice(1, 3).abs().sum().item<double>(), 0);
  EXPECT_TRUE(images[0].slice(2, 0, 2).ne(0).all().item<bool>());
}

}  // namespace
}  // namespace ibot::coco
