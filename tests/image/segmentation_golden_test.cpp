#include <gtest/gtest.h>

#include "ibot/batch/segmentation_batch.h"
#include "ibot/image/segmentation_transform.h"
#include "ibot/loading/segmentation_loader.h"
#include "ibot/segmentation/inference.h"
#include "support/golden.h"

namespace ibot::data {
namespace {

using testing::ReadJson;

const testing::GoldenCase& golden() {
  static const auto found = testing::dense_case("11_pipelines", "pipelines");
  return found;
}

/// Rows of pixels [H, W, 3] as an image, and back.
Image image_of(const torch::Tensor& rows) {
  Image image(rows.size(0), rows.size(1));
  std::memcpy(image.row(0), rows.contiguous().const_data_ptr<uint8_t>(), rows.nbytes());
  return image;
}

torch::Tensor rows_of(const Image& image) { return planes_of(image).permute({1, 2, 0}); }

/// Width and height, as OpenCV has it.
ImageSize size_of(const ReadJson& pair) { return {pair[1], pair[0]}; }

TEST(SegmentationPipelineDense, SizesAreTheSame) {
  for (const auto& item : golden().json["rescale_sizes"]["items"].elements()) {
    const auto sides = item["scale"].get<std::vector<int64_t>>();
    const auto [least, most] = std::minmax(sides[0], sides[1]);
    EXPECT_EQ(size_within(size_of(item["size"]), most, least), size_of(item["result"]));
  }
  for (const auto& item : golden().json["multi_scale_test_sizes"]["items"].elements()) {
    EXPECT_EQ(version_size(size_of(item["size"]), item["ratio"], {.crop_size = item["crop"]}),
              size_of(item["result"]));
  }
}

/// The size that an image gets when the sides of a random factor bound it, the crop being larger.
ImageSize size_of_view(const Image& image, double factor, int64_t room) {
  const SegmentationTransformOptions options{
      .crop_size = room, .scale = {factor, factor}, .flip_prob = 0, .photometric = false};
  Rng rng(0, 0, 0, kCrop);
  const SegmentationView view{torch::empty({3, room, room}, torch::kByte),
                              torch::empty({room, room}, torch::kByte)};
  const auto label = torch::zeros({image.height(), image.width()}, torch::kByte);
  return segmentation_transform(image, label, options, rng, view);
}

TEST(SegmentationPipelineDense, TrainingSizesAreTheSame) {
  for (const auto& item : golden().json["training_scale"].elements()) {
    const int64_t most = item["scale"][0], least = item["scale"][1];
    EXPECT_EQ(size_of_view(Image(8, 8), item["ratio"], least), (ImageSize{least, least}));
    EXPECT_EQ(size_of_view(Image(2, 64), item["ratio"], most).width, most);
  }
}

TEST(SegmentationPipelineDense, WindowsAreTheSame) {
  for (const auto& item : golden().json["windows"]["items"].elements()) {
    const auto windows = segmentation::sliding_windows(
        item["height"], item["width"], {.crop = item["crop"], .stride = item["stride"]});
    const auto expected = item["windows"].elements();
    ASSERT_EQ(windows.size(), expected.size());
    for (size_t i = 0; i < windows.size(); ++i) {
      EXPECT_EQ(windows[i], (segmentation::Window{expected[i][0], expected[i][1], expected[i][2],
                                                  expected[i][3]}));
    }
  }
}

TEST(SegmentationPipelineDense, ResizingIsTheSame) {
  const auto tensors = golden().tensors();
  const auto image = image_of(tensors.at("image"));
  const auto scales = golden().json["resize"]["scales"].get<std::vector<std::vector<int64_t>>>();
  for (size_t i = 0; i < scales.size(); ++i) {
    const auto [least, most] = std::minmax(scales[i][0], scales[i][1]);
    const auto size = size_within({image.height(), image.width()}, most, least);
    const auto name = concat("resize", i);
    EXPECT_TRUE(testing::equal(rows_of(linear_resized(image, size)), tensors.at(name + ".image")))
        << name;
    EXPECT_TRUE(
        testing::equal(nearest_resized(tensors.at("label"), size), tensors.at(name + ".label")))
        << name;
  }
}

TEST(SegmentationPipelineDense, ColorsAreTheSame) {
  const auto tensors = golden().tensors();
  const auto parameters = golden().json["colour"]["parameters"];
  const PhotometricDraw all{.brightness = parameters["beta"].get<double>(),
                            .contrast = parameters["alpha"].get<double>(),
                            .saturation = parameters["sat"].get<double>(),
                            .hue = parameters["hue"].get<int>()};
  const auto is = [&](const PhotometricDraw& draw, const std::string& name) {
    auto image = image_of(tensors.at("image"));
    distort_(image, draw);
    EXPECT_TRUE(testing::equal(rows_of(image), tensors.at("colour." + name))) << name;
  };
  is({.brightness = all.brightness}, "brightness");
  is({.contrast = all.contrast}, "contrast");
  is({.saturation = all.saturation}, "saturation");
  is({.hue = all.hue}, "hue");
  is(all, "contrast_first");
  auto last = all;
  last.contrast_first = false;
  is(last, "contrast_last");
}

TEST(SegmentationPipelineDense, CropsAreTheSame) {
  const auto label = golden().tensors().at("crop.label");
  const auto crop = golden().json["crop"];
  const auto size = crop["size"].get<std::vector<int64_t>>();
  for (const auto& item : crop["items"].elements()) {
    const auto candidates = item["candidates"].get<std::vector<std::vector<int64_t>>>();
    size_t drawn = 0;
    const auto box = choose_crop(label, {size[0], size[1]}, 0.75, [&] {
      const auto& corner = candidates.at(drawn++);
      return Box{.top = corner[0], .left = corner[1]};
    });
    EXPECT_EQ((std::vector<int64_t>{box.top, box.left}),
              item["chosen"].get<std::vector<int64_t>>());
  }
}

TEST(SegmentationPipelineDense, NormalizedAndPaddedIsTheSame) {
  const auto tensors = golden().tensors();
  const auto rows = tensors.at("resize0.image");
  const auto normalized = tensors.at("normalised");  // [3, H, W]
  const auto size = golden().json["flip_pad"]["size"].get<std::vector<int64_t>>();
  batch::SegmentationBatch batch{
      torch::full({2, 3, size[0], size[1]}, 77, torch::kByte),
      {},
      torch::tensor({rows.size(0), rows.size(1), size[0], size[1]}).view({2, 2}),
      {}};
  batch.image[0].slice(1, 0, rows.size(0)).slice(2, 0, rows.size(1)).copy_(rows.permute({2, 0, 1}));
  const auto images = batch::normalized_images(batch, torch::kCPU,
                                               {.mean = {123.675 / 255, 116.28 / 255, 103.53 / 255},
                                                .std = {58.395 / 255, 57.12 / 255, 57.375 / 255}});
  const double atol = golden().json["tolerance"]["normalised"]["atol"];
  EXPECT_TRUE(testing::near(images[0].slice(1, 0, rows.size(0)).slice(2, 0, rows.size(1)),
                            normalized, {0, atol}));
  EXPECT_EQ(images[0].slice(1, rows.size(0)).abs().max().item<float>(), 0.0F);
  const auto check = golden().json["flip_pad"]["image_check"];
  EXPECT_NEAR(images[0].sum().item<double>(), check["sum"].get<double>(), 0.05);
  EXPECT_NE(images[1].slice(1, rows.size(0)).abs().max().item<float>(), 0.0F);
}

TEST(SegmentationPipelineDense, FlippedLabelsArePaddedWithTheIgnoredOne) {
  const auto tensors = golden().tensors();
  const auto label = tensors.at("resize0.label");
  const auto expected = tensors.at("flipped_padded.label");
  auto padded = torch::full(expected.sizes(), kIgnored, torch::kByte);
  padded.slice(0, 0, label.size(0)).slice(1, 0, label.size(1)).copy_(label.flip(1));
  EXPECT_TRUE(testing::equal(padded, expected));
}

/// All at once, on an image smaller than the crop: what is beside it is padding.
TEST(SegmentationTransform, FillsWhatThereIsAndPadsTheRest) {
  const auto tensors = golden().tensors();
  const auto image = image_of(tensors.at("image"));
  const SegmentationTransformOptions options{.crop_size = 64,
                                             .resize_long = 80,
                                             .resize_short = 40,
                                             .scale = {1, 1},
                                             .flip_prob = 0,
                                             .photometric = false};
  Rng rng(0, 0, 0, kCrop);
  const SegmentationView view{torch::empty({3, 64, 64}, torch::kByte),
                              torch::empty({64, 64}, torch::kByte)};
  const auto size = segmentation_transform(image, tensors.at("label"), options, rng, view);
  const auto whole = size_within({image.height(), image.width()}, 80, 40);
  EXPECT_EQ(size, whole);
  const auto part = [&](const torch::Tensor& map) {
    return map.slice(-2, 0, size.height).slice(-1, 0, size.width);
  };
  EXPECT_TRUE(testing::equal(part(view.image), planes_of(linear_resized(image, whole))));
  EXPECT_TRUE(testing::equal(part(view.label), nearest_resized(tensors.at("label"), whole)));
  EXPECT_TRUE(view.label.slice(0, size.height).eq(kIgnored).all().item<bool>());
}

}  // namespace
}  // namespace ibot::data
