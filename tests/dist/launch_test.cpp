#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "ibot/dist/rendezvous.h"

namespace ibot::dist {
namespace {

using Variables = std::map<std::string, std::string>;

Launch launch(const Variables& variables) {
  return launch_of([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string refusal(const Variables& variables) {
  try {
    launch(variables);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "none";
}

TEST(Launch, IsAloneWithoutALauncher) {
  EXPECT_EQ(launch({}).world, 1);
  EXPECT_EQ(launch({{"WORLD_SIZE", "1"}, {"RANK", "0"}}).world, 1);
}

TEST(Launch, ReadsTorchrun) {
  const auto told = launch({{"RANK", "5"},
                            {"WORLD_SIZE", "8"},
                            {"LOCAL_RANK", "1"},
                            {"MASTER_ADDR", "node1"},
                            {"MASTER_PORT", "1234"},
                            {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                            {"TORCHELASTIC_RESTART_COUNT", "2"},
                            {"SLURM_NTASKS", "16"}});
  EXPECT_EQ(told.rank, 5);
  EXPECT_EQ(told.world, 8);
  EXPECT_EQ(told.local_rank, 1);
  EXPECT_EQ(told.master_address, "node1");
  EXPECT_EQ(told.master_port, 1234);
  EXPECT_TRUE(told.store_served);
  EXPECT_EQ(told.attempt, "2");
}

TEST(Launch, ReadsSlurm) {
  const Variables step{{"SLURM_PROCID", "9"},
                       {"SLURM_NTASKS", "16"},
                       {"SLURM_LOCALID", "1"},
                       {"SLURM_JOB_ID", "4711"},
                       {"SLURM_STEP_ID", "0"},
                       {"SLURM_STEP_NODELIST", "gpu[03-04]"},
                       {"SLURM_JOB_NODELIST", "gpu[01-04]"}};
  const auto told = launch(step);
  EXPECT_EQ(told.rank, 9);
  EXPECT_EQ(told.world, 16);
  EXPECT_EQ(told.local_rank, 1);
  EXPECT_EQ(told.master_address, "gpu03");
  EXPECT_GE(told.master_port, 20000);
  EXPECT_LT(told.master_port, 32000);
  EXPECT_FALSE(told.store_served);
  auto next = step;
  next["SLURM_STEP_ID"] = "1";
  EXPECT_NE(launch(next).master_port, told.master_port);
  next["MASTER_ADDR"] = "10.0.0.1";
  next["MASTER_PORT"] = "99";
  EXPECT_EQ(launch(next).master_address, "10.0.0.1");
  EXPECT_EQ(launch(next).master_port, 99);
}

TEST(Launch, ReadsOpenMpi) {
  Variables node{{"OMPI_COMM_WORLD_RANK", "1"},
                 {"OMPI_COMM_WORLD_SIZE", "2"},
                 {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                 {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  EXPECT_EQ(launch(node).master_address, "127.0.0.1");
  EXPECT_EQ(launch(node).local_rank, 1);
  node["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
  EXPECT_EQ(launch(node).master_address, "");
  EXPECT_THROW(connect(launch(node), {}), ConfigError);
}

// A shell has the rank of the job's first task; what tells it apart is the step, which it has not
// or which has one of the numbers that Slurm keeps for shells.
TEST(Launch, TellsTheShellOfASlurmJobFromItsTasks) {
  const Variables shell{{"SLURM_JOB_ID", "77"},
                        {"SLURM_JOB_NODELIST", "host"},
                        {"SLURM_NTASKS", "4"},
                        {"SLURM_PROCID", "0"},
                        {"SLURM_LOCALID", "0"}};
  auto login = shell;  // salloc gives no rank
  login.erase("SLURM_PROCID");
  auto interactive = shell;
  interactive["SLURM_STEP_ID"] = "4294967290";
  auto nodes = shell;
  nodes.erase("SLURM_NTASKS");
  nodes["SLURM_JOB_NUM_NODES"] = "4";
  for (const auto& variables : {shell, login, interactive, nodes}) {
    const auto told = launch(variables);
    EXPECT_EQ(told.world, 1);
    EXPECT_EQ(told.shell_tasks, 4);
    EXPECT_THROW(connect(told, {}), ConfigError);
  }
  auto task = shell;
  task["SLURM_STEP_ID"] = "0";
  EXPECT_EQ(launch(task).world, 4);
  auto alone = shell;
  alone["SLURM_NTASKS"] = "1";
  EXPECT_EQ(connect(launch(alone), {}).size(), 1);
  auto torchrun = shell;
  torchrun.insert({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "host"}});
  EXPECT_EQ(launch(torchrun).world, 2);
  EXPECT_EQ(launch(torchrun).shell_tasks, 1);
}

TEST(Launch, ReadsMpichAndItsKin) {
  const std::vector<Variables> launchers{
      {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}},
      {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"PMI_LOCAL_RANK", "1"}, {"PMI_LOCAL_SIZE", "2"}},
      {{"PMI_RANK", "1"},
       {"PMI_SIZE", "2"},
       {"PALS_RANKID", "1"},
       {"PALS_LOCAL_RANKID", "1"},
       {"PMI_LOCAL_SIZE", "2"}},
      {{"MV2_COMM_WORLD_RANK", "1"},
       {"MV2_COMM_WORLD_SIZE", "2"},
       {"MV2_COMM_WORLD_LOCAL_RANK", "1"},
       {"MV2_COMM_WORLD_LOCAL_SIZE", "2"}},
      {{"JSM_NAMESPACE_RANK", "1"},
       {"JSM_NAMESPACE_SIZE", "2"},
       {"JSM_NAMESPACE_LOCAL_RANK", "1"},
       {"JSM_NAMESPACE_LOCAL_SIZE", "2"}}};
  for (const auto& variables : launchers) {
    const auto told = launch(variables);
    EXPECT_EQ(told.rank, 1);
    EXPECT_EQ(told.world, 2);
    EXPECT_EQ(told.local_rank, 1);
    EXPECT_EQ(told.master_address, "127.0.0.1");
  }
  const auto flux = launch({{"FLUX_TASK_RANK", "3"},
                            {"FLUX_JOB_SIZE", "4"},
                            {"FLUX_TASK_LOCAL_ID", "1"},
                            {"PMI_RANK", "3"},
                            {"PMI_SIZE", "4"}});
  EXPECT_EQ(flux.rank, 3);
  EXPECT_EQ(flux.local_rank, 1);
  EXPECT_THROW(connect(flux, {}), ConfigError);  // nothing tells where rank 0 is
}

TEST(Launch, TheInnermostLauncherCounts) {
  const Variables step{{"SLURM_JOB_ID", "7"},   {"SLURM_STEP_ID", "0"},
                       {"SLURM_PROCID", "0"},   {"SLURM_NTASKS", "2"},
                       {"SLURM_LOCALID", "0"},  {"SLURM_STEP_NODELIST", "gpu[03-04]"},
                       {"MASTER_ADDR", "gpu03"}};
  // mpiexec starts its helpers, one a node, through srun.
  auto mpich = step;
  mpich.insert({{"PMI_RANK", "5"}, {"PMI_SIZE", "8"}, {"MPI_LOCALRANKID", "1"}});
  EXPECT_EQ(launch(mpich).rank, 5);
  EXPECT_EQ(launch(mpich).world, 8);
  // srun tells its own tasks their number twice.
  auto srun = step;
  srun.erase("MASTER_ADDR");
  srun.insert({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}});
  EXPECT_EQ(launch(srun).world, 2);
  EXPECT_EQ(launch(srun).master_address, "gpu03");
}

TEST(Launch, RefusesARankOfUnknownMany) {
  for (const char* name : {"RANK", "PMI_RANK", "PMIX_RANK", "ALPS_APP_PE", "MPI_LOCALRANKID"}) {
    EXPECT_THAT(
        refusal({{name, "1"}}),
        ::testing::StartsWith(std::string(name) + ": expected the number of ranks as well"));
  }
}

TEST(Launch, RefusesWhatMakesNoSense) {
  EXPECT_THAT(refusal({{"WORLD_SIZE", "2"}}), ::testing::StartsWith("RANK: expected a number"));
  EXPECT_THAT(refusal({{"WORLD_SIZE", "2"}, {"RANK", "2"}}),
              ::testing::StartsWith("RANK: expected a number below WORLD_SIZE = 2, got 2"));
  EXPECT_THAT(refusal({{"WORLD_SIZE", "two"}, {"RANK", "0"}}),
              ::testing::StartsWith("WORLD_SIZE: expected a number, got two"));
  EXPECT_THAT(
      refusal({{"WORLD_SIZE", "2"}, {"RANK", "0"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "70000"}}),
      ::testing::StartsWith("MASTER_PORT: expected at most 65535"));
}

TEST(Launch, FirstHostOfASlurmList) {
  EXPECT_EQ(first_host("node1"), "node1");
  EXPECT_EQ(first_host("node1,node2"), "node1");
  EXPECT_EQ(first_host("node[01-04,7],login"), "node01");
  EXPECT_EQ(first_host("node[7,9-12]"), "node7");
  EXPECT_EQ(first_host("rack[2-3]node[05-06]-ib,other"), "rack2node05-ib");
  EXPECT_THROW(first_host("node[01-04"), ConfigError);
}

}  // namespace
}  // namespace ibot::dist
