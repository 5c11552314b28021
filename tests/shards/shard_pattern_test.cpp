// Which files a name of shards stands for.
#include <gtest/gtest.h>

#include "data/pictures.h"
#include "ibot/base/error.h"
#include "ibot/shards/shard_set.h"
#include "shards/archives.h"
#include "support/temporary_folder.h"

namespace ibot::data {
namespace {

using Names = std::vector<std::string>;

class ShardPattern : public ::testing::Test {
 protected:
  void SetUp() override { ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1); }

  void add(const Names& names) const {
    for (const auto& name : names) testing::write_tar(folder_ / name, {{"x.jpg", "1"}});
  }

  /// The shards below the folder that `pattern` names.
  Names matches(const std::string& pattern) const {
    const ShardSet shards((folder_ / pattern).string());
    const auto begin = folder_.path().string().size() + 1;
    Names names;
    for (int64_t i = 0; i < shards.size(); ++i) {
      const auto path = shards.path(i);
      names.push_back(path.substr(begin, path.rfind(':') - begin));
    }
    return names;
  }

  void expect_matches(const std::string& pattern, const Names& names) const {
    add(names);
    EXPECT_EQ(matches(pattern), names);
  }

  static std::string refusal(const std::string& where) {
    try {
      const ShardSet shards(where);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }

  testing::TemporaryFolder folder_;
};

TEST_F(ShardPattern, BracesAreThoseOfWebDataset) {
  expect_matches("a-{08..11}.tar", {"a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"});
  expect_matches("a-{9..10}.tar", {"a-9.tar", "a-10.tar"});
  expect_matches("{0..4..2}", {"0", "2", "4"});
  expect_matches("{3..1}", {"3", "2", "1"});
  expect_matches("{a,b{1..2},}.tar", {"a.tar", "b1.tar", "b2.tar", ".tar"});
  expect_matches("{a}{b,c}", {"{a}b", "{a}c"});
  expect_matches("{x,y/z}-{0..1}", {"x-0", "x-1", "y/z-0", "y/z-1"});
  for (const char* range : {"{a..b}", "{1..}", "{0..1..0}", "{0..99999999}", "{-1..2}"}) {
    EXPECT_NE(refusal(range).find("expected a range of numbers"), std::string::npos) << range;
  }
}

TEST_F(ShardPattern, WhatExistsIsTakenAsItIs) {
  add({"a[1].tar", "a1.tar", "b{0,1}.tar", "b0.tar", "c*.tar", "cc.tar", "d?::e.tar", "{a,b"});
  for (const std::string name : {"a[1].tar", "b{0,1}.tar", "c*.tar", "d?::e.tar", "{a,b"}) {
    EXPECT_EQ(matches(name), Names{name});
  }
  EXPECT_EQ(matches("{cc,a[1]}.tar"), (Names{"cc.tar", "a[1].tar"}));
  EXPECT_EQ(matches("a[123].tar"), Names{"a1.tar"});
}

TEST_F(ShardPattern, SoAreTheFoldersOfAPattern) {
  const Names both{"run[1]/{x}/s-00.tar", "run[1]/{x}/s-01.tar"};
  add(both);
  add({"run1/{x}/s-00.tar"});
  for (const char* pattern : {"run[1]/{x}/s-{00..01}.tar", "run[1]/{x}/*.tar", "run[1]/{x}"}) {
    EXPECT_EQ(matches(pattern), both) << pattern;
  }
  EXPECT_EQ(matches("run?/{x}/*.tar"), Names{"run1/{x}/s-00.tar"});
}

TEST_F(ShardPattern, WildcardsFindArchivesAmongOtherFiles) {
  add({"0.tar", "1.TAR"});
  for (const char* name : {"0.parquet", "0_stats.json", "._0.tar"}) {
    testing::write_bytes(folder_ / name, {1});
  }
  EXPECT_EQ(matches("*"), (Names{"0.tar", "1.TAR"}));
  EXPECT_EQ(matches("0*"), Names{"0.tar"});
}

TEST_F(ShardPattern, SeveralNamesAreJoinedByColons) {
  const Names all{"a/0.tar", "a/1.tar", "b/0.tar"};
  add(all);
  EXPECT_EQ(matches("a/*.tar::" + (folder_ / "b/0.tar").string()), all);
  EXPECT_EQ(matches("a::" + (folder_ / "b").string()), all);
}

TEST_F(ShardPattern, WhatIsNotHereIsRefused) {
  for (const char* url : {"s3://bucket/{000..010}.tar", "pipe:curl -s x.tar", "http://x/0.tar"}) {
    EXPECT_TRUE(names_shards(url));
    EXPECT_NE(refusal(url).find("download"), std::string::npos) << url;
  }
  EXPECT_NE(refusal((folder_ / "none-*.tar").string()).find("found none"), std::string::npos);
}

}  // namespace
}  // namespace ibot::data
