// What counts as the same images.
#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "ibot/data/cifar.h"
#include "ibot/data/class_match.h"
#include "ibot/data/file_list.h"
#include "ibot/io/tar.h"
#include "ibot/loading/open_dataset.h"
#include "shards/packed_pictures.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;
using testing::PackedPictures;
using testing::TemporaryFolder;
using testing::write_bytes;

class ContentHash : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a/1.jpg", "a/2.jpg", "b/1.jpg"}) write_bytes(root_ / name, {1, 2, 3});
  }
  std::string hash() const { return ImageFolder(root_).content_hash(); }

  const TemporaryFolder folder_;
  const fs::path root_ = folder_ / "set";
};

TEST_F(ContentHash, OfAFolderFollowsEveryChange) {
  std::set<std::string> seen{hash()};
  const auto expect_another = [&](const char* change) {
    EXPECT_TRUE(seen.insert(hash()).second) << change;
  };
  const auto time = fs::last_write_time(root_ / "a/2.jpg");
  write_bytes(root_ / "a/2.jpg", {1, 2, 4});
  fs::last_write_time(root_ / "a/2.jpg", time);
  expect_another("other bytes, as many and of the same time");
  fs::rename(root_ / "a/2.jpg", root_ / "a/3.jpg");
  expect_another("another name");
  fs::create_directory(root_ / "a/deep");
  fs::rename(root_ / "a/3.jpg", root_ / "a/deep/3.jpg");
  expect_another("another folder");
  fs::rename(root_ / "a/deep/3.jpg", root_ / "b/3.jpg");
  expect_another("another class");
  fs::rename(root_ / "b", root_ / "c");
  expect_another("another name of a class");
  fs::create_directory(root_ / "d");
  expect_another("a class without images");
}

TEST_F(ContentHash, OfAFolderIsThatOfItsCopy) {
  const auto before = hash();
  fs::copy(root_, folder_ / "copy", fs::copy_options::recursive);
  EXPECT_EQ(ImageFolder(folder_ / "copy").content_hash(), before);
}

// Of a set that is too large to be read at once: sparse files take no room.
TEST_F(ContentHash, OfALargeFolderFollowsSizesAndTimes) {
  fs::resize_file(root_ / "b/1.jpg", 65 << 20);
  const auto before = hash();
  EXPECT_EQ(hash(), before);
  const auto time = fs::last_write_time(root_ / "a/1.jpg");
  fs::last_write_time(root_ / "a/1.jpg", time + std::chrono::nanoseconds(1));
  EXPECT_NE(hash(), before);
  fs::last_write_time(root_ / "a/1.jpg", time);
  EXPECT_EQ(hash(), before);
  write_bytes(root_ / "a/1.jpg", {1, 2, 3, 4});
  fs::last_write_time(root_ / "a/1.jpg", time);
  EXPECT_NE(hash(), before);
}

TEST_F(ContentHash, OfAListIsThatOfTheImagesItNames) {
  const auto list = [&](const std::string& lines) {
    write_bytes(folder_ / "list.txt", testing::Bytes(lines.begin(), lines.end()));
    return listed_images(root_, folder_ / "list.txt").content_hash();
  };
  const auto both = list("a/1.jpg\nb/1.jpg\n");
  EXPECT_EQ(list("b/1.jpg\na/1.jpg\n"), both);
  EXPECT_NE(list("a/2.jpg\nb/1.jpg\n"), both);
  write_bytes(root_ / "a/1.jpg", {3});
  EXPECT_NE(list("a/1.jpg\nb/1.jpg\n"), both);
}

TEST_F(ContentHash, OfTestImagesFollowsTheClassesTheyAreMatchedWith) {
  write_bytes(folder_ / "more/0/1.jpg", {1});
  write_bytes(folder_ / "more/a/1.jpg", {1});
  write_bytes(folder_ / "more/b/1.jpg", {1});
  const ImageFolder test(root_), more(folder_ / "more");
  const MatchedDataset alone(test, test, match_classes(test, test));
  const MatchedDataset shifted(more, test, match_classes(more, test));
  EXPECT_NE(alone.content_hash(), shifted.content_hash());
}

TEST(ContentHashOfShards, OfPackedOnesIsThatOfTheirIndex) {
  const PackedPictures pictures(20), same(20), others(21);
  EXPECT_EQ(pictures.open().content_hash(), same.open().content_hash());
  EXPECT_NE(pictures.open().content_hash(), others.open().content_hash());
  const auto some = ShardSet(pictures.shard(0).string()).content_hash();
  EXPECT_NE(some, pictures.open().content_hash());
}

TEST(ContentHashOfShards, OfOthersFollowsTheirBytes) {
  const TemporaryFolder folder;
  ::setenv("XDG_CACHE_HOME", (folder / "cache").c_str(), 1);
  const auto write = [&](const std::string& image, const std::string& label) {
    fs::create_directories(folder / "set");
    io::write_file(folder / "set/0.tar", [&](const io::ByteSink& sink) {
      io::TarWriter tar(sink);
      tar.add("x.jpg", image);
      tar.add("x.cls", label);
      tar.finish();
    });
    return open_images((folder / "set").string())->content_hash();
  };
  const auto before = write("one", "1");
  const auto time = fs::last_write_time(folder / "set/0.tar");
  EXPECT_EQ(write("one", "1"), before);
  EXPECT_NE(write("one", "0"), before);
  EXPECT_NE(write("two", "1"), before);
  fs::last_write_time(folder / "set/0.tar", time);
  EXPECT_NE(open_images((folder / "set").string())->content_hash(), before);
}

TEST(ContentHashOfCifar, FollowsPixelsAndLabels) {
  const TemporaryFolder folder;
  std::string names;
  for (int i = 0; i < 100; ++i) names += std::to_string(i) + "\n";
  write_bytes(folder / "fine_label_names.txt", testing::Bytes(names.begin(), names.end()));
  const auto hash_of = [&](uint8_t label, uint8_t pixel) {
    testing::Bytes record(2 + 3072, 7);
    record[1] = label;
    record.back() = pixel;
    write_bytes(folder / "test.bin", record);
    return Cifar(folder.path(), CifarKind::kCifar100, Split::kVal).content_hash();
  };
  const auto before = hash_of(1, 0);
  EXPECT_EQ(hash_of(1, 0), before);
  EXPECT_NE(hash_of(2, 0), before);
  EXPECT_NE(hash_of(1, 1), before);
}

}  // namespace
}  // namespace ibot::data
