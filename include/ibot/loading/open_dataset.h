// Opening of data sets by name.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "ibot/data/dataset.h"
#include "ibot/data/dataset_options.h"
#include "ibot/shards/shard_set.h"

namespace ibot::data {

/// The images of an image folder, or of shards if names_shards() holds. Where labels are ignored, a
/// folder with images beside its sub-folders is read whole, without classes. Throws DataError.
std::unique_ptr<Dataset> open_images(const std::string& where, Labels labels = Labels::kUsed);

/// The training or validation images below `root`, in the layout `options.kind`. kVal is the test
/// set of data sets that call it so. Throws DataError, naming what is missing.
std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& root, Split split,
                                      const DatasetOptions& options);

}  // namespace ibot::data
