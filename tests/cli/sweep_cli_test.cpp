// Sweeps of ibot-train: many runs of one command.
#include <csignal>
#include <fstream>

#include "cli/pretrain_folder.h"

namespace ibot::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class SweepOfRuns : public PretrainFolder {
 protected:
  static Words with(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// Cells of the line of OUT/sweep.csv that ends with the run's folder.
  std::string line_of(const std::string& run) const {
    std::istringstream lines(text("out/sweep.csv"));
    for (std::string line; std::getline(lines, line);) {
      if (line.find("out/" + run) != std::string::npos) return line;
    }
    return {};
  }
};

// The third of four diverges at once; a value more then costs one run.
TEST_F(SweepOfRuns, AFailureDoesNotStopTheOthers) {
  const Words common{"train.max_steps=2", "train.on_nonfinite=strict", "schedule.warmup_epochs=0",
                     "train.log_every_steps=1"};
  const auto first = train("out", with(common, {"optim.lr={1e-3, 2e-3, 1e30, 3e-3}"}));
  EXPECT_EQ(first.status, 1) << first.err;
  EXPECT_THAT(first.out, AllOf(StartsWith("optim.lr"), HasSubstr("failed"), HasSubstr("done")));
  EXPECT_THAT(first.err, AllOf(HasSubstr("run 1 of 4"), HasSubstr("run 4 of 4")));
  for (const char* run : {"lr=0.001", "lr=0.002", "lr=0.003"}) {
    EXPECT_THAT(line_of(run), HasSubstr(",done,2,")) << run;
    EXPECT_TRUE(std::filesystem::exists(last(std::string("out/") + run)));
  }
  EXPECT_THAT(line_of("lr=1.0e+30"), HasSubstr("failed"));
  EXPECT_THAT(text("out/lr=1.0e+30/log"), HasSubstr(" error training: "));

  const auto written = std::filesystem::last_write_time(last("out/lr=0.002"));
  const auto second =
      train("out", with(common, {"optim.lr={5e-4, 1e-3, 2e-3}", "--parallel", "2"}));
  EXPECT_EQ(second.status, 0) << second.err;
  EXPECT_EQ(std::filesystem::last_write_time(last("out/lr=0.002")), written);
  EXPECT_TRUE(std::filesystem::exists(last("out/lr=0.0005")));
  EXPECT_THAT(second.err, HasSubstr("lr=0.002: "));  // lines of runs side by side have their name
  EXPECT_THAT(second.err, HasSubstr("nothing left to do: the run has its 2 steps"));

  const auto compared = run("ibot-train", {"compare", "out", "--csv"});
  EXPECT_EQ(compared.status, 0) << compared.err;
  EXPECT_THAT(compared.out,
              AllOf(HasSubstr("optim.lr,"), HasSubstr("0.0005"), HasSubstr("lr=1.0e+30")));
  // By what the folders hold: the failed one comes last, although its loss is the first step's.
  const auto text_of_all = run("ibot-train", {"compare", "out"}).out;
  const auto last_row = text_of_all.substr(text_of_all.rfind('\n', text_of_all.size() - 2) + 1);
  EXPECT_THAT(last_row, AllOf(StartsWith("1.0e+30"), HasSubstr(" failed ")));
}

TEST_F(SweepOfRuns, IsCheckedBeforeItsFirstRun) {
  for (const auto& [words, reason] : std::vector<std::pair<Words, std::string>>{
           {{"train.batch_size={4, 17}"},
            "run batch_size=17: train.batch_size: expected at most the 16 images"},
           {{"data.path={set/train, nowhere}"}, "run path=nowhere: "},
           {{"backbone.heads={2, 3}"}, "backbone.heads: expected a divisor of the width 64, got 3"},
           {{"train.precision={fp32, fp16}", "train.device=cpu"},
            "run precision=fp16: train.precision"},
           {{"eval.path={\"\", nowhere}"}, "run path=nowhere: "},
           {{"optim.lr={1e-3, -1}"}, "optim.lr: expected above 0, got -1"},
           {{"optim.lr={1e-3, 0.001}"}, "optim.lr: expected different values"}}) {
    SCOPED_TRACE(reason);
    expect_failure(train("out", words), 2, reason);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
  }
}

TEST_F(SweepOfRuns, RunsOneOfAFileByIndexNameOrArrayTask) {
  std::ofstream(folder_ / "sweep.yaml")
      << "base: " << IBOT_SOURCE_DIR << "/configs/smoke/tiny.yaml\n"
      << "sweep: {train.seed: [3, 4, 5]}\n";
  auto words = config_words();
  words[0] = "sweep.yaml";
  words.insert(words.end(), {"train.max_steps=1", "--output", "out", "--threads", "1"});
  const auto listed = run("ibot-train", with(words, {"--list"}));
  EXPECT_EQ(listed.out,
            "0\tseed=3\ttrain.seed=3\n1\tseed=4\ttrain.seed=4\n2\tseed=5\ttrain.seed=5\n");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
  EXPECT_EQ(run("ibot-train", with(words, {"--sweep-run", "1"})).status, 0);
  EXPECT_TRUE(std::filesystem::exists(last("out/seed=4")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/seed=3"));
  expect_failure(run("ibot-train", with(words, {"--sweep-run", "array"})), 2,
                 "SLURM_ARRAY_TASK_ID");
  ::setenv("SLURM_ARRAY_TASK_ID", "2", 1);
  EXPECT_EQ(run("ibot-train", with(words, {"--sweep-run", "array"})).status, 0);
  ::unsetenv("SLURM_ARRAY_TASK_ID");
  EXPECT_TRUE(std::filesystem::exists(last("out/seed=5")));
  expect_failure(run("ibot-train", with(words, {"--sweep-run", "3"})), 2,
                 "--sweep-run: expected a name or an index below 3, got 3");
}

// A stand-in for sbatch keeps its arguments and the job's script.
TEST_F(SweepOfRuns, IsSubmittedAsAnArrayOfItsRuns) {
  const auto sbatch = folder_ / "sbatch";
  std::ofstream(sbatch) << "#!/bin/sh\necho \"$@\" >options.txt\ncat >job.txt\n";
  std::filesystem::permissions(sbatch, std::filesystem::perms::owner_all);
  const auto program = std::string(IBOT_PROGRAM_DIR) + "/ibot-train";
  const auto submit = "cd " + shell_quoted(folder_.string()) + " && PATH=.:$PATH MOST=2 " +
                      shell_quoted(std::string(IBOT_SOURCE_DIR) + "/scripts/submit_sweep.sh") +
                      " --time 1:00:00 -- " + shell_quoted(program) +
                      " 'train.seed={3, 4, 5}' 'data.path=a b' --output out 2>err.txt";
  ASSERT_EQ(std::system(submit.c_str()), 0) << text("err.txt");
  EXPECT_EQ(text("options.txt"),
            "--array 0-2%2 --requeue --signal USR1@120 --open-mode append --time 1:00:00\n");
  EXPECT_THAT(text("job.txt"), AllOf(StartsWith("#!/bin/bash\nsrun --kill-on-bad-exit=1 "),
                                     HasSubstr("data.path=a\\ b --output out  --sweep-run array")));
  const auto wrong = submit.substr(0, submit.find(" 'data.path")) + " optim.lrr=1 2>err.txt";
  EXPECT_EQ(WEXITSTATUS(std::system(wrong.c_str())), 2);
  EXPECT_THAT(text("err.txt"), HasSubstr("did you mean optim.lr?"));
}

TEST_F(SweepOfRuns, AStopReachesTheRunAndEndsTheSweep) {
  RunningProgram program(
      "ibot-train",
      train_words("out", {"train.seed={0, 1}", "train.epochs=100000", "train.log_every_steps=1"}),
      folder_);
  ASSERT_TRUE(program.wait_until([this] { return steps("out/seed=0") >= 2; }));
  const auto stopped = program.interrupt(SIGTERM);
  EXPECT_EQ(stopped.status, 143) << stopped.err;
  EXPECT_TRUE(std::filesystem::exists(last("out/seed=0")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/seed=1"));
  EXPECT_THAT(stopped.out, AllOf(HasSubstr("stopped"), HasSubstr("not started")));
  EXPECT_THAT(stopped.err, HasSubstr("the same command resumes the run"));
}

}  // namespace
}  // namespace ibot::testing
