#include "ibot/data/synthesis.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <numbers>
#include <opencv2/imgcodecs.hpp>
#include <string_view>
#include <system_error>

#include "ibot/base/rng.h"

namespace ibot::data {
namespace {

// Lengths are in units of the lattice's cell, so that a larger picture shows the same marks larger.
constexpr double kCellsAcross = 4.0;
constexpr double kJitter = 0.2;
constexpr double kMinRadius = 0.3;
constexpr double kMaxRadius = 0.4;
constexpr double kStroke = 0.28;
constexpr int kShadingWaves = 4;
constexpr double kShading = 0.5;
constexpr double kGrain = 0.05;
constexpr double kMean = 128.0;
constexpr double kDeviation = 36.0;
constexpr int kJpegQuality = 92;

// Signed distances from a mark of radius 1 around the origin, negative inside.

double stroke(double along, double across) {
  return std::hypot(std::max(std::abs(along) - 1.0, 0.0), across) - kStroke;
}
double horizontal(double x, double y) { return stroke(x, y); }
double vertical(double x, double y) { return stroke(y, x); }
double slash(double x, double y) {
  return stroke((x + y) / std::numbers::sqrt2, (x - y) / std::numbers::sqrt2);
}
double plus(double x, double y) { return std::min(stroke(x, y), stroke(y, x)); }
double cross(double x, double y) { return std::min(slash(x, y), slash(x, -y)); }
double ring(double x, double y) { return std::abs(std::hypot(x, y) - 0.9) - 0.8 * kStroke; }
double disc(double x, double y) { return std::hypot(x, y) - 0.95; }
double frame(double x, double y) {
  return std::abs(std::max(std::abs(x), std::abs(y)) - 0.9) - 0.8 * kStroke;
}
double rungs(double x, double y) { return stroke(x, std::abs(y) - 0.6); }
double rails(double x, double y) { return stroke(y, std::abs(x) - 0.6); }

struct Mark {
  std::string_view name;
  double (*distance)(double x, double y);
};

constexpr std::array<Mark, kNumMarks> kMarks{{{"bars", horizontal},
                                              {"crosses", cross},
                                              {"discs", disc},
                                              {"frames", frame},
                                              {"pluses", plus},
                                              {"posts", vertical},
                                              {"rails", rails},
                                              {"rings", ring},
                                              {"rungs", rungs},
                                              {"slashes", slash}}};

/// Grey values of a square picture, row by row.
struct Canvas {
  explicit Canvas(int64_t side) : size(side), values(static_cast<size_t>(side * side)) {}
  double& at(int64_t y, int64_t x) { return values[static_cast<size_t>(y * size + x)]; }

