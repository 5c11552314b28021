// Inspection of a data set.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ibot/codec/decode_options.h"
#include "ibot/data/dataset.h"

namespace ibot::data {

/// Minimum, median (the lower of two) and maximum.
struct Spread {
  int64_t min = 0;
  int64_t median = 0;
  int64_t max = 0;
};

struct DatasetSummary {
  int64_t images = 0;
  int64_t bytes = 0;
  /// One count per class, in the order of class_names().
  std::vector<int64_t> images_per_class;
  /// Format name → images.
  std::map<std::string, int64_t> formats;
  /// Over the readable images.
  Spread width;
  Spread height;
  /// Files with an unreadable header.
  std::vector<DamagedFile> damaged;
  /// Images whose values are altered by decoding: see CheckedImage::notice.
  std::vector<DamagedFile> notices;
};

/// Reads the header of every file, and decodes those that may have gray of more than 8 bits, on
/// `workers` threads.
DatasetSummary summarize(const Dataset& dataset, int64_t workers,
                         const DecodeOptions& options = {});

/// Findings of verify(), in the order of the data set.
struct Findings {
  /// Damaged containers first, then samples that do not decode or differ from what was packed.
  std::vector<DamagedFile> damaged;
  /// Samples that decode with a warning. Training uses them, as Pillow does.
  std::vector<DamagedFile> warnings;
  /// Images whose values are altered by decoding: see CheckedImage::notice.
  std::vector<DamagedFile> notices;
};

/// Decodes every sample, on `workers` threads.
Findings verify(const Dataset& dataset, int64_t workers, const DecodeOptions& options = {});

}  // namespace ibot::data
