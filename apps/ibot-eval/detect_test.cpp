#include "ibot-eval/detect_test.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "common/output_folder.h"
#include "common/progress.h"
#include "ibot-eval/pictures.h"
#include "ibot/coco/results.h"
#include "ibot/codec/decode.h"
#include "ibot/data/picture_files.h"
#include "ibot/evaluation/detection.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

constexpr double kShownScore = 0.3;  // of detections that are drawn
constexpr int kPageQuality = 85;

std::string percent(double value) {
  return value < 0 ? "-" : concat(std::fixed, std::setprecision(1), value);
}

std::string console_table(const std::map<std::string, double>& metrics) {
  std::ostringstream text;
  text << std::left << std::setw(12) << "" << std::right << std::setw(8) << "box" << std::setw(8)
       << "mask" << '\n';
  for (const char* name : {"ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar_1",
                           "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"}) {
    text << std::left << std::setw(12) << name << std::right;
    for (const char* shape : {"box_", "mask_"}) {
      const auto found = metrics.find(concat(shape, name));
      text << std::setw(8) << percent(found == metrics.end() ? -1 : found->second);
    }
    text << '\n';
  }
  return text.str();
}

std::vector<metrics::Detection> of_image(const std::vector<metrics::Detection>& detections,
                                         int64_t id) {
  std::vector<metrics::Detection> found;
  for (const auto& detection : detections) {
    if (detection.image == id && detection.score >= kShownScore) found.push_back(detection);
  }
  return found;
}

}  // namespace

std::map<std::string, double> test_detector(const TaskRequest& request, const coco::ImageSet& set,
                                            detection::Detector& detector,
                                            std::vector<metrics::Detection>* detections) {
  const auto& config = request.weights.config;
  const auto& group = request.group;
  std::optional<Progress> progress;
  if (group.rank() == 0) {
    progress.emplace(ProgressOptions{.label = "test",
                                     .unit = "images",
                                     .total = set.images.size() / group.size(),
                                     .item = "images"});
  }
  auto found = evaluation::detect_in(detector, set,
                                     {.detect = config.detect,
                                      .data = config.run.data,
                                      .normalization = config.run.augment.normalization,
                                      .device = request.device,
                                      .group = group,
                                      .progress = [&](int64_t images) {
                                        if (progress) progress->update(images);
                                      }});
  if (progress) progress->finish();
  if (group.rank() == 0 && !request.output.empty()) {
    coco::write_results(request.output / "detections.json", found);
  }
  auto metrics = evaluation::detection_metrics(found, set.annotated);
  if (detections != nullptr) *detections = std::move(found);
  return metrics;
}

eval::Report detection_report(const TaskRequest& request, const coco::AnnotatedSet& set,
                              const std::vector<metrics::Detection>& detections) {
  using metrics::Shape;
  const auto of = [&](Shape shape, const char* prefix) {
    return evaluation::detection_quality(coco::truths_of(set, shape),
                                         coco::compared(detections, shape), set, shape, prefix);
  };
  const bool has_masks = std::any_of(detections.begin(), detections.end(),
                                     [](const auto& found) { return !found.mask.counts.empty(); });
  auto box = of(Shape::kBox, "box_");
  auto mask = has_masks ? of(Shape::kMask, "mask_") : evaluation::DetectionQuality();
  eval::Table table{"categories", {"category", "box AP", "mask AP"}, {}};
  for (size_t i = 0; i < set.categories.size(); ++i) {
    table.rows.push_back({set.categories[i].name, percent(box.category_ap[i]),
                          percent(has_masks ? mask.category_ap[i] : -1)});
  }
  eval::Report report{.task = "detect",
                      .metrics = std::move(box.metrics),
                      .options = eval::option_values(request.weights.config.detect),
                      .weights = {},
                      .data = {}};
  report.counts = {{"test_images", static_cast<int64_t>(set.images.size())},
                   {"classes", static_cast<int64_t>(set.categories.size())}};
  report.metrics.merge(mask.metrics);
  report.tables.push_back(std::move(table));
  report.table = console_table(report.metrics);
  return report;
}

std::vector<eval::Figure> draw_detections(const TaskRequest& request, const coco::ImageSet& set,
                                          const std::vector<metrics::Detection>& detections) {
  std::vector<eval::Figure> figures;
  const auto count = std::min<int64_t>(request.weights.config.detect.drawings, set.images.size());
  if (request.output.empty() || count == 0) return figures;
  const auto folder = request.output / "drawings";
  prepare_folder(folder);
  for (int64_t i = 0; i < count; ++i) {
    const auto& annotated = set.annotated.images[i];
    const auto image = data::decode(set.images.read(i), set.images.path(i),
                                    data::as_opencv(request.weights.config.run.data.decode));
    const auto picture =
        coco::drawn(image, of_image(detections, annotated.id), set.annotated.categories);
    const auto stem = std::filesystem::path(annotated.file).stem().string();
    io::write_file(folder / (stem + ".png"), data::png_bytes(picture));
    if (static_cast<int64_t>(figures.size()) < kShownPictures) {
      figures.push_back({stem, "image/jpeg", data::jpeg_bytes(picture, kPageQuality)});
    }
  }
  return figures;
}

}  // namespace ibot::apps
