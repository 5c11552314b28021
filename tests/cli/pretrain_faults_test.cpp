// Faults from outside: damaged files, a second launch, the end of a job's time.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>

#include "cli/pretrain_folder.h"
#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "ibot/train/checkpoint.h"

namespace ibot::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class PretrainFaults : public PretrainFolder {
 protected:
  std::filesystem::path step_file(const std::string& output, int64_t step) const {
    return train::step_file(folder_ / output / "checkpoints", step);
  }
  static std::string host() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
  }
  static std::string seconds_from_now(int64_t seconds) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(now).count() + seconds);
  }
};

TEST_F(PretrainFaults, ADamagedNewestCheckpointIsPassedOver) {
  finish("plain");
  const std::vector<std::pair<std::string, std::function<void(const std::filesystem::path&)>>>
      damages{
          {"content differs from what was written",
           [](const auto& path) {
             auto bytes = io::read_file(path);
             bytes[bytes.size() / 2] ^= 1;
             io::write_file(path, bytes);
           }},
          {"bytes, got 5000", [](const auto& path) { std::filesystem::resize_file(path, 5000); }},
          {"No such file", [](const auto& path) { std::filesystem::remove(path); }}};
  for (const auto& [reason, damage] : damages) {
    SCOPED_TRACE(reason);
    finish("run", {"--resume", "none", "train.max_steps=10"});
    damage(step_file("run", 10));
    const auto result = train("run");
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(
        result.err,
        AllOf(
            HasSubstr("warning damaged checkpoint skipped: run/checkpoints/step-00000010"),
            HasSubstr(reason),
            HasSubstr("warning the run resumes from an earlier one: run/checkpoints/step-00000008"),
            HasSubstr("resumed at step 8 of 16")));
    expect_same_weights("plain", "run");
    expect_same_logs("plain", "run");
  }
}

TEST_F(PretrainFaults, ASecondLaunchIntoTheFolderIsRefused) {
  const Words endless{"train.epochs=5000"};
  RunningProgram first("ibot-train", train_words("run", endless), folder_);
  ASSERT_TRUE(first.wait_until([this] { return std::filesystem::exists(last("run")); }));
  // In a folder of its own: both write their outputs to files of the folder they run in.
  const auto elsewhere = folder_ / "elsewhere";
  std::filesystem::create_directory(elsewhere);
  auto words = train_words((folder_ / "run").string());
  words.push_back("data.path=" + (folder_ / "set/train").string());
  const auto second = run_program("ibot-train", words, elsewhere);
  expect_failure(second, 2,
                 concat("/run: expected no other run in this folder, found process ",
                        first.process(), " on ", host()));
  // One that is killed holds the folder no longer.
  EXPECT_EQ(first.interrupt(SIGKILL).status, 128 + SIGKILL);
  finish("run", {endless[0], "train.max_steps=8"});
}

// As after a kill while the process still leaves its GPU: the one that the lock names is no more.
TEST_F(PretrainFaults, AFolderWhoseHolderEndsIsWaitedFor) {
  std::filesystem::create_directory(folder_ / "run");
  const auto path = folder_ / "run/.lock";
  io::write_file(path, "process 2147483647 on " + host() + "\n");
  const int lock = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  RunningProgram program("ibot-train", train_words("run"), folder_);
  const auto waits = [this] {
    return text("stderr.txt").find("waiting for process 2147483647") != std::string::npos;
  };
  ASSERT_TRUE(program.wait_until(waits)) << text("stderr.txt");
  ::close(lock);
  EXPECT_EQ(program.result().status, 0) << text("stderr.txt");
}

TEST_F(PretrainFaults, WarnedByUsr1ItSavesAndAsksToBeStartedAgain) {
  const Words long_epochs{"train.batch_size=1", "train.epochs=2"};
  RunningProgram program("ibot-train", train_words("run", long_epochs), folder_);
  ASSERT_TRUE(program.wait_until([this] { return steps("run") >= 3; }));
  EXPECT_EQ(program.interrupt(SIGUSR1).status, 75);
  finish("plain", long_epochs);
  finish("run", long_epochs);
  expect_same_weights("plain", "run");
  expect_same_logs("plain", "run");
}

TEST_F(PretrainFaults, LeavesBeforeTheJobEnds) {
  finish("plain");
  ::setenv("SLURM_JOB_END_TIME", seconds_from_now(20).c_str(), 1);
  const auto stopped = train("run");
  ::setenv("SLURM_JOB_END_TIME", seconds_from_now(-20).c_str(), 1);
  const auto ignored = train("past");
  ::unsetenv("SLURM_JOB_END_TIME");
  EXPECT_EQ(stopped.status, 75) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("stopped at step 1;"));
  finish("run");
  expect_same_weights("plain", "run");
  EXPECT_EQ(ignored.status, 0) << ignored.err;
  EXPECT_THAT(ignored.err, HasSubstr("warning SLURM_JOB_END_TIME: expected a future time"));
}

}  // namespace
}  // namespace ibot::testing
