#include "ibot/optim/layer_decay.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ibot/models/architecture.h"
#include "support/golden.h"
#include "support/golden_options.h"

namespace ibot::optim {
namespace {

TEST(LayerDecay, NumbersAVisionTransformer) {
  const models::BackboneOptions vit{.arch = "vit_small", .depth = {11}};
  const auto layer = [&](const char* name) { return models::layer_of(vit, name); };
  EXPECT_EQ(layer("backbone.cls_token"), 0);
  EXPECT_EQ(layer("backbone.patch_embed.proj.weight"), 0);
  EXPECT_EQ(layer("backbone.blocks.0.attn.qkv.weight"), 1);
  EXPECT_EQ(layer("backbone.blocks.10.norm1.bias"), 11);
  EXPECT_EQ(layer("backbone.norm.weight"), 12);
  EXPECT_EQ(layer("head.mlp.0.weight"), 12);
}

/// The models of the golden file are as deep as their names tell.
models::BackboneOptions options_of(const testing::ReadJson& model) {
  const int64_t layers = model["num_layers"];
  if (model["name"].get<std::string>() != "swin") return {.arch = "vit_small", .depth = {layers}};
  const auto config = testing::golden_case("11_finetune", "swin").json["config"];
  return {.arch = "swin_tiny",
          .patch_size = 4,
          .depth = testing::integers_of(config["depths"]),
          .heads = testing::integers_of(config["heads"])};
}

TEST(LayerDecayGolden, LayersAndScales) {
  const auto json = testing::golden_case("11_finetune", "layer_decay").json;
  const double decay = json["layer_decay"];
  for (const auto& model : json["models"].elements()) {
    SCOPED_TRACE(model["name"].get<std::string>());
    const auto options = options_of(model);
    const auto last = models::layer_of(options, "head.weight");
    EXPECT_EQ(last, model["num_layers"].get<int64_t>() + 1);
    const auto scales = model["scale_of_layer_id"].get<std::vector<double>>();
    ASSERT_EQ(static_cast<int64_t>(scales.size()), last + 1);
    for (const auto& [name, expected] : model["parameters"].items()) {
      const auto layer = models::layer_of(options, name);
      EXPECT_EQ(layer, expected["layer_id"].get<int64_t>()) << name;
      const double scale = std::pow(decay, static_cast<double>(last - layer));
      EXPECT_DOUBLE_EQ(scale, expected["lr_scale"]) << name;
      EXPECT_DOUBLE_EQ(scale, scales[layer]) << name;
    }
  }
  // Weight decay and what follows from it is tested with whole classifiers.
  json.expect_all_read({"weight_decay", "models/skip_weight_decay",
                        "models/parameters/*/weight_decay", "models/parameters/*/group"});
}

}  // namespace
}  // namespace ibot::optim
