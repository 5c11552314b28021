#include "ibot/data/segmentation_set.h"

#include <algorithm>
#include <sstream>

#include "data/file_bytes.h"
#include "data/folder_entries.h"
#include "data/image_names.h"
#include "data/parallel.h"
#include "ibot/base/error.h"
#include "ibot/codec/decode.h"
#include "ibot/data/index_map.h"
#include "ibot/metrics/segmentation.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kIgnoredLabel = 255;
constexpr int64_t kAdeClasses = 150;
/// objectInfo150.txt comes with ADE20K.
const char* const kClassFiles[] = {"classes.txt", "objectInfo150.txt"};

std::vector<std::string> lines_of(const fs::path& file) {
  const auto bytes = file_bytes(file.string());
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> cells_of(const std::string& line) {
  std::istringstream text(line);
  std::vector<std::string> cells;
  for (std::string cell; std::getline(text, cell, '\t');) cells.push_back(cell);
  return cells;
}

/// The first of several names: "wall" of "wall;partition" or "wall, partition".
std::string first_name(const std::string& names) {
  return names.substr(0, names.find_first_of(",;"));
}

/// Lines, or the column Name of a table.
std::vector<std::string> names_in(const fs::path& file) {
  auto lines = lines_of(file);
  IBOT_CHECK_AS(DataError, !lines.empty(), file.string(),
                ": expected names of classes, found none");
  const auto head = cells_of(lines.front());
  const auto column = std::find(head.begin(), head.end(), "Name") - head.begin();
  if (column == static_cast<int64_t>(head.size())) {
    for (auto& line : lines) line = first_name(line);
    return lines;
  }
  std::vector<std::string> names;
  for (size_t i = 1; i < lines.size(); ++i) {
    const auto cells = cells_of(lines[i]);
    IBOT_CHECK_AS(DataError, column < static_cast<int64_t>(cells.size()), file.string(), ": line ",
                  i + 1, ": expected a column Name, found ", cells.size(), " columns");
    names.push_back(first_name(cells[column]));
  }
  return names;
}

fs::path class_file(const fs::path& root, const SegmentationSetOptions& options) {
  if (!options.class_file.empty()) return options.class_file;
  for (const auto* name : kClassFiles) {
    if (fs::is_regular_file(root / name)) return root / name;
  }
  return {};
}

/// Names of images in a folder, sorted.
std::vector<std::string> image_names(const fs::path& folder) {
  IBOT_CHECK_AS(DataError, fs::is_directory(folder), folder.string(),
                ": expected a folder of images, found none; segment.train_images and "
                "segment.val_images name them below --data");
  LeftOut left_out;
  std::vector<std::string> names;
  for (auto& name : entries_of(folder, left_out).files) {
    if (is_image_name(name)) names.push_back(std::move(name));
  }
  IBOT_CHECK_AS(DataError, !names.empty(), folder.string(), ": expected images, found none");
  return names;
}

std::string label_name(const std::string& image, const SegmentationSetOptions& options) {
  const auto& ending = options.image_ending;
  if (ending.empty()) return fs::path(image).stem().string() + options.label_ending;
  IBOT_CHECK_AS(DataError, image.ends_with(ending), image, ": expected a name that ends in ",
                ending, " (segment.image_ending)");
  return image.substr(0, image.size() - ending.size()) + options.label_ending;
}

void check_labels_exist(const std::vector<FileList::Entry>& images,
                        const std::vector<FileList::Entry>& labels) {
  int64_t missing = 0;
  size_t first = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (fs::is_regular_file(labels[i].path)) continue;
    if (missing++ == 0) first = i;
  }
  IBOT_CHECK_AS(
      DataError, missing == 0, images[first].path, ": expected a label map ", labels[first].path,
      ", found none",
      missing > 1 ? concat("; ", missing, " of ", images.size(), " images lack theirs") : "");
}

void check_sample(const SegmentationSet& set, int64_t sample) {
  // As OpenCV sees it, turned by EXIF: label maps are not.
  const auto header = read_header(set.images.read(sample), set.images.path(sample), as_opencv({}));
  const auto label = set.label(sample);
  IBOT_CHECK_AS(DataError, label.size(0) == header.height && label.size(1) == header.width,
                set.labels.path(sample), ": expected ", header.width, " x ", header.height,
                " pixels as its image has, got ", label.size(1), " x ", label.size(0));
}

}  // namespace

torch::Tensor SegmentationSet::label(int64_t sample) const {
  const auto path = labels.path(sample);
  const auto file = read_index_map(path);
  const auto label =
      zero_is_ignored ? metrics::labels_of_file(file, kIgnoredLabel).to(torch::kByte) : file;
  // Told at once: such a label would end training somewhere within an epoch.
  const auto wrong = label.ge(classes).logical_and(label.ne(kIgnoredLabel));
  if (wrong.any().item<bool>()) {
    const auto value = file.masked_select(wrong).max().item<int64_t>();
    throw DataError(concat(path, ": expected labels ", zero_is_ignored ? 1 : 0, " to ",
                           classes - (zero_is_ignored ? 0 : 1), zero_is_ignored ? ", 0" : "",
                           " and 255, got ", value,
                           "; segment.classes, or a class file, says how many classes there are"));
  }
  return label;
}

std::vector<std::string> segmentation_classes(const fs::path& root,
                                              const SegmentationSetOptions& options) {
  const auto file = class_file(root, options);
  if (!file.empty()) {
    const auto names = names_in(file);
    const auto count = static_cast<int64_t>(names.size());
    IBOT_CHECK_AS(DataError, options.classes == 0 || options.classes == count, file.string(),
                  ": expected ", options.classes, " classes (segment.classes), found ", count);
    IBOT_CHECK_AS(DataError, count < kIgnoredLabel, file.string(), ": expected at most ",
                  kIgnoredLabel - 1, " classes, found ", count);
    return names;
  }
  std::vector<std::string> names;
  const auto count = options.classes > 0 ? options.classes : kAdeClasses;
  for (int64_t i = 0; i < count; ++i) names.push_back(concat("class ", i + 1));
  return names;
}

SegmentationSet open_segmentation(const fs::path& root, const SegmentationSetOptions& options,
                                  Split split) {
  const bool train = split == Split::kTrain;
  const auto image_folder = root / (train ? options.train_images : options.val_images);
  const auto label_folder = root / (train ? options.train_labels : options.val_labels);
  std::vector<FileList::Entry> images, labels;
  for (const auto& name : image_names(image_folder)) {
    images.push_back({(image_folder / name).string(), 0});
    labels.push_back({(label_folder / label_name(name, options)).string(), 0});
  }
  check_labels_exist(images, labels);
  const auto names = segmentation_classes(root, options);
  return {.images = {image_folder.string(), std::move(images), {""}},
          .labels = {label_folder.string(), std::move(labels), {""}},
          .zero_is_ignored = options.zero_is_ignored,
          .classes = static_cast<int64_t>(names.size())};
}

void check_segmentation(const SegmentationSet& set, int64_t workers) {
  for_each(set.size(), std::min(workers, set.size()), [&](int64_t i) { check_sample(set, i); });
}

}  // namespace ibot::data
