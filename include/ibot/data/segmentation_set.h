// Images with label maps of the same names: ADE20K, and any other pair of folders.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "ibot/data/dataset.h"
#include "ibot/data/file_list.h"
#include "ibot/data/segmentation_options.h"

namespace ibot::data {

/// Images sorted by name; image and label map have the same place in their lists.
struct SegmentationSet {
  FileList images;
  FileList labels;
  bool zero_is_ignored = true;
  int64_t classes = 0;

  int64_t size() const { return images.size(); }

  /// Classes 0 … classes - 1 and 255: [H, W], uint8. Throws DataError where the file is damaged or
  /// has another value, naming it.
  torch::Tensor label(int64_t sample) const;
};

/// The names of the classes. Throws DataError where a file names none, or another number than
/// `options.classes`.
std::vector<std::string> segmentation_classes(const std::filesystem::path& root,
                                              const SegmentationSetOptions& options);

/// The images of a split below `root`. Throws DataError, naming the first and their number, where
/// images lack a label map, and where there is no image.
SegmentationSet open_segmentation(const std::filesystem::path& root,
                                  const SegmentationSetOptions& options, Split split);

/// Reads every label map and the head of every image, on `workers` threads. Throws DataError where
/// a label is no class, or sizes differ; better before a run than within it.
void check_segmentation(const SegmentationSet& set, int64_t workers);

}  // namespace ibot::data
