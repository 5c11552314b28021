// Files of batches from non-finite steps.
#pragma once

#include <filesystem>

#include "ibot/batch/multi_crop_batch.h"

namespace ibot::train {

/// Writes a batch as it came from the loader: tensors named as its fields, including `pairs.…`;
/// step and number of views are metadata.
void write_batch(const std::filesystem::path& path, int64_t step,
                 const batch::MultiCropBatch& batch);

}  // namespace ibot::train
