#include "ibot/coco/object_synthesis.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <opencv2/imgproc.hpp>

#include "codec/jpeg_encode.h"
#include "data/drawing.h"
#include "ibot/data/synthesis.h"

namespace ibot::coco {
namespace {

using Json = nlohmann::ordered_json;

// Gray levels: deviation of the brightness, strength of the clutter, and of an object's color.
constexpr double kBrightness = 20.0;
constexpr double kContrast = 25.0;
constexpr double kTint = 70.0;
constexpr int kTries = 30;    // to place an object beside the others
constexpr int kCorners = 24;  // of an ellipse's outline
constexpr int kJpegQuality = 95;

/// Corners of a shape around (0, 0) within a circle of radius 1.
std::vector<cv::Point2d> shape_of(Rng& rng) {
  const int64_t kind = rng.integer(0, 2);
  const int corners = kind == 0 ? kCorners : kind == 1 ? 4 : 3;
  const double flatness = rng.uniform(0.55, 1.0);
  const double turn = rng.uniform(0, 2 * std::numbers::pi);
  std::vector<cv::Point2d> outline;
  for (int i = 0; i < corners; ++i) {
    const double angle = 2 * std::numbers::pi * (i + 0.5) / corners;
    const double x = std::cos(angle);
    const double y = flatness * std::sin(angle);
    outline.emplace_back(x * std::cos(turn) - y * std::sin(turn),
                         x * std::sin(turn) + y * std::cos(turn));
  }
  return outline;
}

/// To hundredths of a pixel, as COCO's outlines are.
double rounded(double value) { return std::round(value * 100) / 100; }

/// A shape somewhere in the image, in whole.
Object draw_object(const ObjectSynthesisOptions& options, Rng& rng) {
  const auto side = static_cast<double>(options.size);
  const double radius = rng.uniform(side / 8, side / 4);
  const double x = rng.uniform(radius, side - radius);
  const double y = rng.uniform(radius, side - radius);
  Object object{.label = rng.integer(0, options.classes - 1)};
  std::vector<double> outline;
  for (const auto& corner : shape_of(rng)) {
    outline.push_back(rounded(x + radius * corner.x));
    outline.push_back(rounded(y + radius * corner.y));
  }
  object.segmentation.outlines = {outline};
  // Box and area are those of the mask that readers will make of the outline.
  const auto mask = mask_of(object.segmentation, options.size, options.size);
  object.box = metrics::box_of(mask);
  object.area = static_cast<double>(metrics::area_of(mask));
  return object;
}

bool meet(const metrics::Box& a, const metrics::Box& b) {
  return a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3];
}

std::vector<Object> place_objects(const ObjectSynthesisOptions& options, Rng& rng) {
  std::vector<Object> objects;
  const int64_t wanted = rng.integer(1, options.objects);
  for (int tries = 0; tries < kTries && static_cast<int64_t>(objects.size()) < wanted; ++tries) {
    auto object = draw_object(options, rng);
    const bool free = std::none_of(objects.begin(), objects.end(),
                                   [&](const auto& other) { return meet(object.box, other.box); });
    // Objects do not overlap: each mask is whole.
    if (free) objects.push_back(std::move(object));
  }
  return objects;
}

Json annotation_of(const Object& object, int64_t id, int64_t image) {
  return {{"id", id},
          {"image_id", image},
          {"category_id", object.label + 1},
          {"bbox", object.box},
          {"area", object.area},
          {"iscrowd", 0},
          {"segmentation", object.segmentation.outlines}};
}

std::vector<uint8_t> bytes_of(const Json& json) {
  const auto text = json.dump();
  return {text.begin(), text.end()};
}

void write_split(const ObjectSynthesisOptions& options, data::Split split, const std::string& name,
                 const std::filesystem::path& root) {
  Json file{
      {"images", Json::array()}, {"annotations", Json::array()}, {"categories", Json::array()}};
  const auto names = data::tint_names(options.classes);
  for (size_t i = 0; i < names.size(); ++i) {
    file["categories"].push_back({{"id", i + 1}, {"name", names[i]}});
  }
  const int64_t count = split == data::Split::kTrain ? options.train : options.val;
  for (int64_t i = 0; i < count; ++i) {
    const auto scene = draw_objects(options, split, i);
    const auto picture = "objects_" + data::drawing_number(i) + ".jpg";
    file["images"].push_back(
        {{"id", i + 1}, {"file_name", picture}, {"height", options.size}, {"width", options.size}});
    for (const auto& object : scene.objects) {
      file["annotations"].push_back(
          annotation_of(object, static_cast<int64_t>(file["annotations"].size()) + 1, i + 1));
    }
    data::write_drawing(root / name / picture, data::encode_jpeg(scene.image, kJpegQuality));
  }
  data::write_drawing(root / "annotations" / ("instances_" + name + ".json"), bytes_of(file));
}

}  // namespace

ObjectScene draw_objects(const ObjectSynthesisOptions& options, data::Split split, int64_t index) {
  Rng rng(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(split),
          static_cast<uint64_t>(index), kSynthesis + 2);
  ObjectScene scene{data::Image(options.size, options.size), place_objects(options, rng)};
  const auto gray = data::clutter(static_cast<int>(options.size), rng);
  const double brightness = 128.0 + kBrightness * rng.normal();
  auto tint = torch::zeros({options.size, options.size, 3});
  for (const auto& object : scene.objects) {
    const auto direction = data::tint_direction(static_cast<double>(object.label) /
                                                static_cast<double>(options.classes));
    const auto mask =
        metrics::decode_runs(mask_of(object.segmentation, options.size, options.size)).ne(0);
    const auto color = torch::tensor({direction[0], direction[1], direction[2]}, torch::kFloat);
    tint = torch::where(mask.unsqueeze(2), color, tint);
  }
  const auto colors = tint.accessor<float, 3>();
  for (int y = 0; y < options.size; ++y) {
    for (int x = 0; x < options.size; ++x) {
      const double value = brightness + kContrast * gray.at<float>(y, x);
      for (int c = 0; c < 3; ++c) {
        scene.image.row(y)[3 * x + c] = cv::saturate_cast<uint8_t>(value + kTint * colors[y][x][c]);
      }
    }
  }
  return scene;
}

void write_objects(const ObjectSynthesisOptions& options, const std::filesystem::path& root) {
  options.validate();
  data::write_whole_folder(root, [&](const std::filesystem::path& partial) {
    write_split(options, data::Split::kTrain, "train2017", partial);
    write_split(options, data::Split::kVal, "val2017", partial);
  });
}

}  // namespace ibot::coco
