// Packing of an image folder into tar shards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "ibot/base/error.h"
#include "ibot/data/image_folder.h"

namespace ibot::data {

struct PackOptions {
  int64_t shard_bytes = int64_t{1} << 30;
  uint64_t seed = 0;
  /// Threads that read files ahead of the writing.
  int64_t workers = 8;
  /// Receives the number of images packed so far, after every image.
  std::function<void(int64_t images)> progress = [](int64_t) {};

  void validate() const {
    check_option(shard_bytes >= 1 << 12, "shard_bytes", "expected 4096 bytes or more, got ",
                 shard_bytes);
    check_option(workers > 0, "workers", "expected above 0, got ", workers);
  }
};

struct PackSummary {
  int64_t images = 0;
  int64_t shards = 0;
  int64_t bytes = 0;
  /// Images already in the shards of an interrupted call.
  int64_t resumed_images = 0;
};

/// Writes the images of `source` to `out`/shard-000000.tar, shard-000001.tar, ... of at most
/// shard_bytes each (or one image), shuffled once by `seed`, their bytes unchanged: CLASS/NAME.jpg
/// followed by CLASS/NAME.cls with the index of the class, as WebDataset reads them; only NAME.jpg
/// for images without classes. NAME is the file name without its extension, with dots written as
/// %2E and % as %25, since keys end at a dot. Of files that differ only in their extension, all but
/// the first keep it in NAME.
///
/// Finally writes `out`/index.safetensors: offset, label, hash and name of every sample, hash of
/// every shard, class names. Shards are whole or absent; while the index is missing, the same call
/// resumes after the last whole shard. Equal content, options and seed give equal bytes.
///
/// Throws OptionError, ConfigError if `out` holds something else, DataError if an image cannot be
/// read, Error if the disk is full. An empty file is packed as it is: it may stand in for an
/// unreadable image.
PackSummary pack(const ImageFolder& source, const std::filesystem::path& out,
                 const PackOptions& options);

}  // namespace ibot::data
