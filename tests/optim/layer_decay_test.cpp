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
  const auto json = testing::golden_case("11_finetune", "layer_decay").json;
  const double decay = json["layer_decay"];
  for (const auto& model : json["models"].elements()) {
    SCOPED_TRACE(model["name"].get<std::string>());
    std::vector<std::string> names;
    for (const auto& [name, expected] : model["parameters"].items()) names.push_back(name);
    const auto ids = layer_ids(names);
    EXPECT_EQ(ids.last, model["num_layers"].get<int64_t>() + 1);
    const auto scales = model["scale_of_layer_id"].get<std::vector<double>>();
    ASSERT_EQ(static_cast<int64_t>(scales.size()), ids.last + 1);
    for (const auto& [name, expected] : model["parameters"].items()) {
      const int64_t id = ids.of.at(name);
      EXPECT_EQ(id, expected["layer_id"].get<int64_t>()) << name;
      const double scale = std::pow(decay, static_cast<double>(ids.last - id));
      EXPECT_DOUBLE_EQ(scale, expected["lr_scale"]) << name;
      EXPECT_DOUBLE_EQ(scale, scales[id]) << name;
    }
  }
  // Weight decay and what follows from it is tested with whole classifiers.
  json.expect_all_read({"weight_decay", "models/skip_weight_decay",
                        "models/parameters/*/weight_decay", "models/parameters/*/group"});
}

}  // namespace
}  // namespace ibot::optim
