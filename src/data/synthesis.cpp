#include "ibot/data/synthesis.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <numbers>
#include <opencv2/imgproc.hpp>
#include <system_error>

#include "codec/jpeg_encode.h"
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
constexpr int kBlocks = 6;
constexpr int kJpegQuality = 92;

/// A smooth field: normal draws on a coarse grid, interpolated.
cv::Mat smooth_field(int grid, int size, Rng& rng) {
  cv::Mat coarse(grid, grid, CV_32FC1);
  for (int y = 0; y < grid; ++y) {
    for (int x = 0; x < grid; ++x) coarse.at<float>(y, x) = static_cast<float>(rng.normal());
  }
  cv::Mat field;
  cv::resize(coarse, field, {size, size}, 0, 0, cv::INTER_CUBIC);
  return field;
}

/// Gray clutter of mean 0 and standard deviation 1: shading at two scales and axis-aligned blocks.
cv::Mat clutter(int size, Rng& rng) {
  cv::Mat gray = smooth_field(4, size, rng) + 0.6 * smooth_field(9, size, rng);
  for (int block = 0; block < kBlocks; ++block) {
    const auto length = [&] { return static_cast<int>(rng.integer(size / 8, size / 2 - 1)); };
    const auto corner = [&] { return static_cast<int>(rng.integer(0, size - 1)); };
    const cv::Rect place(corner(), corner(), length(), length());
    gray(place & cv::Rect(0, 0, size, size)) += 0.9 * rng.normal();
  }
  cv::Scalar mean, deviation;
  cv::meanStdDev(gray, mean, deviation);
  return (gray - mean) / deviation[0];
}

/// Unit vector of a hue in RGB space, orthogonal to the gray axis: tints leave luminance unchanged.
std::array<double, 3> tint_direction(double turn) {
  const double angle = 2.0 * std::numbers::pi * turn;
  const double u = std::cos(angle) / std::numbers::sqrt2;
  const double v = std::sin(angle) / std::sqrt(6.0);
  return {u + v, v - u, -2.0 * v};
}

void write_file(const std::filesystem::path& path, const std::vector<uint8_t>& content) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(content.data()),
             static_cast<std::streamsize>(content.size()));
  file.close();
  IBOT_CHECK(file, path.string(), ": ", std::system_category().message(errno));
}

void write_class(const SynthesisOptions& options, Split split, int64_t label,
                 const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  IBOT_CHECK(!error, folder.string(), ": ", error.message());
  const int64_t count = split == Split::kTrain ? options.train_per_class : options.val_per_class;
  for (int64_t index = 0; index < count; ++index) {
    auto name = std::to_string(index);
    name.insert(0, name.size() < 4 ? 4 - name.size() : 0, '0');
    write_file(folder / (name + ".jpg"),
               encode_jpeg(draw_synthetic(options, split, label, index), kJpegQuality));
  }
}

void require_empty(const std::filesystem::path& root) {
  if (!std::filesystem::exists(root)) return;
  IBOT_CHECK_AS(DataError, std::filesystem::is_directory(root), root.string(),
                ": expected a new or empty folder, got a file");
  IBOT_CHECK_AS(DataError, std::filesystem::is_empty(root), root.string(),
                ": expected a new or empty folder, got one with files; name another or remove it");
}

std::filesystem::path without_slash(const std::filesystem::path& path) {
  return path.has_filename() ? path : path.parent_path();
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
  require_empty(root);
  // Written to a temporary folder, so that an interrupted set is never taken for a complete one.
  const std::filesystem::path partial = without_slash(root).string() + ".partial";
  std::error_code error;
  std::filesystem::remove_all(partial, error);
  const auto names = tint_names(options.classes);
  for (const auto& [split, folder] : {std::pair{Split::kTrain, "train"}, {Split::kVal, "val"}}) {
    for (int64_t label = 0; label < options.classes; ++label) {
      write_class(options, split, label, partial / folder / names[static_cast<size_t>(label)]);
    }
  }
  std::filesystem::rename(partial, root, error);
  IBOT_CHECK(!error, root.string(), ": ", error.message());
}

}  // namespace ibot::data
