// Names of images within shards.
#pragma once

#include <string>
#include <unordered_map>

#include "ibot/data/listing.h"

namespace ibot::data {

/// Unique WebDataset keys of a listing's images; see pack.
class MemberNames {
 public:
  explicit MemberNames(const Listing& listing);

  std::string key(int64_t sample) const;
  /// The file's extension in lower case, without its dot; "jpg" for "jpeg".
  std::string extension(int64_t sample) const;

 private:
  const Listing& listing_;
  // Keys of files that share their name with an earlier one; rare.
  std::unordered_map<int64_t, std::string> renamed_;
};

}  // namespace ibot::data
