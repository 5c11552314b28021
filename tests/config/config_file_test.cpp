#include "ibot/config/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "ibot/base/error.h"
#include "ibot/config/run_config.h"
#include "support/run_program.h"

namespace ibot::config {
namespace {

using ::testing::HasSubstr;

class ConfigFile : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    const auto path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  static std::string file_refusal(const std::string& path) {
    try {
      read_config<RunConfig>(path);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return {};
  }

  std::filesystem::path folder_ = testing::test_folder();
};

TEST_F(ConfigFile, StatesWhatDiffersFromItsBase) {
  write("common/base.yaml", "optim: {lr: 1e-3, min_lr: 1e-5}\ntrain: {epochs: 3, seed: 1}");
  write("middle.yaml", "base: common/base.yaml\ntrain: {epochs: 4}");
  const auto path = write("runs/own.yaml", "base: ../middle.yaml\noptim: {lr: 2e-3}");
  const auto config = read_config<RunConfig>(path, {"train.seed=9"});
  EXPECT_EQ(config.optim.lr, 2e-3);
  EXPECT_EQ(config.optim.min_lr, 1e-5);
  EXPECT_EQ(config.train.epochs, 4);
  EXPECT_EQ(config.train.seed, 9);
}

TEST_F(ConfigFile, RefusesBasesThatAreNone) {
  const auto circle = write("a.yaml", "base: b.yaml");
  write("b.yaml", "base: ./a.yaml");
  EXPECT_THAT(file_refusal(circle),
              HasSubstr("base: expected files that are not based on themselves"));
  EXPECT_THAT(file_refusal(write("self.yaml", "base: self.yaml")), HasSubstr("self.yaml -> "));
  EXPECT_THAT(file_refusal(write("c.yaml", "base: none.yaml")),
              HasSubstr("none.yaml: expected a YAML file"));
  EXPECT_THAT(file_refusal(write("d.yaml", "\nbase: [a, b]")),
              HasSubstr("base: expected the path of a YAML file, got a list of 2 ("));
  write("wrong.yaml", "optim: {lr: fast}");
  EXPECT_THAT(file_refusal(write("e.yaml", "base: wrong.yaml")), HasSubstr("wrong.yaml:1)"));
  EXPECT_THAT(file_refusal(write("f.yaml", "base: wrong.yaml\nbase: wrong.yaml")),
              HasSubstr("stated twice"));
}

TEST_F(ConfigFile, IsOneConfigurationForAllButSweeps) {
  EXPECT_THAT(file_refusal(write("sweep.yaml", "sweep: {optim.lr: [1, 2]}")),
              HasSubstr("sweep: expected one configuration, got several"));
}

}  // namespace
}  // namespace ibot::config
