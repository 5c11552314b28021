#include "ibot/data/synthesis.h"

#include <cmath>
#include <opencv2/imgproc.hpp>
#include <system_error>

#include "codec/jpeg_encode.h"
#include "data/drawing.h"
#include "ibot/base/rng.h"

namespace ibot::data {
namespace {

// Standard deviations in gray values: of an image's mean brightness, and of its pixels (minimum and
// maximum). The tint's length in RGB space is a fraction of these.
constexpr double kBrightness = 30.0;
constexpr double kMinContrast = 25.0;
constexpr double kMaxContrast = 50.0;
constexpr double kTint = 9.0;
constexpr double kHueSpread = 0.15;  // half-width, as a fraction of the step between two classes
constexpr int kJpegQuality = 92;

void write_class(const SynthesisOptions& options, Split split, int64_t label,
                 const std::filesystem::path& folder) {
  const int64_t count = split == Split::kTrain ? options.train_per_class : options.val_per_class;
  for (int64_t index = 0; index < count; ++index) {
    write_drawing(folder / (drawing_number(index) + ".jpg"),
                  encode_jpeg(draw_synthetic(options, split, label, index), kJpegQuality));
  }
}

}  // namespace

std::vector<std::string> tint_names(int64_t count) {
  std::vector<std::string> names;
  for (int64_t label = 0; label < count; ++label) {
    names.push_back(concat("tint_", label < 10 ? "0" : "", label));
  }
  return names;
}

Image draw_synthetic(const SynthesisOptions& options, Split split, int64_t label, int64_t index) {
  const auto sample = (static_cast<uint64_t>(label) << 32) | static_cast<uint64_t>(index);
  Rng rng(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(split), sample, kSynthesis);
  const auto size = static_cast<int>(options.size);
  const double brightness = 128.0 + kBrightness * rng.normal();
  const double contrast = rng.uniform(kMinContrast, kMaxContrast);
  const auto gray = clutter(size, rng);
  // Classes are hues: position, texture and brightness tell nothing about them.
  const double turn = (static_cast<double>(label) + rng.uniform(-kHueSpread, kHueSpread)) /
                      static_cast<double>(options.classes);
  const auto direction = tint_direction(turn);
  const auto strength = smooth_field(4, size, rng);
  Image image(options.size, options.size);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const double tint = kTint * (0.7 + 0.6 / (1.0 + std::exp(-strength.at<float>(y, x))));
      const double value = brightness + contrast * gray.at<float>(y, x);
      for (int c = 0; c < 3; ++c) {
        image.row(y)[3 * x + c] =
            cv::saturate_cast<uint8_t>(value + tint * direction[static_cast<size_t>(c)]);
      }
    }
  }
  return image;
}

void write_synthetic(const SynthesisOptions& options, const std::filesystem::path& root) {
  options.validate();
  const auto names = tint_names(options.classes);
  write_whole_folder(root, [&](const std::filesystem::path& partial) {
    for (const auto& [split, folder] : {std::pair{Split::kTrain, "train"}, {Split::kVal, "val"}}) {
      for (int64_t label = 0; label < options.classes; ++label) {
        write_class(options, split, label, partial / folder / names[static_cast<size_t>(label)]);
      }
    }
  });
}

}  // namespace ibot::data
