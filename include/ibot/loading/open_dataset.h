// From what the user names to its data set.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "ibot/data/dataset.h"
#include "ibot/data/dataset_options.h"
#include "ibot/shards/shard_set.h"

namespace ibot::data {

/// The images of an image folder, or of shards where names_shards says so. Throws DataError.
std::unique_ptr<Dataset> open_images(const std::string& where, Labels labels = Labels::kUsed);

/// The training or validation images below `root`, laid out as `options.kind` says. Data sets that
/// call their second half a test set have it as kVal. Throws DataError, naming what is missing.
std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& root, Split split,
                                      const DatasetOptions& options);

}  // namespace ibot::data
