// Files of torch.save from bytes that a test writes.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "ibot/base/error.h"
#include "ibot/io/torch_file.h"
#include "support/temporary_folder.h"

namespace ibot::io {

inline Value read(const std::string& bytes) {
  static const testing::TemporaryFolder folder;
  std::ofstream(folder / "x.pth", std::ios::binary) << bytes;
  return read_torch_file(folder / "x.pth").root;
}

/// What reading the bytes is refused with; empty where it is not. Always one line naming the file.
inline std::string refusal(const std::string& bytes) {
  try {
    read(bytes);
  } catch (const CheckpointError& error) {
    const std::string text = error.what();
    EXPECT_THAT(text, ::testing::HasSubstr("x.pth: "));
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  return {};
}

inline const std::string kFloats(16, '\0');  // four of them

}  // namespace ibot::io
