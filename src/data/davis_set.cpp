#include "ibot/data/davis_set.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>
#include <set>
#include <sstream>

#include "data/file_bytes.h"
#include "data/folder_entries.h"
#include "data/parallel.h"
#include "ibot/base/error.h"
#include "ibot/codec/decode.h"
#include "ibot/data/index_map.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> sequence_names(const fs::path& list) {
  const auto bytes = file_bytes(list.string());
  std::istringstream lines(std::string(bytes.begin(), bytes.end()));
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  IBOT_CHECK_AS(DataError, !names.empty(), list.string(),
                ": expected names of sequences, found none");
  const std::set<std::string> once(names.begin(), names.end());
  IBOT_CHECK_AS(DataError, once.size() == names.size(), list.string(), ": expected each sequence ",
                "once, got ", names.size(), " lines with ", once.size(), " names");
  return names;
}

/// Names of a folder's files with an ending, which they are given without, sorted.
std::vector<std::string> stems(const fs::path& folder, const char* ending) {
  LeftOut left_out;
  std::vector<std::string> names;
  for (const auto& file : entries_of(folder, left_out).files) {
    if (file.ends_with(ending)) names.push_back(fs::path(file).stem().string());
  }
  return names;
}

/// A frame that is missing would be skipped as if the video had none there.
void check_masks_have_frames(const fs::path& folder, const fs::path& masks,
                             const std::vector<std::string>& frames) {
  if (!fs::is_directory(masks)) return;  // whose missing files are named with the list
  for (const auto& mask : stems(masks, ".png")) {
    IBOT_CHECK_AS(DataError, std::binary_search(frames.begin(), frames.end(), mask),
                  (masks / (mask + ".png")).string(), ": expected a frame ",
                  (folder / (mask + ".jpg")).string(), ", found none");
  }
}

/// Names of the frames without their ending, sorted.
std::vector<std::string> frame_names(const fs::path& folder, const fs::path& masks) {
  IBOT_CHECK_AS(DataError, fs::is_directory(folder), folder.string(),
                ": expected the frames of a sequence, found no folder");
  auto names = stems(folder, ".jpg");
  IBOT_CHECK_AS(DataError, names.size() >= 3, folder.string(),
                ": expected at least 3 frames, since the first and the last are not judged, found ",
                names.size());
  check_masks_have_frames(folder, masks, names);
  return names;
}

std::string shown(ImageSize size) { return concat(size.width, " x ", size.height, " pixels"); }

ImageSize frame_size(const DavisSet& set, int64_t frame) {
  const auto header = read_header(set.frames.read(frame), set.frames.path(frame));
  return {header.height, header.width};
}

/// The largest number of an object; 0 where there is none.
int64_t largest_object(const torch::Tensor& mask) {
  return torch::where(mask == kVoid, torch::zeros_like(mask), mask).max().item<int64_t>();
}

void check_frame(const DavisSet& set, const VideoSequence& sequence, int64_t frame) {
  const auto size = frame_size(set, frame);
  IBOT_CHECK_AS(DataError, size == sequence.size, set.frames.path(frame), ": expected ",
                shown(sequence.size), " as the first frame has, got ", shown(size));
  const auto mask = read_index_map(set.masks.path(frame));
  const ImageSize mask_size{mask.size(0), mask.size(1)};
  IBOT_CHECK_AS(DataError, mask_size == sequence.size, set.masks.path(frame), ": expected ",
                shown(sequence.size), " as its frame has, got ", shown(mask_size));
  const auto largest = largest_object(mask);
  IBOT_CHECK_AS(DataError, largest <= sequence.objects, set.masks.path(frame),
                ": expected objects up to ", sequence.objects, " as in the first frame, got ",
                largest, "; an object that appears late cannot be followed");
}

void complete(const DavisSet& set, VideoSequence& sequence) {
  sequence.size = frame_size(set, sequence.first);
  const auto& path = set.masks.path(sequence.first);
  sequence.objects = largest_object(read_index_map(path));
  IBOT_CHECK_AS(DataError, sequence.objects > 0, path,
                ": expected at least one object, numbered from 1 on, found none");
  // All frames are checked before the first one is followed.
  for (int64_t i = 0; i < sequence.count; ++i) check_frame(set, sequence, sequence.first + i);
}

}  // namespace

DavisSet open_davis(const fs::path& root, const std::string& year, const std::string& split,
                    int64_t workers) {
  const auto list = root / "ImageSets" / year / (split + ".txt");
  IBOT_CHECK_AS(DataError, fs::is_regular_file(list), list.string(),
                ": expected a list of sequences, found none; video.split and video.year name it");
  std::vector<VideoSequence> sequences;
  std::vector<FileList::Entry> frames;
  std::vector<FileList::Entry> masks;
  for (const auto& name : sequence_names(list)) {
    const auto folder = root / "JPEGImages" / "480p" / name;
    const auto masks_folder = root / "Annotations" / "480p" / name;
    const auto names = frame_names(folder, masks_folder);
    sequences.push_back({.name = name,
                         .first = static_cast<int64_t>(frames.size()),
                         .count = static_cast<int64_t>(names.size()),
                         .size = {}});
    for (const auto& frame : names) {
      frames.push_back({(folder / (frame + ".jpg")).string(), 0});
      masks.push_back({(masks_folder / (frame + ".png")).string(), 0});
    }
  }
  DavisSet set{std::move(sequences),
               {(root / "JPEGImages").string(), std::move(frames), {""}},
               {(root / "Annotations").string() + ": masks", std::move(masks), {""}}};
  const auto count = static_cast<int64_t>(set.sequences.size());
  for_each(count, std::min(workers, count), [&](int64_t i) { complete(set, set.sequences[i]); });
  return set;
}

torch::Tensor read_frame(const DavisSet& set, int64_t frame, ImageSize size) {
  auto image = decode(set.frames.read(frame), set.frames.path(frame));
  const cv::Mat pixels(static_cast<int>(image.height()), static_cast<int>(image.width()), CV_8UC3,
                       image.row(0));
  auto rows = torch::empty({size.height, size.width, 3}, torch::kByte);
  cv::Mat out(static_cast<int>(size.height), static_cast<int>(size.width), CV_8UC3,
              rows.mutable_data_ptr<uint8_t>());
  // The reference resizes frames with OpenCV, without antialiasing.
  cv::resize(pixels, out, out.size(), 0, 0, cv::INTER_LINEAR);
  return rows.permute({2, 0, 1}).contiguous();
}

}  // namespace ibot::data
