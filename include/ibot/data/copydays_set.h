// Copydays: photographs and copies of them that were changed in many ways.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ibot/data/file_list.h"

namespace ibot::data {

/// Copies that were changed in one way.
///
///   originals  of each image the places of its originals among the first block
struct CopyBlock {
  std::string name;
  FileList images;
  std::vector<std::vector<int64_t>> originals;
};

/// The blocks that are there, `original` first: strong, jpegqual/3 … 75 and crops/10 … 80. A copy
/// belongs to the original of its name, or where names differ to that of its place; in `strong` to
/// every original with the same first four characters.
///
///   missing  blocks of the published set that are not there
struct CopydaysSet {
  std::vector<CopyBlock> blocks;
  std::vector<std::string> missing;
};

/// Throws DataError where originals are missing, and where a copy has no original.
/// Source: evaluation/eval_copy_detection.py of the reference.
CopydaysSet open_copydays(const std::filesystem::path& root);

/// Rows of `originals` that an image of the block is a copy of; see CopydaysSet.
///
///   files  names of the block's images, in order
std::vector<std::vector<int64_t>> originals_of(const std::string& block,
                                               const std::vector<std::string>& files,
                                               const std::vector<std::string>& originals);

}  // namespace ibot::data
