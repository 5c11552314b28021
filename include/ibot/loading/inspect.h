// Looking through a data set.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ibot/codec/decode_options.h"
#include "ibot/data/dataset.h"

namespace ibot::data {

/// Smallest, middle (the lower of two) and largest of some numbers.
struct Spread {
  int64_t min = 0;
  int64_t median = 0;
  int64_t max = 0;
};

struct DatasetSummary {
  int64_t images = 0;
  int64_t bytes = 0;
  /// One count a class, in the order of class_names().
  std::vector<int64_t> images_per_class;
  /// Format name → images.
  std::map<std::string, int64_t> formats;
  /// Of the readable images.
  Spread width;
  Spread height;
  /// Files whose header is unreadable.
  std::vector<DamagedFile> damaged;
  /// Images that decode to something else than their values: see CheckedImage::notice.
  std::vector<DamagedFile> notices;
};

/// Reads the header of every file, and decodes those whose gray may have more than 8 bits, on
/// `workers` threads.
DatasetSummary summarize(const Dataset& dataset, int64_t workers,
                         const DecodeOptions& options = {});

/// What verify finds, in the data set's order.
struct Findings {
  /// Containers of samples first, then samples that do not decode, or not to what was packed.
  std::vector<DamagedFile> damaged;
  /// Samples that decode, though libjpeg warns of their data. Training takes them, as Pillow does.
  std::vector<DamagedFile> warnings;
  /// Images that decode to something else than their values: see CheckedImage::notice.
  std::vector<DamagedFile> notices;
};

/// Decodes every sample, on `workers` threads.
Findings verify(const Dataset& dataset, int64_t workers, const DecodeOptions& options = {});

}  // namespace ibot::data
