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
