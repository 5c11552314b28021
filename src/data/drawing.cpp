#include "data/drawing.h"

#include <cerrno>
#include <cmath>
#include <fstream>
#include <numbers>
#include <opencv2/imgproc.hpp>
#include <system_error>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

constexpr int kBlocks = 6;

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

cv::Mat smooth_field(int grid, int size, Rng& rng) {
  cv::Mat coarse(grid, grid, CV_32FC1);
  for (int y = 0; y < grid; ++y) {
    for (int x = 0; x < grid; ++x) coarse.at<float>(y, x) = static_cast<float>(rng.normal());
  }
  cv::Mat field;
  cv::resize(coarse, field, {size, size}, 0, 0, cv::INTER_CUBIC);
  return field;
}

cv::Mat clutter(int size, Rng& rng) {
  cv::Mat gray = smooth_field(4, size, rng) + 0.6 * smooth_field(9, size, rng);
  for (int block = 0; block < kBlocks; ++block) {
    const auto length = [&] { return static_cast<int>(rng.integer(size / 8, size / 2 - 1)); };
    const auto corner = [&] { return static_cast<int>(rng.integer(0, size - 1)); };
    const cv::Rect place(corner(), corner(), length(), length());
    // Only the part within the picture.
    gray(place & cv::Rect(0, 0, size, size)) += 0.9 * rng.normal();
  }
  cv::Scalar mean, deviation;
  cv::meanStdDev(gray, mean, deviation);
  return (gray - mean) / deviation[0];
}

std::array<double, 3> tint_direction(double turn) {
  const double angle = 2.0 * std::numbers::pi * turn;
  const double u = std::cos(angle) / std::numbers::sqrt2;
  const double v = std::sin(angle) / std::sqrt(6.0);
  // (1, -1, 0) / √2 and (1, 1, -2) / √6 span the plane of colors without luminance.
  return {u + v, v - u, -2.0 * v};
}

std::string drawing_number(int64_t index) {
  auto number = std::to_string(index);
  number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
  return number;
}

void write_drawing(const std::filesystem::path& path, const std::vector<uint8_t>& content) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  IBOT_CHECK(!error, path.parent_path().string(), ": ", error.message());
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(content.data()),
             static_cast<std::streamsize>(content.size()));
  file.close();
  IBOT_CHECK(file, path.string(), ": ", std::system_category().message(errno));
}

void write_whole_folder(const std::filesystem::path& root,
                        const std::function<void(const std::filesystem::path& partial)>& write) {
  require_empty(root);
  const std::filesystem::path partial = without_slash(root).string() + ".partial";
  std::error_code error;
  std::filesystem::remove_all(partial, error);
  write(partial);
  std::filesystem::rename(partial, root, error);
  IBOT_CHECK(!error, root.string(), ": ", error.message());
}

}  // namespace ibot::data
