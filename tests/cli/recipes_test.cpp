// Every published recipe starts: ibot-train --dry-run, shrunk to what a test can wait for.
#include "cli/pretrain_folder.h"
#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"

namespace ibot::testing {
namespace {

/// Smaller images, heads and batches; of a ViT also fewer blocks. What a recipe says of crops,
/// masks, pairs, losses and schedules stays.
std::vector<std::string> shrunk(const config::RunConfig& config) {
  std::vector<std::string> words{"train.batch_size=2",       "train.precision=fp32",
                                 "train.device=cpu",         "augment.global_size=64",
                                 "augment.local_size=32",    "head.prototypes=64",
                                 "head.patch_prototypes=64", "head.hidden_dim=64"};
  if (config.augment.local_crops > 0) words.push_back("augment.local_crops=2");
  if (config.backbone.arch.rfind("vit_", 0) == 0) words.push_back("backbone.depth=1");
  return words;
}

class Recipes : public PretrainFolder {};

TEST_F(Recipes, PassADryRun) {
  int passed = 0;
  const auto configs = std::filesystem::path(IBOT_SOURCE_DIR) / "configs" / "pretrain";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(configs)) {
    if (entry.path().extension() != ".yaml") continue;
    SCOPED_TRACE(entry.path());
    Words words{
        entry.path().string(), "data.path=set/train", "--dry-run", "--json", "--threads", "1"};
    for (auto& word : shrunk(config::read_config<config::RunConfig>(entry.path()))) {
      words.push_back(std::move(word));
    }
    const auto result = run("ibot-train", words);
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_GT(Json::parse(result.out)["hours"], 0.0);
    ++passed;
  }
  EXPECT_GT(passed, 20);
}

}  // namespace
}  // namespace ibot::testing
