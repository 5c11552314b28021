#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ibot/models/vision_transformer.h"
#include "models/tiny_network.h"

namespace ibot::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(InferBackbone, TellsTheOptionsFromTheShapes) {
  const Weights weights{.tensors = state_of(*drawn_network(1))};
  const auto options = infer_backbone(weights);
  const auto shape = vit_shape(options);
  EXPECT_EQ(shape.embed_dim, 128);
  EXPECT_EQ(shape.depth, 2);
  EXPECT_EQ(shape.heads, 2);  // of 64
  EXPECT_EQ(options.patch_size, 4);
  EXPECT_EQ(options.image_size, 16);
  EXPECT_EQ(options.mlp_ratio, 2.5);
  EXPECT_GT(options.layer_scale, 0.0);
  EXPECT_FALSE(options.mean_pooling);
  EXPECT_EQ(vit_shape(infer_backbone(weights, 4)).heads, 4);
  const auto head = infer_head(weights);
  EXPECT_EQ(head.layers, 3);
  EXPECT_EQ(head.prototypes, 6);
  EXPECT_EQ(head.patch_prototypes, 5);
  EXPECT_FALSE(head.shared);
}

TEST(InferBackbone, NamesThePreset) {
  for (const BackboneOptions& own :
       {BackboneOptions{.arch = "vit_tiny"}, BackboneOptions{.arch = "swin_tiny", .patch_size = 4},
        BackboneOptions{
            .arch = "swin_tiny", .patch_size = 4, .window_size = 14, .image_size = 192}}) {
    const auto backbone = build_backbone(own, Role::kTeacher);
    const auto options = infer_backbone({.tensors = state_of(*backbone, "backbone.")});
    EXPECT_EQ(options.arch, own.arch);
    EXPECT_EQ(options.embed_dim, 0);
    EXPECT_TRUE(options.depth.empty());
    EXPECT_EQ(options.image_size, own.image_size);
    EXPECT_EQ(options.window_size, own.window_size);
  }
}

TEST(InferBackbone, RefusesWhatShapesCannotTell) {
  auto options = tiny_backbone();
  options.embed_dim = 48;
  const auto backbone = build_backbone(options, Role::kTeacher);
  Weights weights{.source = "x.pth", .tensors = state_of(*backbone, "backbone.")};
  EXPECT_THAT(refusal([&] { infer_backbone(weights); }), HasSubstr("backbone.heads=N"));
  weights.tensors["backbone.pos_embed"] = torch::ones({1, 8, 48});
  EXPECT_THAT(refusal([&] { infer_backbone(weights, 2); }), HasSubstr("in a square"));
  weights.tensors["backbone.pos_embed"] = torch::ones({1, 64, 48});
  EXPECT_THAT(refusal([&] { infer_backbone(weights, 2); }),
              AllOf(HasSubstr("expected 65 positions"), HasSubstr("class token's is missing")));
  weights.tensors["backbone.pos_embed"] = torch::ones({1, 18, 48});
  weights.others = {"dist_token"};
  EXPECT_THAT(refusal([&] { infer_backbone(weights, 2); }), HasSubstr("distillation token"));
  weights.tensors.erase("backbone.pos_embed");
  EXPECT_THAT(refusal([&] { infer_backbone(weights, 2); }),
              HasSubstr("expected a backbone.pos_embed"));
  weights.tensors["backbone.blocks.0.mlp.w12.weight"] = torch::ones({1});
  weights.tensors["backbone.pos_embed"] = torch::ones({1, 17, 48});
  EXPECT_THAT(refusal([&] { infer_backbone(weights, 2); }), HasSubstr("SwiGLU"));
  weights.tensors.erase("backbone.patch_embed.proj.weight");
  EXPECT_THAT(refusal([&] { infer_backbone(weights, 2); }), HasSubstr("patch_embed.proj.weight"));
}

}  // namespace
}  // namespace ibot::models
