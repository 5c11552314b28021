#include "ibot/io/append_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "support/temporary_folder.h"

namespace ibot::io {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// While it lives no file of this process grows beyond `bytes`: some are written, then an error.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit small{bytes, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  }
  ~SmallFiles() {
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before_), 0);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(AppendFile, GoesOnWhereTheFileEnds) {
  const TemporaryFolder folder;
  write_file(folder / "x", "a\n");
  AppendFile file(folder / "x");
  file.append("b\n");
  EXPECT_EQ(read_file(folder / "x"), "a\nb\n");
}

// The third record is cut in two by the full disk, the fourth does not begin.
TEST(AppendFile, NothingIsMissingOnceThereIsRoom) {
  const TemporaryFolder folder;
  AppendFile file(folder / "x");
  file.append("first\n");
  {
    const SmallFiles full(16);
    file.append("second\n");
    EXPECT_THROW(file.append("third\n"), Error);
    EXPECT_EQ(read_file(folder / "x"), "first\nsecond\nthi");
    EXPECT_THROW(file.append("fourth\n"), Error);
  }
  file.append("fifth\n");
  EXPECT_EQ(read_file(folder / "x"), "first\nsecond\nthird\nfourth\nfifth\n");
}

TEST(AppendFile, WhatWaitsAtTheEndIsTriedOnceMore) {
  const TemporaryFolder folder;
  {
    AppendFile file(folder / "x");
    const SmallFiles full(3);
    EXPECT_THROW(file.append("first\n"), Error);
    EXPECT_THROW(file.flush(), Error);
  }
  EXPECT_EQ(read_file(folder / "x"), "first\n");
}

TEST(AppendFile, WhatWaitsIsBoundedAndWhole) {
  const TemporaryFolder folder;
  AppendFile file(folder / "x");
  const std::string record(1 << 20, 'r');
  {
    const SmallFiles full(10);
    for (int i = 0; i < 20; ++i) EXPECT_THROW(file.append(record), Error);
  }
  file.append("");
  const auto size = read_file(folder / "x").size();
  EXPECT_EQ(size % record.size(), 0u);
  EXPECT_GE(size / record.size(), 4u);
  EXPECT_LE(size / record.size(), 6u);
}

TEST(AppendFile, NamesWhatCannotBeOpened) {
  const TemporaryFolder folder;
  try {
    AppendFile(folder / "none" / "x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("none/x: No such file"));
  }
}

}  // namespace
}  // namespace ibot::io
