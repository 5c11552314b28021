#include "codec/tiff_source.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "ibot/base/error.h"

namespace ibot::data {

tmsize_t TiffSource::read(thandle_t self, void* to, tmsize_t size) {
  auto& source = *static_cast<TiffSource*>(self);
  const uint64_t end = source.bytes_.size();
  // libtiff may seek beyond the end: a read there returns nothing.
  const uint64_t left = end - std::min(source.position_, end);
  const auto count = std::min<uint64_t>(std::max<tmsize_t>(size, 0), left);
  if (count > 0) std::memcpy(to, source.bytes_.data() + source.position_, count);
  source.position_ += count;
  return static_cast<tmsize_t>(count);
}

toff_t TiffSource::seek(thandle_t self, toff_t offset, int from) {
  auto& source = *static_cast<TiffSource*>(self);
  if (from == SEEK_CUR) offset += source.position_;
  if (from == SEEK_END) offset += source.bytes_.size();
  return source.position_ = offset;
}

// A return value of 1 keeps libtiff from calling the global handler, which prints.
int TiffSource::keep_error(TIFF*, void* self, const char*, const char* format, va_list arguments) {
  auto& message = static_cast<TiffSource*>(self)->error_;
  if (message[0] == 0) std::vsnprintf(message.data(), message.size(), format, arguments);
  return 1;
}

int TiffSource::keep_warning(TIFF*, void* self, const char*, const char* format,
                             va_list arguments) {
  auto& message = static_cast<TiffSource*>(self)->warning_;
  if (message[0] == 0) std::vsnprintf(message.data(), message.size(), format, arguments);
  return 1;
}

TiffSource::TiffSource(Bytes bytes, int64_t largest_block, const std::string& name)
    : bytes_(bytes), name_(name) {
  const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                             TIFFOpenOptionsFree);
  IBOT_CHECK(options != nullptr, "libtiff: out of memory");
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), largest_block);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_error, this);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), keep_warning, this);
  // Mode "m" (no memory mapping): uncompressed pixels are copied once, and their stated byte
  // counts, which some programs write wrongly, do not matter.
  handle_ = TIFFClientOpenExt(
      "TIFF", "rm", this, read, [](thandle_t, void*, tmsize_t) -> tmsize_t { return 0; }, seek,
      [](thandle_t) { return 0; },
      [](thandle_t self) -> toff_t { return static_cast<TiffSource*>(self)->bytes_.size(); },
      [](thandle_t, void**, toff_t*) { return 0; }, [](thandle_t, void*, toff_t) {}, options.get());
  require(handle_ != nullptr);
}

TiffSource::~TiffSource() {
  if (handle_ != nullptr) TIFFClose(handle_);
}

void TiffSource::expect_more_than_rows() {
  uint16_t compression = COMPRESSION_NONE;
  TIFFGetField(handle_, TIFFTAG_COMPRESSION, &compression);
  if (compression != COMPRESSION_DEFLATE && compression != COMPRESSION_ADOBE_DEFLATE) return;
  TIFFSetField(handle_, TIFFTAG_DEFLATE_SUBCODEC, DEFLATE_SUBCODEC_ZLIB);
}

void TiffSource::require(bool ok, const char* reason) const {
  IBOT_CHECK_AS(DataError, ok, name_,
                ": TIFF file is truncated or damaged: ", error_[0] != 0 ? error_.data() : reason);
}

}  // namespace ibot::data
