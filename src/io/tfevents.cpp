#include "ibot/io/tfevents.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <string>

#include "ibot/base/error.h"

namespace ibot::io {

namespace {

constexpr std::array<uint32_t, 256> crc32c_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t rest = byte;
    // The Castagnoli polynomial, bits reversed.
    for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ (rest & 1 ? 0x82f63b78u : 0u);
    table[byte] = rest;
  }
  return table;
}

/// CRC-32C, rotated and offset as the record format prescribes: a CRC over data that contain CRCs
/// detects less.
uint32_t masked_crc32c(std::string_view data) {
  static constexpr auto kTable = crc32c_table();
  uint32_t crc = ~0u;
  for (const char byte : data) crc = crc >> 8 ^ kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xff];
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

// Protocol-buffer wire types; a field is the varint (number << 3 | type), then its value. All field
// numbers here are below 16, so the key is one byte.
enum WireType : char { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string key(int field, WireType type) { return {static_cast<char>(field << 3 | type)}; }

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes += static_cast<char>(value);
}

std::string bytes_field(int field, std::string_view content) {
  return key(field, kBytes) + varint(content.size()) + std::string(content);
}

// Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
std::string wall_time_field(double seconds) { return key(1, kFixed64) + little_endian(seconds); }

std::string step_field(int64_t step) {
  return key(2, kVarint) + varint(static_cast<uint64_t>(step));
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

}  // namespace

EventWriter::EventWriter(const std::filesystem::path& folder, int64_t first_step) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  const auto path = folder / concat("events.out.tfevents.", seconds, '.', host_name());
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  IBOT_CHECK(!error, "cannot write ", folder.string(), ": ", error.message());
  // A second writer within the same second appends to the same file, which readers accept.
  file_.emplace(path);
  const auto time = wall_time_field(static_cast<double>(seconds));
  add_record(time + bytes_field(3, "brain.Event:2"));
  // SessionLog START: TensorBoard purges earlier events from this step on.
  const auto session_started = key(1, kVarint) + varint(1);
  add_record(time + step_field(first_step) + bytes_field(7, session_started));
}

void EventWriter::add_scalar(std::string_view tag, int64_t step, double value, double wall_time) {
  // Summary.Value: tag = 1, simple_value = 2.
  const auto entry =
      bytes_field(1, tag) + key(2, kFixed32) + little_endian(static_cast<float>(value));
  const auto summary = bytes_field(1, entry);
  add_record(wall_time_field(wall_time) + step_field(step) + bytes_field(5, summary));
}

void EventWriter::add_record(std::string_view event) {
  // u64 length, masked CRC of the length, event, masked CRC of the event.
  const auto length = little_endian(static_cast<uint64_t>(event.size()));
  std::string record = length + little_endian(masked_crc32c(length));
  record.append(event).append(little_endian(masked_crc32c(event)));
  file_->append(record);
}

}  // namespace ibot::io
