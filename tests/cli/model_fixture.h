// Running ibot-model on a small checkpoint.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/step.h"
#include "support/golden.h"
#include "support/run_program.h"

namespace ibot {

inline const std::vector<std::string> kTinyModel{
    "backbone.embed_dim=128", "backbone.depth=2",      "backbone.heads=2",
    "backbone.patch_size=4",  "backbone.image_size=8", "head.prototypes=8",
    "head.hidden_dim=16",     "head.bottleneck_dim=8", "head.patch_prototypes=8",
    "augment.local_crops=0",  "train.precision=fp32",  "backbone.layer_scale=0.5"};

class IbotModel : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = testing::test_folder(); }

  testing::ProgramResult run(const std::vector<std::string>& words) const {
    return testing::run_program("ibot-model", words, folder_);
  }

  /// Runs the program, which must succeed; what it printed.
  std::string done(const std::vector<std::string>& words) const {
    const auto result = run(words);
    EXPECT_EQ(result.status, 0) << result.err;
    return result.out;
  }

  std::string golden(const std::string& name) const {
    return (testing::golden_root() / "13_checkpoint" / name).string();
  }

  /// A checkpoint as ibot-train writes it, of a network never trained.
  train::Checkpoint write_checkpoint() const {
    const auto config = config::read_config<config::RunConfig>("", kTinyModel);
    train::StepOptions options{.backbone = config.backbone, .head = config.head};
    const train::TrainStep step(options, torch::kCPU);
    train::Checkpoint checkpoint{
        {}, {.step = 5, .steps_per_epoch = 2}, config::write_config(config)};
    for (const auto& [name, tensor] : step.state()) checkpoint.tensors[name] = tensor.detach();
    checkpoint.tensors["run.clusters"] = torch::arange(3);
    train::save_checkpoint(folder_ / "a.safetensors", checkpoint);
    return checkpoint;
  }

  std::filesystem::path folder_;
};

}  // namespace ibot
