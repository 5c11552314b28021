// Labeled images named by the user.
#pragma once

#include <filesystem>

#include "common/logging.h"
#include "common/run_main.h"
#include "ibot/evaluation/labeled_images.h"

namespace ibot::apps {

/// Notes are logged as warnings.
class LabeledImages : public evaluation::LabeledImages {
 public:
  /// Throws RequestError if the images cannot be used.
  LabeledImages(const std::filesystem::path& root, const data::DatasetOptions& options)
      : evaluation::LabeledImages(
            open_input([&] { return evaluation::LabeledImages(root, options); })) {
    for (const auto& line : notes()) log_warning(line);
  }
};

}  // namespace ibot::apps
