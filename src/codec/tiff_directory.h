// The entries of a TIFF's first directory, read in place.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "codec/codecs.h"

namespace ibot::data {

/// The tags that decide pixels.
enum class TiffTag : uint16_t {
  kWidth = 256,
  kHeight = 257,
  kBitsPerSample = 258,
  kCompression = 259,
  kPhotometric = 262,
  kFillOrder = 266,
  kStripOffsets = 273,
  kOrientation = 274,
  kSamplesPerPixel = 277,
  kRowsPerStrip = 278,
  kPlanarConfiguration = 284,
  kColorMap = 320,
  kTileWidth = 322,
  kTileLength = 323,
  kTileOffsets = 324,
  kExtraSamples = 338,
  kSampleFormat = 339,
  kXmp = 700,
};

/// Classic TIFF and BigTIFF in both byte orders. Of two entries with the same tag the later counts,
/// as in Pillow; an entry whose values the file does not hold completely is ignored.
class TiffDirectory {
 public:
  /// Whether the bytes begin like a TIFF.
  static bool begins(Bytes bytes);
  /// Requires begins(bytes).
  explicit TiffDirectory(Bytes bytes);

  bool little_endian() const { return little_; }
  /// BigTIFF.
  bool big() const { return big_; }
  /// Whether the file holds all entries, and the values of those that decide pixels.
  bool is_whole() const;
  /// Numbers of an entry; empty if absent.
  std::vector<int64_t> values(TiffTag tag) const;
  /// The first number of an entry.
  std::optional<int64_t> value(TiffTag tag) const;
  int64_t value_or(TiffTag tag, int64_t absent) const { return value(tag).value_or(absent); }
  /// The raw bytes of an entry.
  Bytes content(TiffTag tag) const;
  /// From the entry, else from XMP, else 1.
  int64_t orientation() const;

 private:
  struct Entry {
    int64_t size = 0;  // of one value in bytes
    Bytes content;
  };
  /// Offset of the entries, their stated number and how many of them the file holds.
  struct Range {
    int64_t begin = 0;
    int64_t stated = 0;
    int64_t held = 0;
  };
  std::optional<Range> entries() const;
  std::optional<size_t> position_of(TiffTag tag) const;
  std::optional<Entry> find(TiffTag tag) const;
  std::optional<Entry> entry_at(size_t position) const;
  int64_t entry_size() const { return big_ ? 20 : 12; }
  int64_t number(Bytes bytes, size_t position, int64_t size) const;

  Bytes bytes_;
  bool little_;
  bool big_;
};

}  // namespace ibot::data
