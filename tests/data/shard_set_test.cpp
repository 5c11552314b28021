#include "ibot/data/shard_set.h"

#include <gtest/gtest.h>

#include "data/packed_pictures.h"
#include "ibot/base/error.h"
#include "ibot/data/inspect.h"
#include "ibot/data/open_dataset.h"
#include "ibot/io/tar.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;
using testing::PackedPictures;

/// Members by name and content, as an archive of other making.
void write_tar(const fs::path& file,
               const std::vector<std::pair<std::string, std::string>>& members) {
  fs::create_directories(file.parent_path());
  io::write_file(file, [&](const io::ByteSink& sink) {
    io::TarWriter tar(sink);
    for (const auto& [name, content] : members) tar.add(name, content);
    tar.finish();
  });
}

std::string text(const testing::Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

std::string refusal(const std::string& where) {
  try {
    open_images(where);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

class FoundShards : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tar(folder_ / "train-09.tar", {{"x.cls", "2\n"}, {"x.JPG", "one"}, {"x.json", "{}"}});
    write_tar(folder_ / "train-10.tar",
              {{"d/y.jpg", "two"}, {"d/y.cls", "1"}, {"z.png", "three"}, {"readme.txt", "no"}});
    ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);
  }

  /// As if the shards had been there for a while.
  void let_rest() const {
    for (const char* name : {"train-09.tar", "train-10.tar"}) {
      fs::last_write_time(folder_ / name, fs::file_time_type::clock::now() - std::chrono::hours(1));
    }
  }

  /// Files that a search left behind.
  std::vector<fs::path> kept() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      if (entry.path().extension() == ".ibot-index") files.push_back(entry.path());
    }
    return files;
  }

  std::string where(const std::string& pattern) const { return (folder_ / pattern).string(); }

  const testing::TemporaryFolder folder_;
};

TEST_F(FoundShards, ASampleIsARunOfOneKey) {
  const ShardSet shards(where("train-{09..10}.tar"));
  ASSERT_EQ(shards.size(), 3);
  EXPECT_EQ(text(shards.read(0)), "one");
  EXPECT_EQ(text(shards.read(1)), "two");
  EXPECT_EQ(text(shards.read(2)), "three");
  EXPECT_EQ(shards.label(0), 2);
  EXPECT_EQ(shards.label(1), 1);
  EXPECT_EQ(shards.label(2), 0);
  EXPECT_EQ(shards.class_names(), (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(shards.path(1), where("train-10.tar") + ":d/y.jpg");
}

TEST_F(FoundShards, PatternsNameFiles) {
  EXPECT_EQ(ShardSet(where("*.tar")).size(), 3);
  EXPECT_EQ(ShardSet(where("train-{10,09}.tar")).path(0), where("train-10.tar") + ":d/y.jpg");
  EXPECT_EQ(ShardSet(where("train-?9.tar")).size(), 1);
  EXPECT_EQ(open_images(where("train-10.tar"))->size(), 2);
  EXPECT_EQ(open_images(folder_.path().string())->size(), 3);
  EXPECT_NE(refusal(where("test-*.tar")).find("found none"), std::string::npos);
  EXPECT_NE(refusal(where("train-{09..11}.tar")).find("train-11.tar: cannot open"),
            std::string::npos);
  EXPECT_NE(refusal(where("train-{a..b}.tar")).find("expected a range"), std::string::npos);
  write_tar(folder_ / "empty/a.tar", {{"a.txt", "x"}});
  EXPECT_NE(refusal(where("empty")).find("expected images in the shards"), std::string::npos);
}

TEST_F(FoundShards, AreSearchedOnce) {
  EXPECT_EQ(ShardSet(where("*.tar")).size(), 3);
  EXPECT_TRUE(kept().empty());  // too young to tell a change by its time
  let_rest();
  EXPECT_EQ(ShardSet(where("*.tar")).size(), 3);
  ASSERT_EQ(kept().size(), 1U);
  // Only who does not look again misses a change that keeps size and time.
  const auto time = fs::last_write_time(folder_ / "train-10.tar");
  auto bytes = testing::read_bytes(folder_ / "train-10.tar");
  bytes[0] ^= 1;
  testing::write_bytes(folder_ / "train-10.tar", bytes);
  fs::last_write_time(folder_ / "train-10.tar", time);
  EXPECT_EQ(ShardSet(where("*.tar")).path(1), where("train-10.tar") + ":d/y.jpg");
  fs::last_write_time(folder_ / "train-10.tar", time + std::chrono::seconds(1));
  EXPECT_NE(ShardSet(where("*.tar")).path(1).find(":byte 0"), std::string::npos);
}

TEST_F(FoundShards, ADamagedIndexIsMadeAnew) {
  let_rest();
  EXPECT_EQ(ShardSet(where("*.tar")).size(), 3);
  testing::write_bytes(kept().at(0), {'n', 'o'});
  EXPECT_EQ(ShardSet(where("*.tar")).size(), 3);
  EXPECT_GT(fs::file_size(kept().at(0)), 100U);
}

TEST_F(FoundShards, DamageIsASampleThatCannotBeRead) {
  write_tar(folder_ / "bad/a.tar", {{"a.jpg", "one"},
                                    {"b.jpg", "two"},
                                    {"b.cls", "dog"},
                                    {"ok.jpg", "three"},
                                    {"c.jpg", std::string(3000, 'x')}});
  auto bytes = testing::read_bytes(folder_ / "bad/a.tar");
  bytes[100] ^= 1;
  bytes.resize(9 * 512 + 3000 / 2);
  testing::write_bytes(folder_ / "bad/a.tar", bytes);
  const ShardSet shards(where("bad"));
  ASSERT_EQ(shards.size(), 4);
  EXPECT_NE(shards.path(0).find("byte 0 (wrong checksum"), std::string::npos);
  EXPECT_NE(shards.path(1).find("b.jpg (b.cls: expected the number"), std::string::npos);
  EXPECT_NE(shards.path(3).find("c.jpg (cut off"), std::string::npos);
  for (const int64_t i : {0, 1, 3}) EXPECT_THROW(shards.read(i), DataError);
  EXPECT_EQ(text(shards.read(2)), "three");
}

TEST(ShardSet, EvaluationsReadShardsForFolders) {
  const PackedPictures packed(12);
  const testing::TemporaryFolder root;
  fs::copy(packed.path(), root / "train", fs::copy_options::recursive);
  const auto train = open_dataset(root.path(), Split::kTrain, {});
  EXPECT_EQ(train->size(), 12);
  EXPECT_EQ(testing::content_of(*train), testing::content_of(packed.folder()));
}

TEST(ShardSet, RefusesADamagedIndex) {
  const PackedPictures packed(12);
  const auto file = packed.path() / kIndexFile;
  const auto whole = testing::read_bytes(file);
  for (size_t i = 0; i < whole.size(); i += 7) {
    auto bytes = whole;
    bytes[i] ^= 1;
    testing::write_bytes(file, bytes);
    EXPECT_NE(refusal(packed.path().string()).find(kIndexFile), std::string::npos) << i;
  }
  testing::write_bytes(file, {whole.begin(), whole.end() - 1});
  EXPECT_NE(refusal(packed.path().string()).find(kIndexFile), std::string::npos);
}

TEST(ShardSet, ManyThreadsReadManyShards) {
  const PackedPictures packed(60);
  const auto shards = packed.open();
  EXPECT_TRUE(verify(shards, 4).empty());
}

}  // namespace
}  // namespace ibot::data
