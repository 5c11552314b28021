#include "ibot/coco/view.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "ibot/base/error.h"
#include "ibot/image/linear_resize.h"

namespace ibot::coco {
namespace {

int to_int(int64_t value) { return static_cast<int>(value); }

cv::Mat mat_of(const torch::Tensor& pixels, int type) {
  return {to_int(pixels.size(0)), to_int(pixels.size(1)), type, pixels.mutable_data_ptr<uint8_t>()};
}

torch::Tensor resized_image(const torch::Tensor& image, data::ImageSize size) {
  auto out = torch::empty({size.height, size.width, 3}, torch::kByte);
  auto to = mat_of(out, CV_8UC3);
  // mmcv's imresize: bilinear on 8 bits, without antialiasing.
  cv::resize(mat_of(image, CV_8UC3), to, to.size(), 0, 0, cv::INTER_LINEAR);
  return out;
}

torch::Tensor resized_masks(const torch::Tensor& masks, data::ImageSize size) {
  auto out = torch::empty({masks.size(0), size.height, size.width}, torch::kByte);
  for (int64_t i = 0; i < masks.size(0); ++i) out[i].copy_(data::nearest_resized(masks[i], size));
  return out;
}

torch::Tensor clipped(const torch::Tensor& boxes, data::ImageSize size) {
  const auto limits =
      torch::tensor({size.width, size.height, size.width, size.height}, torch::kFloat);
  return boxes.clamp_min(0).minimum(limits);
}

int64_t one_of(const std::vector<int64_t>& lengths, Rng& rng) {
  return lengths[rng.index(lengths.size())];
}

/// A crop of random sides at a random place.
data::Box random_crop(data::ImageSize size, const ViewOptions& options, Rng& rng) {
  const auto side = [&](int64_t whole) {
    // Both ends included; images smaller than the range are kept whole.
    return rng.integer(std::min(whole, options.crop_sides[0]),
                       std::min(whole, options.crop_sides[1]));
  };
  data::Box box;
  box.height = side(size.height);
  box.width = side(size.width);
  box.top = rng.integer(0, size.height - box.height);
  box.left = rng.integer(0, size.width - box.width);
  return box;
}

}  // namespace

bool is_trained(const Object& object, const AnnotatedImage& image) {
  const auto [x, y, width, height] = object.box;
  // mmdetection's rules: boxes that touch the image, of an area and at least a pixel; no crowds.
  const double inside_x = std::min(x + width, static_cast<double>(image.width)) - std::max(x, 0.0);
  const double inside_y =
      std::min(y + height, static_cast<double>(image.height)) - std::max(y, 0.0);
  return !object.crowd && !object.ignored && !object.segmentation.empty() && inside_x > 0 &&
         inside_y > 0 && object.area > 0 && width >= 1 && height >= 1;
}

void check_size(data::ImageSize size, const AnnotatedImage& annotated) {
  IBOT_CHECK_AS(DataError, size.height == annotated.height && size.width == annotated.width,
                annotated.file, ": expected ", annotated.width, " x ", annotated.height,
                " pixels as annotated, got ", size.width, " x ", size.height,
                "; the file is another one, or its annotations ignore that it is turned");
}

View view_of(const data::Image& image, const AnnotatedSet& set, int64_t number) {
  const auto& known = set.images[number];
  check_size({image.height(), image.width()}, known);
  std::vector<torch::Tensor> boxes, masks;
  std::vector<int64_t> labels;
  for (const auto& object : set.objects[number]) {
    if (!is_trained(object, known)) continue;
    const auto [x, y, width, height] = object.box;
    boxes.push_back(torch::tensor({x, y, x + width, y + height}, torch::kFloat));
    labels.push_back(object.label);
    masks.push_back(metrics::decode_runs(mask_of(object.segmentation, known.height, known.width)));
  }
  View view;
  view.image = torch::empty({known.height, known.width, 3}, torch::kByte);
  std::copy_n(image.row(0), view.image.numel(), view.image.mutable_data_ptr<uint8_t>());
  view.boxes = boxes.empty() ? torch::empty({0, 4}) : torch::stack(boxes);
  view.labels = torch::tensor(labels, torch::kLong);
  view.masks = masks.empty() ? torch::empty({0, known.height, known.width}, torch::kByte)
                             : torch::stack(masks);
  return view;
}

torch::Tensor scale_factors(data::ImageSize from, data::ImageSize to) {
  const double x = static_cast<double>(to.width) / static_cast<double>(from.width);
  const double y = static_cast<double>(to.height) / static_cast<double>(from.height);
  // One factor for each axis: sides are rounded to whole pixels, so that they differ a little.
  return torch::tensor({x, y, x, y}, torch::kFloat);
}

View resized(const View& view, data::ImageSize size) {
  return {resized_image(view.image, size),
          clipped(view.boxes * scale_factors(view.size(), size), size), view.labels,
          resized_masks(view.masks, size)};
}

View flipped(const View& view) {
  const auto width = static_cast<float>(view.size().width);
  const auto corners = view.boxes.unbind(1);
  return {view.image.flip(1).contiguous(),
          torch::stack({width - corners[2], corners[1], width - corners[0], corners[3]}, 1),
          view.labels, view.masks.flip(2).contiguous()};
}

View cropped(const View& view, const data::Box& box) {
  const auto offset = torch::tensor({box.left, box.top, box.left, box.top}, torch::kFloat);
  const auto boxes = clipped(view.boxes - offset, {box.height, box.width});
  // Objects that the crop leaves out go; an empty result is allowed.
  const auto left = (boxes.select(1, 2) > boxes.select(1, 0))
                        .logical_and(boxes.select(1, 3) > boxes.select(1, 1))
                        .nonzero()
                        .view({-1});
  const auto window = [&](const torch::Tensor& pixels, int64_t rows) {
    return pixels.narrow(rows, box.top, box.height)
        .narrow(rows + 1, box.left, box.width)
        .contiguous();
  };
  return {window(view.image, 0), boxes.index_select(0, left), view.labels.index_select(0, left),
          window(view.masks.index_select(0, left), 1)};
}

View training_view(View view, const ViewOptions& options, Rng& rng) {
  if (rng.uniform() < options.flip_prob) view = flipped(view);
  // DETR's second policy: resize, crop, and then as all.
  if (rng.uniform() < options.crop_prob) {
    view = resized(view, data::size_within(view.size(), options.long_side,
                                           one_of(options.crop_short_sides, rng)));
    view = cropped(view, random_crop(view.size(), options, rng));
  }
  return resized(
      view, data::size_within(view.size(), options.long_side, one_of(options.short_sides, rng)));
}

}  // namespace ibot::coco
