// Runs of ibot-train on several ranks, whoever starts them and whatever ends them.
#include "support/ranks.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include "cli/pretrain_folder.h"
#include "ibot/train/checkpoint.h"

namespace ibot::testing {
namespace {

using ::testing::HasSubstr;

using Variables = std::map<std::string, std::string>;

/// Parent of a process; 0 where there is none.
pid_t parent_of(const std::filesystem::path& process) {
  const auto stat = read_text(process / "stat");
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat.substr(name_end + 1));
  char state = 0;
  pid_t parent = 0;
  fields >> state >> parent;
  return state == 'Z' ? 0 : parent;
}

/// Processes that `parent` has started and that have not ended, by number.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto name = entry.path().filename().string();
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      continue;
    }
    if (parent_of(entry.path()) == parent) children.push_back(std::stoi(name));
  }
  std::sort(children.begin(), children.end());
  return children;
}

/// The number that a launcher gave a process.
std::string rank_of(pid_t process) {
  const auto variables = read_text("/proc/" + std::to_string(process) + "/environ");
  const auto at = variables.find(std::string("\0RANK=", 6));
  return at == std::string::npos ? "" : std::string(variables.c_str() + at + 6);
}

/// Whether something listens on a port of this machine.
bool listened_to(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  const bool answered =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return answered;
}

/// A port of its own for each process of tests.
uint16_t own_port() { return static_cast<uint16_t>(33000 + ::getpid() % 20000); }

bool runs(pid_t process) { return parent_of("/proc/" + std::to_string(process)) != 0; }

class PretrainRanks : public PretrainFolder {
 protected:
  void SetUp() override {
    IBOT_NEEDS_RANKS();
    PretrainFolder::SetUp();
  }

  /// A run that ends only when it is made to.
  static Words endless() { return {"--nproc", "2", "train.batch_size=2", "train.epochs=100000"}; }

  /// Starts the ranks of `output` with variables of each, as a launcher would.
  std::vector<std::unique_ptr<RunningProgram>> started(const std::string& output,
                                                       const std::vector<Variables>& ranks,
                                                       const Words& more = {}) const {
    std::vector<std::unique_ptr<RunningProgram>> programs;
    for (const auto& variables : ranks) {
      // Each where its outputs do not meet the others'.
      const auto folder = folder_ / (output + ".rank" + std::to_string(programs.size()));
      std::filesystem::create_directories(folder);
      for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
      auto words = train_words((folder_ / output).string(), {"train.batch_size=2"});
      std::replace(words.begin(), words.end(), std::string("data.path=set/train"),
                   "data.path=" + (folder_ / "set/train").string());
      words.insert(words.end(), more.begin(), more.end());
      programs.push_back(std::make_unique<RunningProgram>("ibot-train", words, folder));
      for (const auto& [name, value] : variables) ::unsetenv(name.c_str());
    }
    return programs;
  }

  std::vector<ProgramResult> start_with(const std::string& output,
                                        const std::vector<Variables>& ranks) const {
    std::vector<ProgramResult> results;
    for (auto& program : started(output, ranks)) results.push_back(program->result());
    return results;
  }

  /// What two processes need to be the ranks of a job without a launcher that watches them.
  static std::vector<Variables> two_ranks() {
    std::vector<Variables> ranks;
    for (const char* rank : {"0", "1"}) {
      ranks.push_back({{"RANK", rank},
                       {"LOCAL_RANK", "0"},
                       {"WORLD_SIZE", "2"},
                       {"MASTER_ADDR", "127.0.0.1"},
                       {"MASTER_PORT", std::to_string(own_port())}});
    }
    return ranks;
  }

  /// Sends `signal` to rank 1 of a run without a launcher and SIGTERM to the other, which must name
  /// it and end within ten seconds; not before the run has written a line of `log`.
  void expect_named_by_a_survivor(int signal, const Words& more = {},
                                  const std::string& log = "run/metrics.jsonl") const {
    Words words{"train.epochs=100000"};
    words.insert(words.end(), more.begin(), more.end());
    const auto ranks = started("run", two_ranks(), words);
    ASSERT_TRUE(ranks[0]->wait_until([&] { return !text(log).empty(); }))
        << text("run.rank0/stderr.txt");
    const auto start = std::chrono::steady_clock::now();
    ::kill(ranks[1]->process(), signal);
    const auto survivor = ranks[0]->interrupt(SIGTERM);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
    EXPECT_EQ(survivor.status, 1);
    EXPECT_THAT(survivor.err, HasSubstr("error: ranks: rank 1 on "));
    EXPECT_THAT(survivor.err, HasSubstr("has given no sign of life for 5 s"));
    ranks[1]->interrupt(SIGKILL);
  }

