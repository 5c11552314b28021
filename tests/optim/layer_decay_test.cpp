#include "ibot/optim/layer_decay.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/golden.h"

namespace ibot::optim {
namespace {

TEST(LayerDecay, NumbersAVisionTransformer) {
  const auto ids = layer_ids({"backbone.cls_token", "backbone.patch_embed.proj.weight",
                              "backbone.blocks.0.attn.qkv.weight", "backbone.blocks.10.norm1.bias",
                              "backbone.norm.weight", "head.mlp.0.weight"});
  EXPECT_EQ(ids.last, 12);
  EXPECT_EQ(ids.of.at("backbone.cls_token"), 0);
  EXPECT_EQ(ids.of.at("backbone.patch_embed.proj.weight"), 0);
  EXPECT_EQ(ids.of.at("backbone.blocks.0.attn.qkv.weight"), 1);
  EXPECT_EQ(ids.of.at("backbone.blocks.10.norm1.bias"), 11);
  EXPECT_EQ(ids.of.at("backbone.norm.weight"), 12);
  EXPECT_EQ(ids.of.at("head.mlp.0.weight"), 12);
}

TEST(LayerDecayGolden, LayersAndScales) {
  const auto json = testing::read_json(testing::golden_root() / "11_finetune/layer_decay.json");
  const double decay = json["layer_decay"];
  for (const auto& model : json["models"]) {
    std::vector<std::string> names;
    for (const auto& [name, expected] : model["parameters"].items()) names.push_back(name);
    const auto ids = layer_ids(names);
    EXPECT_EQ(ids.last, model["num_layers"].get<int64_t>() + 1) << model["name"];
    for (const auto& [name, expected] : model["parameters"].items()) {
      EXPECT_EQ(ids.of.at(name), expected["layer_id"]) << model["name"] << ": " << name;
      EXPECT_DOUBLE_EQ(std::pow(decay, static_cast<double>(ids.last - ids.of.at(name))),
                       expected["lr_scale"])
          << model["name"] << ": " << name;
    }
  }
}

}  // namespace
}  // namespace ibot::optim
