#include "ibot/shards/shard_set.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "ibot/base/error.h"
#include "ibot/loading/inspect.h"
#include "ibot/loading/open_dataset.h"
#include "shards/archives.h"
#include "shards/packed_pictures.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;
using testing::PackedPictures;
using testing::write_tar;

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
              {{"d/y.jpg", "two"}, {"d/y.cls", "1"}, {"z.png", "three"}, {"z.cls", "0"}});
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

// Of class 0 by silence: they would be trained on under a wrong label.
TEST_F(FoundShards, AnImageWithoutALabelIsDamagedWhereOthersHaveOne) {
  write_tar(folder_ / "some/a.tar", {{"a.jpg", "one"}, {"b.jpg", "two"}, {"b.cls", "1"}});
  const ShardSet some(where("some"));
  EXPECT_NE(some.path(0).find("a.jpg (without a label)"), std::string::npos);
  EXPECT_THROW(some.read(0), DataError);
  EXPECT_EQ(text(some.read(1)), "two");
  write_tar(folder_ / "none/a.tar", {{"a.jpg", "one"}, {"b.jpg", "two"}});
  const ShardSet none(where("none"));
  EXPECT_EQ(text(none.read(0)), "one");
  EXPECT_EQ(none.class_names(), std::vector<std::string>{""});

  // The header of x.cls, first in its shard.
  testing::flip_byte(folder_ / "train-09.tar", 100);
  const ShardSet broken(where("train-09.tar"));
  ASSERT_EQ(broken.size(), 2);
  EXPECT_EQ(text(broken.read(1)), "one");  // no label is left in the set
  EXPECT_THROW(ShardSet(where("*.tar")).read(1), DataError);
}

TEST_F(FoundShards, AHugeLabelIsDamageNotMemory) {
  write_tar(folder_ / "huge/a.tar",
            {{"a.jpg", "one"}, {"a.cls", "2147483647"}, {"b.jpg", "two"}, {"b.cls", "1"}});
  const ShardSet shards(where("huge"));
  EXPECT_EQ(shards.class_names().size(), 2U);
  EXPECT_NE(shards.path(0).find("a.cls: expected the number of a class, below 10000000"),
            std::string::npos);
}

TEST_F(FoundShards, VerifyLooksAtHeadersAgain) {
  let_rest();
  EXPECT_EQ(ShardSet(where("*.tar")).size(), 3);
  const auto time = fs::last_write_time(folder_ / "train-10.tar");
  testing::flip_byte(folder_ / "train-10.tar", 3);            // d/y.jpg
  testing::flip_byte(folder_ / "train-10.tar", 2 * 512 + 3);  // d/y.cls
  fs::last_write_time(folder_ / "train-10.tar", time);
  const ShardSet shards(where("*.tar"));
  const auto damaged = shards.damaged_containers(1);
  ASSERT_EQ(damaged.size(), 1U);
  EXPECT_EQ(damaged[0].sample, 1);
  EXPECT_NE(damaged[0].reason.find("checksum"), std::string::npos);
  testing::flip_byte(folder_ / "train-10.tar", 3);
  fs::last_write_time(folder_ / "train-10.tar", time);
  const auto label = shards.damaged_containers(1);
  ASSERT_EQ(label.size(), 1U);
  EXPECT_EQ(label[0].path, where("train-10.tar"));
  EXPECT_NE(label[0].reason.find("byte 1024: wrong checksum"), std::string::npos);
}

TEST_F(FoundShards, WildcardsInFoldersMakeNoFolders) {
  fs::create_directory(folder_ / "a");
  fs::create_directory(folder_ / "b");
  fs::rename(folder_ / "train-09.tar", folder_ / "a/1.tar");
  fs::rename(folder_ / "train-10.tar", folder_ / "b/1.tar");
  for (const char* file : {"a/1.tar", "b/1.tar"}) {
    fs::last_write_time(folder_ / file, fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  for (const char* pattern : {"*/1.tar", "{a,b}/*.tar"}) {
    EXPECT_EQ(ShardSet(where(pattern)).size(), 3);
    EXPECT_EQ(ShardSet(where(pattern)).size(), 3);
  }
  EXPECT_EQ(kept().size(), 2U);
  EXPECT_EQ(testing::entries_in(folder_.path()), 4U);  // and a, b
}

TEST_F(FoundShards, ThoseWhoComeTogetherGetTheSame) {
  let_rest();
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { right += ShardSet(where("*.tar")).size() == 3 ? 1 : 0; });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 8);
  EXPECT_EQ(kept().size(), 1U);
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
                                    {"b.cls", "-5"},
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

TEST(ShardSet, APatternOverPackedShardsUsesTheirIndex) {
  const PackedPictures packed(40);
  const auto whole = packed.open();
  const auto in = [&](const std::string& pattern) { return (packed.path() / pattern).string(); };
  const ShardSet all(in("*.tar"));
  EXPECT_EQ(all.class_names(), whole.class_names());
  EXPECT_EQ(testing::content_of(all), testing::content_of(whole));
  const ShardSet two(in("shard-{000002,000000}.tar"));
  EXPECT_EQ(two.shards(), 2);
  EXPECT_TRUE(two.path(0).starts_with(packed.shard(2).string() + ":"));
  EXPECT_TRUE(two.path(two.size() - 1).starts_with(packed.shard(0).string() + ":"));
  EXPECT_EQ(two.read(two.size() - 1), whole.read(ShardSet(in("*0.tar")).size() - 1));

  // A bit of a picture that still decodes.
  testing::flip_byte(packed.shard(2), 512 + two.read(0).size() / 2);
  for (const auto& where : {in("*.tar"), in("shard-000002.tar")}) {
    const auto damaged = verify(ShardSet(where), 2).damaged;
    ASSERT_EQ(damaged.size(), 2U);
    EXPECT_NE(damaged[1].reason.find("XXH3 differs"), std::string::npos);
  }

  fs::copy_file(packed.shard(1), in("more.tar"));
  EXPECT_NE(refusal(in("*.tar")).find("more.tar: expected a shard of the folder's index"),
            std::string::npos);
  fs::rename(in(kIndexFile), in(kPlanFile));
  EXPECT_NE(refusal(in("shard-000000.tar")).find("packing was interrupted"), std::string::npos);
}

/// Leaves the process room for a few more open files.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t more) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int lowest_free = ::dup(0);
    ::close(lowest_free);
    const rlimit few{static_cast<rlim_t>(lowest_free) + more, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST(ShardSet, IsReadWithFewDescriptors) {
  const PackedPictures packed(60);
  const auto shards = packed.open();
  ASSERT_GT(shards.shards(), 6);
  const FewDescriptors few(4);
  for (int64_t i = 0; i < shards.size(); ++i) EXPECT_NO_THROW(shards.read(i)) << i;
}

// Whole images must not be replaced for it.
TEST(ShardSet, HavingNoDescriptorIsNoDamage) {
  const PackedPictures packed(9);
  const auto shards = packed.open();
  const FewDescriptors none(0);
  for (const Dataset* set :
       {static_cast<const Dataset*>(&shards), static_cast<const Dataset*>(&packed.folder())}) {
    try {
      set->read(0);
      FAIL();
    } catch (const DataError& error) {
      FAIL() << error.what();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("ulimit -n"), std::string::npos);
    }
  }
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
  EXPECT_TRUE(verify(shards, 4).damaged.empty());
}

}  // namespace
}  // namespace ibot::data
