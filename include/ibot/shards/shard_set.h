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

/// Whether an image without a label is of use.
enum class Labels : uint64_t { kUsed, kIgnored };

/// Images that lie in tar archives one after the other, read by their place without searching.
///
/// `where` is a folder of *.tar, an archive, or a pattern of names with {000..146} for a range of
/// numbers, {a,b} for alternatives, * ? [ ] as in a shell, and "::" between several. What exists is
/// taken as it is. Where the folder has the index that pack wrote, a pattern names some of its
/// shards.
///
/// In shards of other making a sample is, as for WebDataset, a run of members with the same name up
/// to the first dot of its last part, its key; what follows is the ending, in either case. Its
/// image is the member whose ending is one word: of KEY.jpg and KEY.depth.png the first; of several
/// the one that comes first in the list of ImageFolder. In a sample without such an image each one
/// with a longer ending is a sample of its own, unless that ending lies beside an image elsewhere.
/// A member that occurs again begins another sample. Hidden members and what systems leave are
/// passed over as by ImageFolder. notes() counts whatever is not read.
///
/// The label is the content of KEY.cls, or of the field "label" in KEY.json, wherever in the shard
/// it lies: a number as Python's int() reads it, or where no label of the set is one, a word.
/// Classes are then "0", "1", ..., or the words in order. Without any label the images have no
/// classes. Such shards are searched once; what was found is kept as a listing is (see
/// current_listing) and holds while the shards' sizes and times do.
///
/// Packed images are held against their hash when they are read. In other shards a stretch that
/// cannot be read counts as one damaged sample; so does, with Labels::kUsed, an image whose label
/// cannot be used, and one without where others have theirs.
///
/// Throws DataError when there are no shards, or no images in them, when packing was interrupted,
/// when the index is damaged or lacks a shard, when shards without an index cannot be searched, and
/// when one is no tar archive: compressed, a ZIP archive, a web page.
class ShardSet : public Dataset {
 public:
  explicit ShardSet(const std::string& where, Labels labels = Labels::kUsed);
  ~ShardSet() override;

  int64_t size() const override;
  int64_t label(int64_t sample) const override;
  /// SHARD:MEMBER.
  std::string path(int64_t sample) const override;
  std::vector<uint8_t> read(int64_t sample) const override;
  const std::vector<std::string>& class_names() const override;
  std::vector<std::string> notes() const override;
  /// Of the index: places, labels and hashes of packed images. In shards of other making, besides
  /// places and labels, each shard's bytes where all together take at most 64 MiB, else its size
  /// and the nanosecond of its last change.
  std::string content_hash() const override;
  bool is_stream() const override { return true; }
  /// Shards whose content is not what was packed, and samples whose headers are damaged.
  std::vector<DamagedFile> damaged_containers(int64_t workers) const override;

  int64_t shards() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether `where` names shards: a folder that pack wrote or was interrupted in, a folder of
/// archives without sub-folders, an archive, or a pattern where nothing of that name exists.
bool names_shards(const std::string& where);

}  // namespace ibot::data
