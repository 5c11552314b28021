#include "ibot/data/scene_synthesis.h"

#include <cmath>
#include <opencv2/imgproc.hpp>

#include "codec/jpeg_encode.h"
#include "data/drawing.h"
#include "ibot/data/index_map.h"
#include "ibot/data/synthesis.h"

namespace ibot::data {
namespace {

// In gray levels, as in synthesis.cpp.
constexpr double kBrightness = 25.0;
constexpr double kMinContrast = 15.0;
constexpr double kMaxContrast = 40.0;
constexpr double kTint = 24.0;
constexpr double kBorder = 1.0;  // half-width of what counts nowhere, in pixels
constexpr int kJpegQuality = 95;

struct Region {
  double y = 0;
  double x = 0;
  int64_t label = 0;
};

std::vector<Region> draw_regions(const SceneSynthesisOptions& options, Rng& rng) {
  std::vector<Region> regions(static_cast<size_t>(options.regions));
  const auto side = static_cast<double>(options.size);
  for (auto& region : regions) {
    // Points of a Voronoi diagram, whose cells are the regions.
    region = {rng.uniform(0, side), rng.uniform(0, side), rng.integer(1, options.classes)};
  }
  return regions;
}

/// The class of the nearest point; 0 where two of different classes are about as near.
int64_t label_at(const std::vector<Region>& regions, double y, double x) {
  const auto distance = [&](const Region& region) {
    return std::hypot(region.y - y, region.x - x);
  };
  const Region* nearest = &regions.front();
  for (const auto& region : regions) {
    if (distance(region) < distance(*nearest)) nearest = &region;
  }
  for (const auto& region : regions) {
    if (region.label != nearest->label && distance(region) - distance(*nearest) < 2 * kBorder) {
      return 0;
    }
  }
  return nearest->label;
}

void write_split(const SceneSynthesisOptions& options, Split split, const char* name,
                 const std::filesystem::path& root) {
  const auto count = split == Split::kTrain ? options.train : options.val;
  for (int64_t i = 0; i < count; ++i) {
    const auto scene = draw_scene(options, split, i);
    const auto stem = "scene_" + drawing_number(i);
    write_drawing(root / "images" / name / (stem + ".jpg"), encode_jpeg(scene.image, kJpegQuality));
    write_drawing(root / "annotations" / name / (stem + ".png"), index_png(scene.label));
  }
}

}  // namespace

Scene draw_scene(const SceneSynthesisOptions& options, Split split, int64_t index) {
  Rng rng(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(split),
          static_cast<uint64_t>(index), kSynthesis + 1);
  const auto regions = draw_regions(options, rng);
  const auto gray = clutter(static_cast<int>(options.size), rng);
  const double brightness = 128.0 + kBrightness * rng.normal();
  const double contrast = rng.uniform(kMinContrast, kMaxContrast);
  Scene scene{Image(options.size, options.size),
              torch::empty({options.size, options.size}, torch::kByte)};
  auto labels = scene.label.accessor<uint8_t, 2>();
  for (int y = 0; y < options.size; ++y) {
    for (int x = 0; x < options.size; ++x) {
      const auto label = label_at(regions, y, x);
      const auto hue = static_cast<double>(label) / static_cast<double>(options.classes);
      const auto direction = tint_direction(hue);
      const double tint = label == 0 ? 0.0 : kTint;
      const double value = brightness + contrast * gray.at<float>(y, x);
      for (size_t c = 0; c < 3; ++c) {
        scene.image.row(y)[3 * x + static_cast<int>(c)] =
            cv::saturate_cast<uint8_t>(value + tint * direction[c]);
      }
      labels[y][x] = static_cast<uint8_t>(label);
    }
  }
  return scene;
}

void write_scenes(const SceneSynthesisOptions& options, const std::filesystem::path& root) {
  options.validate();
  write_whole_folder(root, [&](const std::filesystem::path& partial) {
    write_split(options, Split::kTrain, "training", partial);
    write_split(options, Split::kVal, "validation", partial);
    std::string names;
    for (const auto& name : tint_names(options.classes)) names += name + "\n";
    write_drawing(partial / "classes.txt", {names.begin(), names.end()});
  });
}

}  // namespace ibot::data