  int64_t size;
  std::vector<double> values;
};

/// Shifts and scales to mean 0 and deviation `deviation`.
void standardize(Canvas& canvas, double deviation) {
  const auto count = static_cast<double>(canvas.values.size());
  double mean = 0.0;
  for (const double value : canvas.values) mean += value / count;
  double variance = 0.0;
  for (const double value : canvas.values) variance += (value - mean) * (value - mean) / count;
  // A picture without contrast stays flat.
  const double scale = variance > 0.0 ? deviation / std::sqrt(variance) : 0.0;
  for (double& value : canvas.values) value = (value - mean) * scale;
}

/// Adds one mark of `radius` pixels and height `polarity`, its edge one pixel soft.
void add_mark(Canvas& canvas, const Mark& mark, double center_x, double center_y, double radius,
              double flip, double polarity) {
  const double reach = 1.5 * radius + 1.0;
  const auto first = [&](double center) {
    return std::max<int64_t>(0, static_cast<int64_t>(std::floor(center - reach)));
  };
  const auto last = [&](double center) {
    return std::min<int64_t>(canvas.size - 1, static_cast<int64_t>(std::floor(center + reach)));
  };
  for (int64_t y = first(center_y); y <= last(center_y); ++y) {
    for (int64_t x = first(center_x); x <= last(center_x); ++x) {
      const double u = flip * (static_cast<double>(x) + 0.5 - center_x) / radius;
      const double v = (static_cast<double>(y) + 0.5 - center_y) / radius;
      const double inside = std::clamp(0.5 - radius * mark.distance(u, v), 0.0, 1.0);
      canvas.at(y, x) = std::clamp(canvas.at(y, x) + polarity * inside, -1.0, 1.0);
    }
  }
}

void add_marks(Canvas& canvas, const Mark& mark, Rng& rng) {
  const double cell = static_cast<double>(canvas.size) / kCellsAcross;
  const double shift_x = rng.uniform();
  const double shift_y = rng.uniform();
  for (double row = -1.0; row <= kCellsAcross; ++row) {
    for (double column = -1.0; column <= kCellsAcross; ++column) {
      const double x = cell * (column + shift_x + 0.5 + rng.uniform(-kJitter, kJitter));
      const double y = cell * (row + shift_y + 0.5 + rng.uniform(-kJitter, kJitter));
      const double radius = cell * rng.uniform(kMinRadius, kMaxRadius);
      const double flip = rng.uniform() < 0.5 ? -1.0 : 1.0;
      const double polarity = rng.uniform() < 0.5 ? -1.0 : 1.0;
      add_mark(canvas, mark, x, y, radius, flip, polarity);
    }
  }
}

/// Adds waves of one to two periods across the picture and grain, relative to marks of deviation 1.
void add_shading(Canvas& canvas, Rng& rng) {
  for (int wave = 0; wave < kShadingWaves; ++wave) {
    const double angle = rng.uniform(0.0, 2.0 * std::numbers::pi);
    const double phase = rng.uniform(0.0, 2.0 * std::numbers::pi);
    const double frequency =
        2.0 * std::numbers::pi * rng.uniform(1.0, 2.0) / static_cast<double>(canvas.size);
    const double height = kShading * std::sqrt(2.0 / kShadingWaves);
    for (int64_t y = 0; y < canvas.size; ++y) {
      for (int64_t x = 0; x < canvas.size; ++x) {
        const double along =
            std::cos(angle) * static_cast<double>(x) + std::sin(angle) * static_cast<double>(y);
        canvas.at(y, x) += height * std::cos(frequency * along + phase);
      }
    }
  }
  for (double& value : canvas.values) value += kGrain * rng.normal();
}

std::string jpeg(const Image& image) {
  cv::Mat grey(static_cast<int>(image.height()), static_cast<int>(image.width()), CV_8UC1);
  for (int y = 0; y < grey.rows; ++y) {
    for (int x = 0; x < grey.cols; ++x) grey.at<uint8_t>(y, x) = image.row(y)[3 * x];
  }
  std::vector<uint8_t> bytes;
  if (!cv::imencode(".jpg", grey, bytes, {cv::IMWRITE_JPEG_QUALITY, kJpegQuality})) {
    throw Error("synthesis: OpenCV was built without JPEG");
  }
  return {bytes.begin(), bytes.end()};
}

void write_file(const std::filesystem::path& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
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
    write_file(folder / (name + ".jpg"), jpeg(draw_synthetic(options, split, label, index)));
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

std::vector<std::string> mark_names(int64_t count) {
  std::vector<std::string> names;
  for (int64_t label = 0; label < count; ++label) {
    names.emplace_back(kMarks[static_cast<size_t>(label)].name);
  }
  return names;
}

Image draw_synthetic(const SynthesisOptions& options, Split split, int64_t label, int64_t index) {
  const auto sample = (static_cast<uint64_t>(label) << 32) | static_cast<uint64_t>(index);
  Rng rng(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(split), sample, kSynthesis);
  Canvas canvas(options.size);
  add_marks(canvas, kMarks[static_cast<size_t>(label)], rng);
  standardize(canvas, 1.0);
  add_shading(canvas, rng);
  standardize(canvas, kDeviation);
  Image image(options.size, options.size);
  for (int64_t y = 0; y < options.size; ++y) {
    for (int64_t x = 0; x < options.size; ++x) {
      const double grey = std::clamp(std::round(canvas.at(y, x) + kMean), 0.0, 255.0);
      std::fill_n(image.row(y) + 3 * x, 3, static_cast<uint8_t>(grey));
    }
  }
  return image;
}

void write_synthetic(const SynthesisOptions& options, const std::filesystem::path& root) {
  options.validate();
  require_empty(root);
  // Drawn beside its place, so that an interrupted set is never taken for a whole one.
  const std::filesystem::path partial = without_slash(root).string() + ".partial";
  std::error_code error;
  std::filesystem::remove_all(partial, error);
  const auto names = mark_names(options.classes);
  for (const auto& [split, folder] : {std::pair{Split::kTrain, "train"}, {Split::kVal, "val"}}) {
    for (int64_t label = 0; label < options.classes; ++label) {
      write_class(options, split, label, partial / folder / names[static_cast<size_t>(label)]);
    }
  }
  std::filesystem::rename(partial, root, error);
  IBOT_CHECK(!error, root.string(), ": ", error.message());
}

}  // namespace ibot::data
