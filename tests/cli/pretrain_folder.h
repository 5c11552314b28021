// A small drawn image set, and runs of ibot-train on it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ibot/io/safetensors.h"
#include "support/running_program.h"

namespace ibot::testing {

/// Each test in a folder of its own with set/train (16 images of 2 classes) and set/val (8 images);
/// a run OUT of it lies beside them. One thread an operation: what is tested is not the speed, and
/// threads that wait for each other are slow where tests share their cores.
class PretrainFolder : public ::testing::Test {
 protected:
  using Words = std::vector<std::string>;
  using Json = nlohmann::json;

  void SetUp() override {
    const auto drawn = run("ibot-data", {"synth", "set", "classes=2", "train_per_class=8",
                                         "val_per_class=4", "size=16"});
    ASSERT_EQ(drawn.status, 0) << drawn.err;
  }

  ProgramResult run(const std::string& program, const Words& words) const {
    return run_program(program, words, folder_);
  }

  /// A configuration of 4 epochs of 4 steps of 4 images.
  static Words config_words() {
    return {std::string(IBOT_SOURCE_DIR) + "/configs/smoke/tiny.yaml",
            "data.path=set/train",
            "augment.global_size=16",
            "augment.local_size=8",
            "backbone.image_size=16",
            "train.batch_size=4",
            "train.epochs=4",
            "eval.resize_size=16",
            "eval.crop_size=16",
            "eval.k=[1,3]"};
  }

  /// What follows `ibot-train` for the run `output`.
  static Words train_words(const std::string& output, const Words& more = {}) {
    Words words = config_words();
    words.insert(words.end(), {"--output", output, "--threads", "1"});
    words.insert(words.end(), more.begin(), more.end());
    return last_of_each_key(words);
  }

  ProgramResult train(const std::string& output, const Words& more = {}) const {
    return run("ibot-train", train_words(output, more));
  }

  /// Trains to the end, which must not fail.
  void finish(const std::string& output, const Words& more = {}) const {
    const auto result = train(output, more);
    ASSERT_EQ(result.status, 0) << result.err;
  }

  std::filesystem::path last(const std::string& output) const {
    return folder_ / output / "checkpoints" / "last.safetensors";
  }

  std::string text(const std::string& file) const { return read_text(folder_ / file); }

  /// The objects of a file of one JSON object a line.
  std::vector<Json> objects(const std::string& file) const {
    std::vector<Json> list;
    std::istringstream lines(text(file));
    for (std::string line; std::getline(lines, line);) list.push_back(Json::parse(line));
    return list;
  }

  /// Lines of OUT/metrics.jsonl so far: the steps taken, in a run without evaluation.
  int64_t steps(const std::string& output) const {
    const auto lines = text(output + "/metrics.jsonl");
    return std::count(lines.begin(), lines.end(), '\n');
  }

  /// What training made: both networks, centers and moments of the optimizer.
  std::map<std::string, torch::Tensor> weights(const std::string& output) const {
    auto tensors = io::read_safetensors(last(output)).tensors;
    std::erase_if(tensors, [](const auto& entry) { return entry.first.rfind("run.", 0) == 0; });
    return tensors;
  }

  void expect_same_weights(const std::string& output, const std::string& other) const {
    const auto ours = weights(output), theirs = weights(other);
    ASSERT_GT(ours.size(), 0u);
    ASSERT_EQ(ours.size(), theirs.size());
    for (const auto& [name, tensor] : ours) {
      ASSERT_EQ(theirs.count(name), 1u) << name;
      EXPECT_TRUE(tensor.equal(theirs.at(name))) << name << " differs";
    }
  }

  /// Both runs wrote the same log.txt and, but for times and memory, the same metrics.jsonl.
  void expect_same_logs(const std::string& output, const std::string& other) const {
    const auto metrics = [this](const std::string& run) {
      auto lines = objects(run + "/metrics.jsonl");
      for (auto& line : lines) {
        for (const char* key :
             {"images_per_s", "data_wait", "flops_per_s", "mfu", "memory_bytes"}) {
          line.erase(key);
        }
      }
      return lines;
    };
    EXPECT_EQ(text(output + "/log.txt"), text(other + "/log.txt"));
    EXPECT_EQ(metrics(output), metrics(other));
  }

  /// The result is a failure with this status, told in one line that holds `reason`.
  static void expect_failure(const ProgramResult& result, int status, const std::string& reason) {
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, ::testing::StartsWith("error: "));
    EXPECT_THAT(result.err, ::testing::HasSubstr(reason));
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  }

  std::filesystem::path folder_ = test_folder();
};

}  // namespace ibot::testing
