#include "evaluation/video_files.h"

#include <algorithm>

#include "evaluation/table.h"
#include "ibot/base/error.h"
#include "ibot/data/index_map.h"
#include "ibot/eval/propagation.h"
#include "ibot/io/file.h"

namespace ibot::evaluation {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kStripFrames = 6;
constexpr int64_t kStripHeight = 160;

void write_bytes(const fs::path& path, const std::vector<uint8_t>& bytes) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  IBOT_CHECK(!error, path.parent_path().string(), ": cannot create the folder: ", error.message());
  io::write_file(path, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

/// A frame whose objects are half covered by their colors: [3, H, W].
torch::Tensor overlaid(const torch::Tensor& frame, const torch::Tensor& mask) {
  const auto color = data::index_colors()
                         .index_select(0, mask.flatten().to(torch::kLong))
                         .view({mask.size(0), mask.size(1), 3})
                         .permute({2, 0, 1});
  const auto mixed = (frame.to(torch::kInt) + color.to(torch::kInt)).floor_divide(2);
  return torch::where(mask > 0, mixed, frame.to(torch::kInt)).to(torch::kByte);
}

}  // namespace

std::vector<std::pair<std::string, double>> global_means(const std::vector<ObjectResult>& objects) {
  std::vector<std::pair<std::string, double>> means{
      {"J&F-Mean", 0.0}, {"J-Mean", 0.0},   {"J-Recall", 0.0}, {"J-Decay", 0.0},
      {"F-Mean", 0.0},   {"F-Recall", 0.0}, {"F-Decay", 0.0}};
  const auto count = static_cast<double>(objects.size());
  for (const auto& [name, region, contour] : objects) {
    const double values[]{region.mean,  region.recall,  region.decay,
                          contour.mean, contour.recall, contour.decay};
    for (size_t i = 0; i < std::size(values); ++i) means[i + 1].second += values[i] / count;
  }
  // The mean of J-Mean and F-Mean.
  means[0].second = (means[1].second + means[4].second) / 2.0;
  return means;
}

void write_masks(const fs::path& folder, const data::DavisSet& set,
                 const data::VideoSequence& sequence, const torch::Tensor& masks) {
  for (int64_t i = 0; i < sequence.count; ++i) {
    const auto name = fs::path(set.masks.path(sequence.first + i)).filename();
    write_bytes(folder / sequence.name / name, data::index_png(masks[i]));
  }
}

void write_strip(const fs::path& folder, const data::DavisSet& set,
                 const data::VideoSequence& sequence, const torch::Tensor& masks) {
  const int64_t shown = std::min(kStripFrames, sequence.count);
  const data::ImageSize size{
      kStripHeight,
      std::max<int64_t>(kStripHeight * sequence.size.width / sequence.size.height, 1)};
  std::vector<torch::Tensor> pictures;
  for (int64_t i = 0; i < shown; ++i) {
    const int64_t frame = shown == 1 ? 0 : i * (sequence.count - 1) / (shown - 1);
    pictures.push_back(overlaid(data::read_frame(set, sequence.first + frame, size),
                                eval::nearest(masks[frame], size.height, size.width)));
  }
  write_bytes(folder / "strips" / (sequence.name + ".png"),
              data::color_png(torch::cat(pictures, 2)));
}

void write_tables(const fs::path& folder, const std::vector<ObjectResult>& objects) {
  std::string names;
  std::string values;
  for (const auto& [name, value] : global_means(objects)) {
    names += table_line("%s", name.c_str());
    values += table_line("%.3f", value);
    names.back() = values.back() = ',';
  }
  names.back() = values.back() = '\n';
  io::write_file(folder / "global_results-val.csv", names + values);
  std::string rows = "Sequence,J-Mean,F-Mean\n";
  for (const auto& object : objects) {
    rows +=
        table_line("%s,%.3f,%.3f", object.name.c_str(), object.region.mean, object.contour.mean);
  }
  io::write_file(folder / "per-sequence_results-val.csv", rows);
}

}  // namespace ibot::evaluation
