// Event files that TensorBoard opens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "ibot/io/append_file.h"

namespace ibot::io {

/// Writes scalars to `events.out.tfevents.<time>.<host>` in a folder, which it creates. Each call
/// reaches the file before it returns, so that a killed run loses nothing. Readers drop what
/// earlier files of the folder say of `first_step` and later ones, so that a run may begin again
/// there.
///
/// Throws Error with the path and the system's reason; a scalar that a full disk did not take
/// follows with the next, as AppendFile says.
/// Source: TensorFlow's record format and event.proto, of which scalars need six fields.
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
