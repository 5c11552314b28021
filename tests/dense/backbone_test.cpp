#include "ibot/dense/backbone.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "ibot/models/network.h"
#include "support/expect_tensor.h"

namespace ibot::dense {
namespace {

models::BackboneOptions small_vit() {
  return {.arch = "vit_tiny", .image_size = 64, .embed_dim = 16, .depth = {4}, .heads = {2}};
}

models::BackboneOptions small_swin() {
  return {.arch = "swin_tiny",
          .patch_size = 4,
          .window_size = 2,
          .image_size = 64,
          .embed_dim = 8,
          .depth = {2, 2, 2, 1},
          .heads = {1, 1, 2, 2}};
}

models::Weights weights_of(const models::BackboneOptions& options) {
  const auto network = models::build_backbone(options, models::Role::kTeacher);
  models::initialize_(*network, at::make_generator<at::CPUGeneratorImpl>(1));
  models::Weights weights{.source = "test"};
  for (const auto& [name, tensor] : models::named_state(*network)) {
    weights.tensors.emplace("backbone." + name, tensor.detach().clone());
  }
  return weights;
}

TEST(DenseBackbone, TapsAreThoseOfTheReference) {
  EXPECT_EQ(default_taps(12), (std::vector<int64_t>{3, 5, 7, 11}));
  EXPECT_EQ(default_taps(24), (std::vector<int64_t>{7, 11, 15, 23}));
  EXPECT_EQ(default_taps(4), (std::vector<int64_t>{0, 1, 2, 3}));
}

TEST(DenseBackbone, TheLastTapOfAPretrainedVitIsItsOutput) {
  const auto options = small_vit();
  const auto weights = weights_of(options);
  const auto plain = models::build_backbone(options, models::Role::kTeacher);
  models::load_weights_(*plain, weights, "backbone.");
  const auto dense = build_backbone({.backbone = options, .pyramid = false});
  const auto report = load_weights_(*dense, weights);
  EXPECT_TRUE(report.missing.empty());
  plain->eval();
  dense->eval();
  const auto images = torch::rand({2, 3, 64, 64});
  EXPECT_TRUE(testing::equal(dense->forward(images).back().flatten(2).transpose(1, 2),
                             plain->forward(images).patch_tokens));
}

TEST(DenseBackbone, LoadsOnAnotherGridAndNamesWhatIsNew) {
  auto options = small_vit();
  const auto weights = weights_of(options);
  options.image_size = 96;
  const auto vit = build_backbone({.backbone = options});
  const auto report = load_weights_(*vit, weights);
  EXPECT_EQ(report.resized, std::vector<std::string>{"backbone.pos_embed"});
  for (const auto& name : report.missing) EXPECT_TRUE(name.starts_with("backbone.fpn")) << name;
  EXPECT_FALSE(report.missing.empty());

  const auto swin = build_backbone({.backbone = small_swin()});
  const auto of_swin = load_weights_(*swin, weights_of(small_swin()));
  EXPECT_EQ(of_swin.missing.size(), 8U);  // weight and bias of norm0 to norm3
  EXPECT_EQ(swin->embed_dims(), (std::vector<int64_t>{8, 16, 32, 64}));
}

TEST(DenseBackbone, RefusesWeightsOfAnotherDepthAndOptionsWithoutMeaning) {
  auto options = small_vit();
  const auto weights = weights_of(options);
  options.depth = {5};
  const auto deeper = build_backbone({.backbone = options});
  EXPECT_THROW(load_weights_(*deeper, weights), CheckpointError);
  EXPECT_THROW(build_backbone({.backbone = options, .taps = {0, 1, 2, 5}}), OptionError);
  EXPECT_THROW(build_backbone({.backbone = options, .taps = {0, 1}}), OptionError);
  options.patch_size = 4;
  EXPECT_THROW(build_backbone({.backbone = options}), ConfigError);
}

TEST(DenseBackbone, MapsOfSwinDoNotDependOnPaddingOfOtherImages) {
  const auto swin = build_backbone({.backbone = small_swin()});
  initialize_(*swin, at::make_generator<at::CPUGeneratorImpl>(2));
  swin->eval();
  const torch::NoGradGuard no_grad;
  const auto images = torch::rand({2, 3, 37, 50});
  const auto both = swin->forward(images);
  const auto first = swin->forward(images.narrow(0, 0, 1));
  EXPECT_EQ(both[0].sizes(), (std::vector<int64_t>{2, 8, 10, 13}));
  EXPECT_EQ(both[3].sizes(), (std::vector<int64_t>{2, 64, 2, 2}));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(testing::near(both[i].narrow(0, 0, 1), first[i], {1e-4, 1e-5}));
  }
}

}  // namespace
}  // namespace ibot::dense
