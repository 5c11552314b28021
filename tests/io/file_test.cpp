#include "ibot/io/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "support/temporary_folder.h"

namespace ibot::io {
namespace {

using ::testing::AllOf;
using testing::entries_in;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(File, ReturnsWhatWasWritten) {
  const TemporaryFolder folder;
  const std::string content("a\0b\nc", 5);
  write_file(folder / "x", content);
  EXPECT_EQ(read_file(folder / "x"), content);
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(File, JoinsThePiecesOfASink) {
  const TemporaryFolder folder;
  write_file(folder / "x", [](const ByteSink& sink) {
    sink("ab", 2);
    sink("", 0);
    sink("cd", 2);
  });
  EXPECT_EQ(read_file(folder / "x"), "abcd");
}

TEST(File, ReadsFilesThatReportNoSize) {
  EXPECT_THAT(read_file("/proc/self/status"), HasSubstr("Name:"));
}

TEST(File, ShowsTheOldContentUntilTheNewIsWhole) {
  const TemporaryFolder folder;
  write_file(folder / "x", "old");
  write_file(folder / "x", [&](const ByteSink& sink) {
    sink("new", 3);
    EXPECT_EQ(read_file(folder / "x"), "old");
  });
  EXPECT_EQ(read_file(folder / "x"), "new");
}

TEST(File, ReplacesWhatAKilledRunLeftBehind) {
  const TemporaryFolder folder;
  write_file(folder / "x.tmp", "half of a longer file");
  write_file(folder / "x", "new");
  EXPECT_EQ(read_file(folder / "x"), "new");
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(File, KeepsTheOldFileWhenTheWriterThrows) {
  const TemporaryFolder folder;
  write_file(folder / "x", "old");
  EXPECT_EQ(refusal([&] {
              write_file(folder / "x", [](const ByteSink& sink) {
                sink("new", 3);
                throw Error("stop");
              });
            }),
            "stop");
  EXPECT_EQ(read_file(folder / "x"), "old");
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

// The limit on file size reaches write(2) as any full disk does: some bytes, then an error.
TEST(File, KeepsTheOldFileWhenWritingFails) {
  const TemporaryFolder folder;
  write_file(folder / "x", "old");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto message = refusal([&] { write_file(folder / "x", std::string(4000, 'n')); });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, AllOf(HasSubstr((folder / "x").string()), HasSubstr("File too large")));
  EXPECT_EQ(read_file(folder / "x"), "old");
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(File, KeepsTheOldFileOnAFullDisk) {
  const TemporaryFolder folder;
  const auto disk = folder / "disk";
  std::filesystem::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "mounting a small disk needs privileges";
  }
  write_file(disk / "x", "old");
  const auto message = refusal([&] { write_file(disk / "x", std::string(1 << 20, 'n')); });
  EXPECT_THAT(message, AllOf(HasSubstr((disk / "x").string()), HasSubstr("No space left")));
  EXPECT_EQ(read_file(disk / "x"), "old");
  EXPECT_EQ(entries_in(disk), 1u);
  EXPECT_EQ(::umount(disk.c_str()), 0);
}

TEST(File, ALinkIsTheSameFileAndOutlivesIt) {
  const TemporaryFolder folder;
  write_file(folder / "a", "one");
  write_file(folder / "name", "old");
  link_file(folder / "a", folder / "name");
  EXPECT_TRUE(std::filesystem::equivalent(folder / "a", folder / "name"));
  link_file(folder / "a", folder / "name");  // again: nothing is left behind
  EXPECT_EQ(entries_in(folder.path()), 2u);
  write_file(folder / "a", "two");
  EXPECT_EQ(read_file(folder / "name"), "one");
  EXPECT_THAT(refusal([&] { link_file(folder / "b", folder / "name"); }),
              HasSubstr("No such file"));
  EXPECT_EQ(read_file(folder / "name"), "one");
}

TEST(File, ADigestTellsContentsApart) {
  const TemporaryFolder folder;
  const std::string content(3'000'000, 'c');
  write_file(folder / "x", content);
  auto changed = content;
  changed[2'000'000] ^= 1;
  write_file(folder / "y", changed);
  Hash hash;
  hash.add(content);
  EXPECT_EQ(digest_of(folder / "x"), (FileDigest{3'000'000, hash.hex()}));
  EXPECT_NE(digest_of(folder / "x"), digest_of(folder / "y"));
  EXPECT_THAT(refusal([&] { digest_of(folder / "z"); }), HasSubstr("No such file"));
}

TEST(File, NamesAnUnwritableFolder) {
  const TemporaryFolder folder;
  ASSERT_EQ(::chmod(folder.path().c_str(), 0555), 0);
  // Root may write anywhere, so become somebody else for a moment.
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const auto message = refusal([&] { write_file(folder / "x", "new"); });
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  EXPECT_THAT(message, AllOf(HasSubstr((folder / "x").string()), HasSubstr("Permission denied")));
}

TEST(File, NamesWhatIsMissing) {
  const TemporaryFolder folder;
  const auto path = folder / "none" / "x";
  EXPECT_THAT(refusal([&] { write_file(path, "new"); }),
              AllOf(HasSubstr(path.string()), HasSubstr("No such file")));
  EXPECT_THAT(refusal([&] { read_file(path); }),
              AllOf(HasSubstr(path.string()), HasSubstr("No such file")));
  EXPECT_THAT(refusal([&] { read_file(folder.path()); }), HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace ibot::io