  /// The run that every launcher should give: two ranks of two images.
  void expect_same_as_two_ranks(const std::string& output) const {
    finish("two", {"--nproc", "2", "train.batch_size=2"});
    expect_same_weights("two", output);
    expect_same_logs("two", output);
  }

  /// `launcher` starts the two ranks of a command that follows it.
  void expect_same_under(const std::string& output, const std::string& launcher) const {
    std::string command = "cd " + shell_quoted(folder_.string()) + " && " + launcher + " " +
                          shell_quoted(std::string(IBOT_PROGRAM_DIR) + "/ibot-train");
    for (const auto& word : train_words(output, {"train.batch_size=2"})) {
      command += " " + shell_quoted(word);
    }
    const auto status = std::system((command + " >launcher.txt 2>&1").c_str());
    ASSERT_EQ(status, 0) << text("launcher.txt");
    expect_same_as_two_ranks(output);
  }

  /// Waits for the steps of an endless run, then for what `strike` does to its ranks; no process is
  /// left.
  ProgramResult struck(
      const Words& more,
      const std::function<void(pid_t launcher, const std::vector<pid_t>&)>& strike) const {
    auto words = endless();
    words.insert(words.end(), more.begin(), more.end());
    RunningProgram program("ibot-train", train_words("run", words), folder_);
    EXPECT_TRUE(program.wait_until([this] { return steps("run") >= 2; })) << text("stderr.txt");
    const auto ranks = children_of(program.process());
    EXPECT_EQ(ranks.size(), 2u);
    strike(program.process(), ranks);
    auto result = program.result();
    // Killed with their launcher, they end a moment after it.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::any_of(ranks.begin(), ranks.end(), runs) &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    for (const auto rank : ranks) {
      EXPECT_FALSE(runs(rank)) << rank;
      if (runs(rank)) ::kill(rank, SIGKILL);
    }
    return result;
  }

  static pid_t rank_number(const std::vector<pid_t>& ranks, const std::string& number) {
    const auto found = std::find_if(ranks.begin(), ranks.end(),
                                    [&](pid_t process) { return rank_of(process) == number; });
    EXPECT_NE(found, ranks.end());
    return found == ranks.end() ? -1 : *found;
  }
};

// The same samples, crops and masks, and so the same losses but for the order of sums.
TEST_F(PretrainRanks, ShareTheBatchOfOne) {
  finish("one", {"train.batch_size=4"});
  for (const auto& [output, count, size] :
       {std::tuple{"two", "2", "train.batch_size=2"}, {"four", "4", "train.batch_size=1"}}) {
    finish(output, {"--nproc", count, size});
    const auto alone = objects("one/metrics.jsonl");
    const auto shared = objects(std::string(output) + "/metrics.jsonl");
    ASSERT_EQ(shared.size(), alone.size());
    for (size_t i = 0; i < alone.size(); ++i) {
      for (const char* key : {"loss", "loss_cls", "loss_patch", "grad_norm"}) {
        const double expected = alone[i][key];
        EXPECT_NEAR(shared[i][key].get<double>(), expected, 1e-4 * expected) << key << ' ' << i;
      }
      EXPECT_EQ(shared[i]["lr"], alone[i]["lr"]);
    }
    const auto epoch = objects("one/log.txt").back();
    const auto shared_epoch = objects(std::string(output) + "/log.txt").back();
    EXPECT_NEAR(shared_epoch["train_nmi"].get<double>(), epoch["train_nmi"].get<double>(), 1e-4);
  }
}

TEST_F(PretrainRanks, OfTorchrunTrainAlike) {
  if (std::system("command -v torchrun >/dev/null") != 0) GTEST_SKIP() << "no torchrun";
  expect_same_under("torchrun", "torchrun --no-python --nproc-per-node 2");
}

TEST_F(PretrainRanks, OfMpirunTrainAlike) {
  if (std::system("command -v mpirun >/dev/null") != 0) GTEST_SKIP() << "no mpirun";
  expect_same_under("mpirun", "mpirun --allow-run-as-root --oversubscribe -n 2");
}

TEST_F(PretrainRanks, OfMpichTrainAlike) {
  if (std::system("command -v mpiexec.hydra >/dev/null") != 0) GTEST_SKIP() << "no MPICH";
  expect_same_under("mpich", "mpiexec.hydra -n 2");
}

