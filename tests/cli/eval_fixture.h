// Running ibot-eval on a few tiny images.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/student_teacher.h"
#include "support/run_program.h"

namespace ibot {

inline const std::vector<std::string> kTiny{
    "backbone.embed_dim=16", "backbone.depth=2",  "backbone.heads=2",   "backbone.patch_size=4",
    "backbone.image_size=8", "head.prototypes=8", "head.hidden_dim=16", "head.bottleneck_dim=8",
    "eval.resize_size=8",    "eval.crop_size=8",  "eval.k=[1,3]",       "augment.local_crops=0"};

/// Dark images in one class, bright ones in the other.
inline void write_images(const std::filesystem::path& folder, int count) {
  for (const auto& [name, level] : {std::pair{"dark", 20}, std::pair{"bright", 200}}) {
    std::filesystem::create_directories(folder / name);
    for (int i = 0; i < count; ++i) {
      std::ofstream file(folder / name / (std::to_string(i) + ".ppm"), std::ios::binary);
      file << "P6 8 8 255\n";
      for (int pixel = 0; pixel < 8 * 8 * 3; ++pixel) {
        file << static_cast<char>(level + (pixel * (i + 3)) % 30);
      }
    }
  }
}

class IbotEval : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::test_folder();
    write_images(folder_ / "data" / "train", 5);
    write_images(folder_ / "data" / "val", 2);
  }

  testing::ProgramResult run(std::vector<std::string> words) const {
    words.insert(words.end(), {"--device", "cpu"});
    return testing::run_program("ibot-eval", words, folder_);
  }

  testing::ProgramResult knn(const std::string& weights, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"knn", "--weights", weights, "--data", "data"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }

  /// A checkpoint of the network that a tiny run begins with, its student set to zero.
  void write_checkpoint(const std::string& name) const {
    const auto config = config::read_config<config::RunConfig>("", kTiny);
    train::StudentTeacher networks(config.backbone, config.head, 0);
    train::Checkpoint checkpoint;
    checkpoint.config = config::write_config(config);
    for (auto& [tensor_name, tensor] : models::named_state(networks)) {
      const bool student = tensor_name.rfind("student.", 0) == 0;
      checkpoint.tensors[tensor_name] = student ? torch::zeros_like(tensor) : tensor.detach();
    }
    train::save_checkpoint(folder_ / name, checkpoint);
  }

  nlohmann::json report(const std::string& folder) const {
    return nlohmann::json::parse(testing::read_text(folder_ / folder / "report.json"));
  }

  std::filesystem::path folder_;
};

}  // namespace ibot
