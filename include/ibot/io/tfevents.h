// TensorBoard event files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "ibot/io/append_file.h"

namespace ibot::io {

/// Writes scalars to `events.out.tfevents.<time>.<host>` in a folder, which it creates. Each call
/// reaches the file before it returns, so a killed run loses nothing. Readers discard what earlier
/// files of the folder hold from `first_step` on, so a resumed run may repeat steps.
///
/// Throws Error with the path and the system's reason; a scalar that a full disk rejected is
/// queued, see AppendFile. Source: TensorFlow's TFRecord format and event.proto, of which scalars
/// need six fields.
class EventWriter {
 public:
  EventWriter(const std::filesystem::path& folder, int64_t first_step);

  /// `wall_time` in seconds since 1970.
  void add_scalar(std::string_view tag, int64_t step, double value, double wall_time);
  /// As AppendFile::flush.
  void flush() { file_->flush(); }

 private:
  void add_record(std::string_view event);

  std::optional<AppendFile> file_;
};

}  // namespace ibot::io
