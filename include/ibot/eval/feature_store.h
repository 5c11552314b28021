// Frozen features on disk, so that no evaluation computes what another already has.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "ibot/eval/features.h"

namespace ibot::eval {

/// The features of one set of images under one description, in parts of consecutive samples. A part
/// is written whole or not at all, so that an interrupted extraction goes on where it was and
/// several processes can share the work.
///
/// Files: `FOLDER/<hash of the description>/<first sample>.safetensors`, and description.txt beside
/// them.
class FeatureStore {
 public:
  /// `description` holds everything that the features depend on. Throws Error where the folder
  /// cannot be made.
  FeatureStore(const std::filesystem::path& folder, const std::string& description);

  /// The part that begins at sample `begin`, on the host; none where it is absent, damaged or of
  /// another number of samples than `count`, those left out as unreadable among them.
  std::optional<FeatureBank> read(int64_t begin, int64_t count) const;

  /// Throws Error when the disk is full.
  void write(int64_t begin, const FeatureBank& part) const;

 private:
  std::filesystem::path file_of(int64_t begin) const;

  std::filesystem::path folder_;
};

}  // namespace ibot::eval
