#include "ibot/coco/results.h"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <opencv2/imgproc.hpp>
#include <sstream>

#include "ibot/base/error.h"
#include "ibot/io/file.h"

namespace ibot::coco {
namespace {

constexpr double kTint = 0.45;  // of a mask over the image
constexpr double kTextScale = 0.45;

/// Far apart for neighboring categories.
cv::Scalar color_of(int64_t label) {
  // Hue in OpenCV's half degrees; 67 and 180 have no common divisor.
  cv::Mat pixel(1, 1, CV_8UC3, cv::Scalar(static_cast<double>(label * 67 % 180), 200, 255));
  cv::cvtColor(pixel, pixel, cv::COLOR_HSV2RGB);
  const auto color = pixel.at<cv::Vec3b>(0, 0);
  return {static_cast<double>(color[0]), static_cast<double>(color[1]),
          static_cast<double>(color[2])};
}

void tint(cv::Mat& pixels, const metrics::RunLengthMask& mask, const cv::Scalar& color) {
  const auto set = metrics::decode_runs(mask);
  const cv::Mat where(pixels.rows, pixels.cols, CV_8UC1, set.mutable_data_ptr<uint8_t>());
  const cv::Mat plain(pixels.size(), CV_8UC3, color);
  cv::Mat mixed;
  cv::addWeighted(pixels, 1 - kTint, plain, kTint, 0, mixed);
  mixed.copyTo(pixels, where);
}

void outline(cv::Mat& pixels, const metrics::Detection& detection, const std::string& name,
             const cv::Scalar& color) {
  const cv::Point corner(static_cast<int>(detection.box[0]), static_cast<int>(detection.box[1]));
  const cv::Point end(static_cast<int>(detection.box[0] + detection.box[2]),
                      static_cast<int>(detection.box[1] + detection.box[3]));
  cv::rectangle(pixels, corner, end, color, 2);
  std::ostringstream text;
  text << name << ' ' << std::fixed << std::setprecision(2) << detection.score;
  const cv::Point base(std::max(corner.x, 0) + 2, std::max(corner.y - 4, 12));
  // Black below the color, so that it can be read on any background.
  cv::putText(pixels, text.str(), base, cv::FONT_HERSHEY_SIMPLEX, kTextScale, {0, 0, 0}, 3);
  cv::putText(pixels, text.str(), base, cv::FONT_HERSHEY_SIMPLEX, kTextScale, color, 1);
}

}  // namespace

metrics::RunLengthMask placed_runs(const torch::Tensor& window, int64_t top, int64_t left,
                                   int64_t height, int64_t width) {
  const auto columns = window.t().contiguous();  // [w, h]
  const bool* pixel = columns.const_data_ptr<bool>();
  const int64_t rows = columns.size(1);
  metrics::RunLengthMask mask{height, width, {}};
  int64_t last = 0;
  bool value = false;
  const auto turn = [&](int64_t position, bool to) {
    if (to == value) return;
    mask.counts.push_back(static_cast<uint32_t>(position - last));
    last = position;
    value = to;
  };
  for (int64_t x = 0; x < columns.size(0); ++x) {
    // Runs go down the columns of the whole image.
    const int64_t start = (left + x) * height + top;
    for (int64_t y = 0; y < rows; ++y) turn(start + y, *pixel++);
    // A run that reaches the border goes on in the next column.
    if (rows < height || x + 1 == columns.size(0)) turn(start + rows, false);
  }
  mask.counts.push_back(static_cast<uint32_t>(height * width - last));
  // No empty run at the end.
  if (mask.counts.back() == 0 && mask.counts.size() > 1) mask.counts.pop_back();
  return mask;
}

void write_results(const std::filesystem::path& file,
                   const std::vector<metrics::Detection>& detections) {
  std::string text = "[";
  for (const auto& detection : detections) {
    nlohmann::ordered_json entry{{"image_id", detection.image},
                                 {"category_id", detection.category},
                                 {"bbox", detection.box},
                                 {"score", detection.score}};
    if (!detection.mask.counts.empty()) {
      entry["segmentation"] = {{"size", {detection.mask.height, detection.mask.width}},
                               {"counts", metrics::runs_to_text(detection.mask)}};
    }
    text += text.size() > 1 ? ",\n" : "\n";
    text += entry.dump();
  }
  io::write_file(file, text + "\n]\n");
}

data::Image drawn(const data::Image& image, const std::vector<metrics::Detection>& detections,
                  const std::vector<Category>& categories) {
  data::Image picture(image.height(), image.width());
  std::copy_n(image.row(0), 3 * image.height() * image.width(), picture.row(0));
  cv::Mat pixels(static_cast<int>(image.height()), static_cast<int>(image.width()), CV_8UC3,
                 picture.row(0));
  const auto label_of = [&](int64_t id) {
    return std::find_if(categories.begin(), categories.end(),
                        [&](const auto& category) { return category.id == id; }) -
           categories.begin();
  };
  // Masks first, so that no tint covers a box or a name.
  for (const auto& detection : detections) {
    if (!detection.mask.counts.empty()) {
      tint(pixels, detection.mask, color_of(label_of(detection.category)));
    }
  }
  for (const auto& detection : detections) {
    const auto label = label_of(detection.category);
    outline(pixels, detection, categories.at(label).name, color_of(label));
  }
  return picture;
}

}  // namespace ibot::coco
