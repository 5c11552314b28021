// Runs of ibot-train on several ranks, whoever starts them.
#include "cli/pretrain_ranks.h"

namespace ibot::testing {
namespace {

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
      "before, got 2, 2 on each of 1;");
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

}  // namespace
}  // namespace ibot::testing