TEST_F(PretrainRanks, OfSrunTrainAlike) {
  std::vector<Variables> ranks;
  for (const char* rank : {"0", "1"}) {
    ranks.push_back({{"SLURM_PROCID", rank},
                     {"SLURM_LOCALID", rank},
                     {"SLURM_NTASKS", "2"},
                     {"SLURM_JOB_ID", std::to_string(::getpid())},
                     {"SLURM_STEP_ID", "0"},
                     {"SLURM_STEP_NODELIST", "localhost"},
                     {"SLURM_JOB_NODELIST", "localhost,another[1-2]"}});
  }
  for (const auto& result : start_with("srun", ranks)) EXPECT_EQ(result.status, 0) << result.err;
  expect_same_as_two_ranks("srun");
}

// All of them would wait for each other in vain.
TEST_F(PretrainRanks, AreNotStartedByTheShellOfASlurmJob) {
  const auto results = start_with("shell", {{{"SLURM_JOB_ID", "77"},
                                             {"SLURM_JOB_NODELIST", "localhost"},
                                             {"SLURM_NTASKS", "4"},
                                             {"SLURM_PROCID", "0"},
                                             {"SLURM_LOCALID", "0"}}});
  expect_failure(results[0], 2,
                 "ranks: expected a step of srun, got the shell of a Slurm job of 4 tasks; write "
                 "srun before the command");
}

TEST_F(PretrainRanks, OfTwoNodesMeet) {
  std::vector<Variables> ranks;
  const auto port = std::to_string(own_port());
  for (const char* rank : {"0", "1"}) {
    ranks.push_back({{"RANK", rank},
                     {"LOCAL_RANK", "0"},
                     {"WORLD_SIZE", "2"},
                     {"MASTER_ADDR", "127.0.0.1"},
                     {"MASTER_PORT", port},
                     {"IBOT_NODE_ADDRESS", rank[0] == '0' ? "127.0.0.1" : "127.0.0.2"}});
  }
  for (const auto& result : start_with("nodes", ranks)) EXPECT_EQ(result.status, 0) << result.err;
  expect_same_as_two_ranks("nodes");
}

TEST_F(PretrainRanks, GoOnInAnotherNumber) {
  finish("one", {"train.batch_size=4"});
  finish("run", {"--nproc", "2", "train.batch_size=2", "train.max_steps=6"});
  expect_failure(
      train("run", {"train.batch_size=2"}), 2,
      "run/checkpoints/step-00000006.safetensors: expected steps of 4 images over all ranks, as "
      "the run has had, got 2, 2 on each of 1;");
  finish("run", {"train.batch_size=4", "train.max_steps=11", "train.accumulate_steps=2"});
  finish("run", {"--nproc", "4", "train.batch_size=1", "train.shard_optimizer=true"});
  const auto straight = objects("one/metrics.jsonl"), resumed = objects("run/metrics.jsonl");
  ASSERT_EQ(resumed.size(), straight.size());
  for (size_t i = 0; i < straight.size(); ++i) {
    const double expected = straight[i]["loss"];
    EXPECT_NEAR(resumed[i]["loss"].get<double>(), expected, 1e-4 * expected) << i;
  }
}

// 15 images, 4 a step: 3 steps an epoch on one rank, 4 on four, which repeat an image.
TEST_F(PretrainRanks, KeepTheStepsOfAnEpoch) {
  std::filesystem::remove(folder_ / "set/train/tint_00/0000.jpg");
  const Words four{"--nproc", "4", "train.batch_size=1"};
  finish("four", four);
  EXPECT_EQ(steps("four"), 16);
  finish("run", {"--nproc", "4", "train.batch_size=1", "train.max_steps=6"});
  finish("run", {"train.batch_size=4"});
  const auto straight = objects("four/metrics.jsonl"), resumed = objects("run/metrics.jsonl");
  ASSERT_EQ(resumed.size(), straight.size());
  for (size_t i = 0; i < straight.size(); ++i) {
    const double expected = straight[i]["loss"];
    EXPECT_NEAR(resumed[i]["loss"].get<double>(), expected, 1e-4 * expected) << i;
  }
  finish("one", {"train.batch_size=4"});
  EXPECT_EQ(steps("one"), 12);
}

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
  EXPECT_THAT(result.err, HasSubstr("has given no sign of life for 2 s"));
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
  EXPECT_THAT(result.err, HasSubstr("expected at most 0.1 of 16 images to be unreadable, found 2"));
}

TEST_F(PretrainRanks, ARanksOwnErrorReachesTheOthers) {
  // Found by rank 0 alone, when every rank has begun.
  std::ofstream(folder_ / "file") << "mine";
  const auto result = train("file", {"--nproc", "2", "train.batch_size=2"});
  expect_failure(result, 2, "file: cannot create the folder: Not a directory");
}

}  // namespace
}  // namespace ibot::testing
