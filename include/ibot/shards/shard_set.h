// Images in tar shards, in the layout of WebDataset.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ibot/data/dataset.h"

namespace ibot::data {

/// Names of the index in a folder of packed shards, and of the plan that exists until the last
/// shard is written.
inline constexpr const char* kIndexFile = "index.safetensors";
inline constexpr const char* kPlanFile = "pack.json";

/// Whether images without a label are usable.
enum class Labels : uint64_t { kUsed, kIgnored };

/// Images in tar archives, read by their offset without searching.
///
/// `where` is a folder of *.tar, an archive, or a pattern with {000..146} for a range of numbers,
/// {a,b} for alternatives, * ? [ ] as in a shell, and "::" between several. A name that exists is
/// taken literally. If the folder has the index that pack wrote, a pattern selects among its
/// shards.
///
/// In shards from other tools a sample is, as in WebDataset, a run of members with the same key:
/// the name up to the first dot of its last component; the rest is the ending, in either case. Its
/// image is the member whose ending has no further dot: KEY.jpg rather than KEY.depth.png; among
/// several, the one that comes first in the list of ImageFolder. In a sample without such an image,
/// each image with a longer ending is a sample of its own, unless that ending occurs next to a
/// plain image in another sample. A repeated member begins a new sample. Hidden and system names
/// are skipped as by ImageFolder. notes() counts whatever is not read.
///
/// The label is the content of KEY.cls, or the field "label" of KEY.json, anywhere in the shard: a
/// number as parsed by Python's int(), or, if no label of the set is a number, a word. Classes are
/// then "0", "1", ..., or the sorted words. Without any label the images have no classes. Such
/// shards are scanned once; the result is cached as a listing is (see current_listing) and is valid
/// as long as sizes and modification times of the shards do not change.
///
/// Packed images are verified by their hash when read. In other shards a damaged stretch counts as
/// one damaged sample; so does, with Labels::kUsed, an image whose label is unusable, or missing
/// while others have one.
///
/// Throws DataError if there are no shards or no images in them, if packing was interrupted, if the
/// index is damaged or lacks a shard, if shards without an index cannot be scanned, or if one is
/// not a tar archive: compressed, a ZIP archive, a web page.
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
  /// Hashes the index: offsets, labels and hashes of packed images. For shards from other tools, in
  /// place of image hashes, each shard's bytes if all together take at most 64 MiB, otherwise its
  /// size and modification time in nanoseconds.
  std::string content_hash() const override;
  bool is_stream() const override { return true; }
  /// Shards that differ from what was packed, and samples with damaged headers.
  std::vector<DamagedFile> damaged_containers(int64_t workers) const override;

  int64_t shards() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether `where` names shards: a folder that pack wrote or began to write, a folder of archives
/// without subfolders, an archive, or a pattern that is not an existing name.
bool names_shards(const std::string& where);

}  // namespace ibot::data
