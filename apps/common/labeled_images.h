// The labelled images that a user names.
#pragma once

#include <filesystem>

#include "common/logging.h"
#include "common/run_main.h"
#include "ibot/evaluation/labeled_images.h"

namespace ibot::apps {

/// Its notes are warnings in the log.
class LabeledImages : public evaluation::LabeledImages {
 public:
  /// Throws RequestError where the images cannot be used.
  LabeledImages(const std::filesystem::path& root, const data::DatasetOptions& options)
      : evaluation::LabeledImages(
            open_input([&] { return evaluation::LabeledImages(root, options); })) {
    for (const auto& line : notes()) log_warning(line);
  }
};

}  // namespace ibot::apps
