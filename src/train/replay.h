// Batches of steps that did not count, in files.
#pragma once

#include <filesystem>

#include "ibot/batch/multi_crop_batch.h"

namespace ibot::train {

/// Writes a batch as the loader gave it: tensors under the names of its fields, `pairs.…` among
/// them, and the step and the number of views in the metadata.
void write_batch(const std::filesystem::path& path, int64_t step,
                 const batch::MultiCropBatch& batch);

}  // namespace ibot::train
