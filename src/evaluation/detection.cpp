#include "ibot/evaluation/detection.h"

#include <algorithm>
#include <cmath>

#include "evaluation/shared_detections.h"
#include "ibot/boxes/roi_align.h"
#include "ibot/coco/results.h"
#include "ibot/coco/view.h"
#include "ibot/eval/detect_step.h"
#include "ibot/image/linear_resize.h"
#include "ibot/loading/picture_loader.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"

namespace ibot::evaluation {
namespace {

/// mmdetection's size_divisor in tests.
constexpr int64_t kDivisor = 32;
constexpr double kMaskThreshold = 0.5;

int64_t rounded_up(int64_t value) { return (value + kDivisor - 1) / kDivisor * kDivisor; }

/// [3, H, W]
torch::Tensor pixels_of(const data::Image& image) {
  return torch::from_blob(const_cast<uint8_t*>(image.row(0)), {image.height(), image.width(), 3},
                          torch::kByte)
      .permute({2, 0, 1})
      .contiguous();
}

/// One image as a padded batch.
torch::Tensor padded_batch(const torch::Tensor& pixels, const DetectionTestOptions& options) {
  auto batch =
      torch::zeros({1, 3, rounded_up(pixels.size(1)), rounded_up(pixels.size(2))}, torch::kByte);
  batch[0].slice(1, 0, pixels.size(1)).slice(2, 0, pixels.size(2)).copy_(pixels);
  const auto size = torch::tensor({{pixels.size(1), pixels.size(2)}}, torch::kLong);
  return batch::padded_normalized(batch.to(options.device), size, options.normalization);
}

/// The pixels of one mask, drawn within its box alone.
metrics::RunLengthMask pasted(const torch::Tensor& probabilities, const torch::Tensor& box,
                              const coco::AnnotatedImage& image) {
  const auto* side = box.const_data_ptr<float>();
  // A pixel more on each side: sampling reaches half a cell beyond the box.
  const auto from = [](float low, int64_t size) {
    return std::clamp<int64_t>(static_cast<int64_t>(std::floor(low)) - 1, 0, size);
  };
  const auto to = [](float high, int64_t size) {
    return std::clamp<int64_t>(static_cast<int64_t>(std::ceil(high)) + 1, 0, size);
  };
  const int64_t left = from(side[0], image.width);
  const int64_t top = from(side[1], image.height);
  const int64_t width = std::max<int64_t>(to(side[2], image.width) - left, 1);
  const int64_t height = std::max<int64_t>(to(side[3], image.height) - top, 1);
  const auto offset = torch::tensor({left, top, left, top}, torch::kFloat);
  const auto window =
      boxes::paste(probabilities.unsqueeze(0), (box - offset).unsqueeze(0), height, width)[0].ge(
          kMaskThreshold);
  return coco::placed_runs(window, std::min(top, image.height - height),
                           std::min(left, image.width - width), image.height, image.width);
}

std::vector<metrics::Detection> found_in(detection::Detector& detector, const torch::Tensor& pixels,
                                         const coco::AnnotatedSet& set, int64_t number,
                                         const DetectionTestOptions& options) {
  const auto& image = set.images[number];
  const detection::ImageScale scale{
      0,
      {pixels.size(1), pixels.size(2)},
      coco::scale_factors({image.height, image.width}, {pixels.size(1), pixels.size(2)})
          .to(options.device)};
  detection::CascadePrediction found;
  {
    const nn::AutocastScope autocast(
        options.device.type(), optim::autocast_dtype(options.detect.run.precision, options.device));
    found = detector->predict(detector->levels(padded_batch(pixels, options)), scale,
                              eval::prediction_options(options.detect));
  }
  const auto boxes = found.found.boxes.to(torch::kCPU, torch::kFloat).contiguous();
  const auto scores = found.found.scores.to(torch::kCPU, torch::kDouble);
  const auto labels = found.found.labels.cpu();
  const auto masks = found.masks.to(torch::kCPU, torch::kFloat);
  std::vector<metrics::Detection> detections;
  for (int64_t i = 0; i < labels.numel(); ++i) {
    const auto* box = boxes.const_data_ptr<float>() + 4 * i;
    detections.push_back({.image = image.id,
                          .category = set.categories[labels[i].item<int64_t>()].id,
                          .score = scores[i].item<double>(),
                          // COCO's boxes are x, y, width, height.
                          .box = {box[0], box[1], box[2] - box[0], box[3] - box[1]},
                          .mask = pasted(masks[i], boxes[i], image)});
  }
  return detections;
}

const char* const kNames[] = {"ap",   "ap50",  "ap75",   "ap_small", "ap_medium", "ap_large",
                              "ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"};

}  // namespace

std::vector<metrics::Detection> detect_in(detection::Detector& detector, const coco::ImageSet& set,
                                          const DetectionTestOptions& options) {
  const torch::NoGradGuard no_grad;
  const auto size = options.detect.test_size;
  const auto& group = options.group;
  // Contiguous slices, nearly equal, without an image twice.
  const int64_t begin = set.images.size() * group.rank() / group.size();
  const int64_t end = set.images.size() * (group.rank() + 1) / group.size();
  data::PictureLoader loader(
      set.images,
      {.framing =
           [&](const data::Image& image, int64_t sample) {
             coco::check_size({image.height(), image.width()}, set.annotated.images[sample]);
             return pixels_of(data::linear_resized(
                 image, data::size_within({image.height(), image.width()}, size[1], size[0])));
           },
       .decode = data::as_opencv(options.data.decode),
       .begin = begin,
       .end = end,
       .batch_size = 1,
       .workers = options.data.workers,
       .prefetch_batches = options.data.prefetch_batches});
  std::vector<metrics::Detection> detections;
  for (int64_t image = begin; auto pictures = loader.next(); ++image) {
    for (auto& found : found_in(detector, pictures->front(), set.annotated, image, options)) {
      detections.push_back(std::move(found));
    }
    options.progress(image + 1 - begin);
  }
  return shared_detections(detections, group);
}

DetectionQuality detection_quality(const std::vector<metrics::Truth>& truths,
                                   const std::vector<metrics::Detection>& detections,
                                   const coco::AnnotatedSet& set, metrics::Shape shape,
                                   const std::string& prefix) {
  const auto found = metrics::average_precision(truths, detections, coco::image_ids(set),
                                                coco::category_ids(set), {.shape = shape});
  DetectionQuality quality;
  const auto numbers = found.summary();
  for (size_t i = 0; i < numbers.size(); ++i) {
    // -1: no object of that size.
    if (numbers[i] >= 0) quality.metrics[prefix + kNames[i]] = 100 * numbers[i];
  }
  for (size_t i = 0; i < found.categories.size(); ++i) {
    const double ap = found.category_ap(static_cast<int64_t>(i));
    quality.category_ap.push_back(ap < 0 ? ap : 100 * ap);
  }
  return quality;
}

std::map<std::string, double> detection_metrics(const std::vector<metrics::Detection>& detections,
                                                const coco::AnnotatedSet& set) {
  std::map<std::string, double> metrics;
  for (const auto& [shape, prefix] :
       {std::pair{metrics::Shape::kBox, "box_"}, {metrics::Shape::kMask, "mask_"}}) {
    metrics.merge(detection_quality(coco::truths_of(set, shape), coco::compared(detections, shape),
                                    set, shape, prefix)
                      .metrics);
  }
  return metrics;
}

}  // namespace ibot::evaluation
