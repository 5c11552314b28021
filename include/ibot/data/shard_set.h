// Images in tar shards, in the layout of WebDataset.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ibot/data/dataset.h"

namespace ibot::data {

/// The name of the index in a folder of packed shards, and of the plan that stands there until the
/// last shard is written.
inline constexpr const char* kIndexFile = "index.safetensors";
inline constexpr const char* kPlanFile = "pack.json";

/// Images that lie in tar archives one after the other, read by their place without searching.
///
/// `where` is a folder of *.tar, or a pattern of names with {000..146} for a range of numbers,
/// {a,b} for alternatives and * ? [ ] as in a shell. Where the folder has the index that pack
/// wrote, a pattern names some of its shards.
///
/// In shards of other making a sample is a run of members with the same name up to the first dot of
/// its last part: the first image among them, with the number in KEY.cls as its label; classes are
/// then "0", "1", ... Without any KEY.cls all labels are 0. Such shards are searched once; what was
/// found is kept as a listing is (see current_listing) and holds while the shards' sizes and times
/// do.
///
/// Packed images are held against their hash when they are read. In other shards a stretch that
/// cannot be read, a label that is no number below 10 million, and an image without one where
/// others have theirs count as one damaged sample.
///
/// Throws DataError when there are no shards, or no images in them, when packing was interrupted,
/// when the index is damaged or lacks a shard, and when shards without an index cannot be searched.
class ShardSet : public Dataset {
 public:
  explicit ShardSet(const std::string& where);
  ~ShardSet() override;

  int64_t size() const override;
  int64_t label(int64_t sample) const override;
  /// SHARD:MEMBER.
  std::string path(int64_t sample) const override;
  std::vector<uint8_t> read(int64_t sample) const override;
  const std::vector<std::string>& class_names() const override;
  bool is_stream() const override { return true; }
  /// Shards whose content is not what was packed, and samples whose headers are damaged.
  std::vector<DamagedFile> damaged_containers(int64_t workers) const override;

  int64_t shards() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether `where` names shards: a folder that pack wrote or was interrupted in, a folder of *.tar
/// without sub-folders, an archive, or a pattern that names no existing folder.
bool names_shards(const std::string& where);

}  // namespace ibot::data
