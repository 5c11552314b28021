// A TIFF in memory, opened by libtiff.
#pragma once

#include <tiffio.h>

#include <array>
#include <string>

#include "codec/codecs.h"

namespace ibot::data {

/// Owns libtiff's handle; its messages are kept here and printed nowhere.
class TiffSource {
 public:
  /// `largest_block` limits each allocation of libtiff, in bytes. Throws DataError, naming `name`,
  /// if the first directory cannot be read.
  TiffSource(Bytes bytes, int64_t largest_block, const std::string& name);
  ~TiffSource();
  TiffSource(const TiffSource&) = delete;

  TIFF* handle() { return handle_; }
  /// Throws DataError with libtiff's first message, or `reason` without one, unless `ok`.
  void require(bool ok, const char* reason = "libtiff gives no reason") const;
  /// From now on strips may hold more data than their rows, as some programs pad the last one.
  /// Selects zlib, which decodes them completely: the faster libdeflate leaves bytes at the end
  /// unwritten.
  void expect_more_than_rows();
  /// The first warning since the last call to forget_warning().
  std::string warning() const { return warning_.data(); }
  /// Discards warnings of the directory, such as unknown tags.
  void forget_warning() { warning_[0] = 0; }

 private:
  using Message = std::array<char, 256>;
  static tmsize_t read(thandle_t self, void* to, tmsize_t size);
  static toff_t seek(thandle_t self, toff_t offset, int from);
  static int keep_error(TIFF*, void* self, const char*, const char* format, va_list arguments);
  static int keep_warning(TIFF*, void* self, const char*, const char* format, va_list arguments);

  Bytes bytes_;
  uint64_t position_ = 0;
  std::string name_;
  Message error_{};
  Message warning_{};
  TIFF* handle_ = nullptr;
};

}  // namespace ibot::data
