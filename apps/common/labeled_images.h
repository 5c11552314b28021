// Labeled images named by the user.
#pragma once

#include <filesystem>

#include "common/logging.h"
#include "common/run_main.h"
#include "ibot/evaluation/labeled_images.h"

namespace ibot::apps {

/// Of --data. Notes are logged as warnings.
class LabeledImages : public evaluation::LabeledImages {
 public:
  /// Throws RequestError if the images cannot be used.
  LabeledImages(const std::filesystem::path& root, const data::DatasetOptions& options,
                const data::DataOptions& reading = {})
      : evaluation::LabeledImages(opened(root, options, reading)) {
    for (const auto& line : notes()) log_warning(line);
  }

 private:
  static evaluation::LabeledImages opened(const std::filesystem::path& root,
                                          const data::DatasetOptions& options,
                                          const data::DataOptions& reading) {
    try {
      return {root, options, reading};
    } catch (const Error& error) {
      throw RequestError(concat("--data: ", error.what()));
    }
  }
};

}  // namespace ibot::apps
