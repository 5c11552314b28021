// Tar shards from the command line: packed, looked through, trained on.
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "cli/pretrain_folder.h"
#include "support/temporary_folder.h"

namespace ibot::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Shards : public PretrainFolder {
 protected:
  ProgramResult pack(const Words& more = {}) const {
    Words words{"pack", "set/train", "shards", "--shard-size", "8K"};
    words.insert(words.end(), more.begin(), more.end());
    return run("ibot-data", words);
  }
};

TEST_F(Shards, ArePackedAndLookedThrough) {
  const auto packed = pack();
  ASSERT_EQ(packed.status, 0) << packed.err;
  EXPECT_THAT(packed.out, HasSubstr("shards: 16 images in "));
  const auto info = run("ibot-data", {"info", "shards", "--json"});
  ASSERT_EQ(info.status, 0) << info.err;
  auto from_folder = Json::parse(run("ibot-data", {"info", "set/train", "--json"}).out);
  EXPECT_EQ(Json::parse(info.out), from_folder);
  EXPECT_EQ(run("ibot-data", {"verify", "shards/*.tar"}).out, "0 of 16 images damaged\n");

  fs::resize_file(folder_ / "shards/shard-000001.tar", 600);
  const auto damaged = run("ibot-data", {"verify", "shards"});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.out, HasSubstr("shards/shard-000001.tar: not the bytes that were packed"));
  EXPECT_THAT(damaged.out, HasSubstr("truncated shard"));
  expect_failure(pack(), 2, "expected an empty folder");
  expect_failure(run("ibot-data", {"info", "shards/none-*.tar"}), 2, "none-*.tar, found none");
}

TEST_F(Shards, AFullDiskIsOneLineAndNothingHalf) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto full = pack();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_DFL);
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, HasSubstr("error: cannot write shards/shard-000000.tar: File too large\n"));
  EXPECT_EQ(entries_in(folder_ / "shards"), 1u);  // the plan
  expect_failure(run("ibot-data", {"info", "shards"}), 2, "packing was interrupted");
  EXPECT_EQ(pack().status, 0);
}

TEST_F(Shards, AnUnreadableImageIsNamed) {
  fs::remove(folder_ / "set/train/tint_01/0003.jpg");
  fs::create_symlink("nowhere", folder_ / "set/train/tint_01/0003.jpg");
  const auto result = pack();
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("error: set/train/tint_01/0003.jpg: cannot open"));
}

// A damaged shard is lived with up to the limit, and by name; the run can be repeated.
TEST_F(Shards, AreTrainedOnAndResumed) {
  ASSERT_EQ(pack().status, 0);
  const Words on_shards{"data.path=shards", "data.max_bad_share=0.5"};
  finish("whole", on_shards);
  auto words = on_shards;
  words.push_back("train.max_steps=6");
  finish("parts", words);
  finish("parts", on_shards);
  expect_same_weights("parts", "whole");
  EXPECT_FALSE(fs::exists(folder_ / "whole/bad_samples.jsonl"));

  fs::resize_file(folder_ / "shards/shard-000001.tar", 600);
  finish("damaged", on_shards);
  const auto bad = objects("damaged/bad_samples.jsonl");
  ASSERT_GE(bad.size(), 2u);
  for (const auto& line : bad) {
    EXPECT_THAT(line["path"], HasSubstr("shards/shard-000001.tar:tint_0"));
    EXPECT_THAT(line["reason"], HasSubstr("truncated shard"));
  }
  const auto refused = train("refused", {"data.path=shards", "--quiet"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("data.max_bad_share above 0.01 allows more"));
}

}  // namespace
}  // namespace ibot::testing
