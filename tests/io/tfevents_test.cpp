#include "ibot/io/tfevents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "support/temporary_folder.h"

namespace ibot::io {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

// CRC-32C by long division, one bit at a time.
uint32_t crc32c(const std::string& data) {
  uint64_t rest = 0;
  std::string bits;
  for (const char byte : data) {
    for (int bit = 0; bit < 8; ++bit) bits += static_cast<char>((byte >> bit) & 1);
  }
  bits += std::string(32, '\0');
  for (size_t i = 0; i < bits.size(); ++i) {
    const uint64_t in = static_cast<uint64_t>(bits[i]) ^ (i < 32 ? 1u : 0u);
    rest = rest << 1 | in;
    if (rest >> 32 & 1) rest ^= 0x11edc6f41ull;
  }
  uint32_t reflected = 0;
  for (int bit = 0; bit < 32; ++bit)
    reflected |= static_cast<uint32_t>(rest >> bit & 1) << (31 - bit);
  return ~reflected;
}

uint32_t unmasked(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return rotated << 15 | rotated >> 17;
}

template <class T>
T take(std::string& data) {
  T value;
  EXPECT_GE(data.size(), sizeof(T));
  std::memcpy(&value, data.data(), sizeof(T));
  data.erase(0, sizeof(T));
  return value;
}

std::vector<std::string> records(std::string file) {
  std::vector<std::string> result;
  while (!file.empty()) {
    const auto head = file.substr(0, 8);
    const auto length = take<uint64_t>(file);
    EXPECT_EQ(unmasked(take<uint32_t>(file)), crc32c(head));
    result.push_back(file.substr(0, length));
    file.erase(0, length);
    EXPECT_EQ(unmasked(take<uint32_t>(file)), crc32c(result.back()));
  }
  return result;
}

std::filesystem::path only_file(const std::filesystem::path& folder) {
  EXPECT_EQ(testing::entries_in(folder), 1u);
  return std::filesystem::directory_iterator(folder)->path();
}

TEST(TfEvents, TheTestsChecksumIsThePublishedOne) { EXPECT_EQ(crc32c("123456789"), 0xe3069283u); }

TEST(TfEvents, WritesRecordsByteForByte) {
  const TemporaryFolder folder;
  EventWriter writer(folder / "tensorboard", 300);
  writer.add_scalar("loss", 300, 1.5, 2.0);
  const auto path = only_file(folder / "tensorboard");
  EXPECT_THAT(path.filename().string(), HasSubstr("events.out.tfevents."));
  const auto events = records(read_file(path));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].substr(9), std::string("\x1a\x0d"
                                             "brain.Event:2"));
  // step 300 = 0b10'0101100, session_log { status START }
  EXPECT_EQ(events[1].substr(9), std::string("\x10\xac\x02"
                                             "\x3a\x02\x08\x01"));
  // wall_time 2.0, step 300, summary { value { tag "loss" simple_value 1.5 } }
  const std::string expected(
      "\x09\0\0\0\0\0\0\0\x40"
      "\x10\xac\x02"
      "\x2a\x0d"
      "\x0a\x0b"
      "\x0a\x04"
      "loss"
      "\x15\0\0\xc0\x3f",
      27);
  EXPECT_EQ(events[2], expected);
}

TEST(TfEvents, EachCallReachesTheFile) {
  const TemporaryFolder folder;
  EventWriter writer(folder.path(), 0);
  for (size_t step = 0; step < 3; ++step) {
    writer.add_scalar("train/loss", static_cast<int64_t>(step), 0.0, 0.0);
    EXPECT_EQ(records(read_file(only_file(folder.path()))).size(), step + 3);
  }
}

TEST(TfEvents, NamesAFolderThatCannotBe) {
  const TemporaryFolder folder;
  write_file(folder / "x", "a file");
  try {
    EventWriter writer(folder / "x", 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr((folder / "x").string()));
  }
}

std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  ::pclose(pipe);
  return output;
}

/// What Python's tensorboard reads in a folder, a line a tag.
std::string read_by_tensorboard(const std::filesystem::path& folder) {
  return output_of(
      "python3 -c '\n"
      "from tensorboard.backend.event_processing import event_accumulator\n"
      "events = event_accumulator.EventAccumulator(\"" +
      folder.string() +
      "\").Reload()\n"
      "for tag in sorted(events.Tags()[\"scalars\"]):\n"
      "  print(tag, [(e.wall_time, e.step, e.value) for e in events.Scalars(tag)])'"
      " 2>/dev/null");
}

bool have_tensorboard() {
  return output_of("python3 -c 'import tensorboard; print(1)' 2>/dev/null") == "1\n";
}

TEST(TfEvents, TensorBoardReadsThem) {
  if (!have_tensorboard()) GTEST_SKIP() << "python3 has no tensorboard";
  const TemporaryFolder folder;
  EventWriter writer(folder.path(), 0);
  writer.add_scalar("loss", 1, 0.5, 1700000000.25);
  writer.add_scalar("lr", 1, 0.125, 1700000000.5);
  writer.add_scalar("loss", 5000000000, -2.0, 1700000001.0);
  EXPECT_EQ(read_by_tensorboard(folder.path()),
            "loss [(1700000000.25, 1, 0.5), (1700000001.0, 5000000000, -2.0)]\n"
            "lr [(1700000000.5, 1, 0.125)]\n");
}

TEST(TfEvents, TensorBoardDropsWhatALaterWriterBeginsAgain) {
  if (!have_tensorboard()) GTEST_SKIP() << "python3 has no tensorboard";
  const TemporaryFolder folder;
  EventWriter first(folder.path(), 0);
  for (const int64_t step : {1, 2, 3}) first.add_scalar("loss", step, 0.5, 1700000000.0);
  EventWriter second(folder.path(), 3);
  second.add_scalar("loss", 3, 0.25, 1700000001.0);
  EXPECT_EQ(read_by_tensorboard(folder.path()),
            "loss [(1700000000.0, 1, 0.5), (1700000000.0, 2, 0.5), (1700000001.0, 3, 0.25)]\n");
}

}  // namespace
}  // namespace ibot::io
