// What ends a run of several ranks, and who names the one at fault.
#include "cli/pretrain_ranks.h"

namespace ibot::testing {
namespace {

using ::testing::HasSubstr;

TEST_F(PretrainRanks, AskedToStopSaveAndGoOn) {
  const Words two{"--nproc", "2", "train.batch_size=2", "train.epochs=20"};
  finish("plain", two);
  RunningProgram program("ibot-train", train_words("run", two), folder_);
  ASSERT_TRUE(program.wait_until([this] { return steps("run") >= 3; }));
  const auto stopped = program.interrupt(SIGTERM);
  EXPECT_EQ(stopped.status, 143) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("stopped at step"));
  finish("run", two);
  expect_same_weights("plain", "run");
}

TEST_F(PretrainRanks, AskedToStopBeforeTheyTrainHaveNothingToSave) {
  RunningProgram program("ibot-train", train_words("run", endless()), folder_);
  ASSERT_TRUE(program.wait_until([&] { return children_of(program.process()).size() == 2; }));
  const auto stopped = program.interrupt(SIGTERM);
  EXPECT_EQ(stopped.status, 143);
  EXPECT_EQ(stopped.err, "");
}

TEST_F(PretrainRanks, OneThatWaitsForTheOthersAsksToBeStartedAgain) {
  const Variables variables{{"RANK", "0"},
                            {"WORLD_SIZE", "2"},
                            {"MASTER_ADDR", "127.0.0.1"},
                            {"MASTER_PORT", std::to_string(own_port())}};
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  RunningProgram program("ibot-train", train_words("run"), folder_);
  for (const auto& [name, value] : variables) ::unsetenv(name.c_str());
  ASSERT_TRUE(program.wait_until([] { return listened_to(own_port()); })) << text("stderr.txt");
  EXPECT_EQ(program.interrupt(SIGUSR1).status, 75);
}

TEST_F(PretrainRanks, AKilledRankIsNamedAndEndsTheJob) {
  const auto result = struck(
      {}, [](pid_t, const std::vector<pid_t>& ranks) { ::kill(rank_number(ranks, "1"), SIGKILL); });
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("error: ranks: rank 1 on "));
  EXPECT_THAT(result.err, HasSubstr("error: rank 1 failed first: it was killed by signal 9"));
}

TEST_F(PretrainRanks, AKilledRankZeroIsNamedByTheOthers) {
  const auto result = struck(
      {}, [](pid_t, const std::vector<pid_t>& ranks) { ::kill(rank_number(ranks, "0"), SIGKILL); });
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("rank 1: error: ranks: rank 0 on "));
  EXPECT_THAT(result.err, HasSubstr("error: rank 0 failed first: it was killed by signal 9"));
}

TEST_F(PretrainRanks, AStoppedRankIsNamedAndEndsTheJob) {
  const auto result = struck(
      {"train.rank_timeout_s=2"},
      [](pid_t, const std::vector<pid_t>& ranks) { ::kill(rank_number(ranks, "1"), SIGSTOP); });
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("error: ranks: rank 1 on "));
  EXPECT_THAT(result.err, HasSubstr("has sent no heartbeat for 2 s"));
}

TEST_F(PretrainRanks, AKilledRankIsNamedWhereNoLauncherTellsOfIt) {
  expect_named_by_a_survivor(SIGKILL);
}

// Its connections stand: nothing fails, and only its silence tells.
TEST_F(PretrainRanks, AStoppedRankIsNamedByOneThatIsToldToLeave) {
  expect_named_by_a_survivor(SIGSTOP);
}

// An epoch's line is written before its evaluation, which takes half a minute at this size.
TEST_F(PretrainRanks, AKilledRankIsNamedAmidAnEvaluation) {
  expect_named_by_a_survivor(SIGKILL,
                             {"eval.path=" + (folder_ / "set").string(), "eval.every_epochs=1",
                              "eval.resize_size=320", "eval.crop_size=320", "eval.batch_size=1"},
                             "run/log.txt");
}

// torchrun tells the survivors to end at once and kills them half a minute later.
TEST_F(PretrainRanks, AKilledRankIsNamedUnderTorchrun) {
  if (std::system("command -v torchrun >/dev/null") != 0) GTEST_SKIP() << "no torchrun";
  std::string command = "cd " + shell_quoted(folder_.string()) +
                        " && exec torchrun --no-python --nproc-per-node 2 " +
                        shell_quoted(std::string(IBOT_PROGRAM_DIR) + "/ibot-train");
  for (const auto& word : train_words("run", {"train.batch_size=2", "train.epochs=100000"})) {
    command += " " + shell_quoted(word);
  }
  RunningProgram torchrun(command + " >stdout.txt 2>stderr.txt </dev/null", folder_);
  ASSERT_TRUE(torchrun.wait_until([this] { return steps("run") >= 2; })) << text("stderr.txt");
  const auto start = std::chrono::steady_clock::now();
  ::kill(rank_number(children_of(torchrun.process()), "1"), SIGKILL);
  const auto result = torchrun.result();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
  EXPECT_NE(result.status, 0);
  EXPECT_THAT(result.err, HasSubstr("error: ranks: rank 1 on "));
}

TEST_F(PretrainRanks, NoneOutlivesAKilledLauncher) {
  const auto result =
      struck({}, [](pid_t launcher, const std::vector<pid_t>&) { ::kill(launcher, SIGKILL); });
  EXPECT_EQ(result.status, 128 + SIGKILL);
}

// Each rank meets one of two in the first epoch, which alone is within the limit.
TEST_F(PretrainRanks, TheLimitOfUnreadableImagesIsOneForAll) {
  for (const char* image : {"tint_00/0003.jpg", "tint_01/0005.jpg"}) {
    std::filesystem::resize_file(folder_ / "set/train" / image, 100);
  }
  const Words two{"--nproc", "2", "train.batch_size=2", "train.max_steps=4"};
  auto words = two;
  words.push_back("data.max_bad_share=0.2");
  finish("tolerant", words);
  EXPECT_EQ(objects("tolerant/bad_samples.jsonl").size(), 1u);
  EXPECT_EQ(objects("tolerant/bad_samples.rank1.jsonl").size(), 1u);
  words.back() = "data.max_bad_share=0.1";
  const auto result = train("strict", words);
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("expected at most 1 of 16 images to be unreadable, found 2"));
}

TEST_F(PretrainRanks, ARanksOwnErrorReachesTheOthers) {
  // Found by rank 0 alone, when every rank has begun.
  std::ofstream(folder_ / "file") << "mine";
  const auto result = train("file", {"--nproc", "2", "train.batch_size=2"});
  expect_failure(result, 2, "file: cannot create the folder: Not a directory");
}

}  // namespace
}  // namespace ibot::testing
