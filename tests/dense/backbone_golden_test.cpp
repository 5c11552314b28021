#include <gtest/gtest.h>

#include "ibot/dense/swin_pyramid.h"
#include "ibot/dense/vit_pyramid.h"
#include "ibot/models/network.h"
#include "support/golden.h"

namespace ibot::dense {
namespace {

using ::ibot::testing::dense_case;
using ::ibot::testing::GoldenCase;
using ::ibot::testing::near;

using Tensors = std::map<std::string, torch::Tensor>;

torch::Tensor pixels(const torch::Tensor& stored) { return (stored.to(torch::kFloat) - 128) / 64; }

/// The file's weights, all of them and no others.
void load(DenseBackbone& backbone, const GoldenCase& golden) {
  const torch::NoGradGuard no_grad;
  const auto weights = golden.tensors("weights");
  size_t copied = 0;
  for (const auto& [name, tensor] : models::named_state(backbone)) {
    if (models::is_derived(name)) continue;
    ASSERT_EQ(weights.count(name), 1U) << name;
    torch::Tensor(tensor).copy_(weights.at(name));
    ++copied;
  }
  size_t stored = 0;
  for (const auto& weight : weights) stored += models::is_derived(weight.first) ? 0 : 1;
  EXPECT_EQ(copied, stored);
}

DenseOptions options_of(const GoldenCase& golden) {
  const auto config = golden.json["config"];
  const auto grid = config["position_grid"].get<std::vector<int64_t>>();
  const bool rectangular = golden.name.starts_with("rectangular");
  return {.backbone = {.arch = "vit_tiny",
                       .patch_size = config["patch"],
                       .image_size = grid[0] * config["patch"].get<int64_t>(),
                       .drop_path = 0,
                       .embed_dim = config["embed_dim"],
                       .depth = {config["depth"].get<int64_t>()},
                       .heads = {config["heads"].get<int64_t>()},
                       .mlp_ratio = config["mlp_ratio"],
                       .qkv_bias = config["qkv_bias"]},
          .taps = config["taps_zero_based"].get<std::vector<int64_t>>(),
          .out_with_norm = config["norm_on_taps"],
          .pyramid = config["pyramid"],
          .frozen = golden.name.find("frozen") != std::string::npos,
          .position_rule = rectangular ? PositionRule::kGrid : PositionRule::kSquare,
          .positions = {grid[0], grid[1]}};
}

/// The case's tolerance, or where it is more what the reference in float32 is off by itself.
testing::Tolerance tolerance_of(const GoldenCase& golden, const std::string& name) {
  auto tolerance = golden.tolerance();
  const double noise = golden.json["float32_noise"][name][0];
  tolerance.atol = std::max(tolerance.atol, noise);
  return tolerance;
}

/// Whether batch normalization takes away what the bias adds: its gradient is zero but for
/// rounding.
bool is_without_effect(const VitPyramid& backbone, const std::string& name) {
  return name == "grad.fpn1.0.bias" && !backbone.named_buffers().is_empty();
}

void check_evaluation(VitPyramid& backbone, const GoldenCase& golden, const Tensors& tensors) {
  backbone.eval();
  int64_t sizes = 0;
  for (; tensors.count(concat("size", sizes, ".image")) > 0; ++sizes) {
    const auto start = concat("size", sizes, ".");
    const auto image = pixels(tensors.at(start + "image"));
    EXPECT_TRUE(near(backbone.positions(image.size(2), image.size(3)),
                     tensors.at(start + "position_embedding"), golden.tolerance()));
    const auto maps = backbone.forward(image);
    for (size_t i = 0; i < maps.size(); ++i) {
      const auto name = concat(start, "feature", i);
      EXPECT_TRUE(near(maps[i], tensors.at(name), tolerance_of(golden, name)))
          << golden.name << " " << name;
    }
  }
  EXPECT_GT(sizes, 0);
}

void check_training(VitPyramid& backbone, const GoldenCase& golden, const Tensors& tensors) {
  backbone.train();
  auto loss = torch::zeros({});
  const auto maps = backbone.forward(pixels(tensors.at("train.image")));
  for (size_t i = 0; i < maps.size(); ++i) {
    loss = loss + maps[i].square().mean();
    const auto name = concat("train.feature", i);
    if (tensors.count(name) == 0) continue;  // not every case has them
    EXPECT_TRUE(near(maps[i], tensors.at(name), tolerance_of(golden, name)))
        << golden.name << ' ' << name;
  }
  loss.backward();
  Tensors actual;
  for (const auto& parameter : backbone.named_parameters()) {
    actual["grad." + parameter.key()] = parameter.value().grad();
  }
  for (const auto& buffer : backbone.named_buffers()) {
    actual["after." + buffer.key()] = buffer.value();
  }
  for (const auto& [name, expected] : tensors) {
    if (is_without_effect(backbone, name)) {
      EXPECT_LT(actual.at(name).abs().max().item<double>(), 1e-6);
      continue;
    }
    const bool is_gradient = name.starts_with("grad.");
    if (!is_gradient && !name.starts_with("after.")) continue;
    const double largest = expected.abs().max().item<double>();
    const auto tolerance =
        is_gradient ? testing::Tolerance{0, 1e-3 * largest + 1e-9} : golden.tolerance();
    EXPECT_TRUE(near(actual.at(name), expected, tolerance)) << golden.name << " " << name;
  }
}

/// The frozen case: in training mode only what lies around the backbone trains.
void check_frozen(VitPyramid& backbone, const GoldenCase& golden) {
  EXPECT_EQ(golden.json["trainable"].size(), 0U);
  backbone.train();
  for (const auto& parameter : backbone.parameters()) EXPECT_FALSE(parameter.requires_grad());
  for (const auto& child : backbone.modules(/*include_self=*/false)) {
    if (!child->parameters().empty() && child->children().empty()) {
      EXPECT_FALSE(child->is_training());
    }
  }
}

class VitPyramidDense : public ::testing::TestWithParam<const char*> {};

TEST_P(VitPyramidDense, IsTheSame) {
  const auto golden = dense_case("07_vit_pyramid", GetParam());
  const auto options = options_of(golden);
  VitPyramid backbone(options, models::vit_shape(options.backbone));
  load(backbone, golden);
  const auto tensors = golden.tensors();
  check_evaluation(backbone, golden, tensors);
  if (tensors.count("train.image") > 0) check_training(backbone, golden, tensors);
  if (options.frozen) check_frozen(backbone, golden);
}

INSTANTIATE_TEST_SUITE_P(Cases, VitPyramidDense,
                         ::testing::Values("square_norm", "square_nonorm", "square_patch8",
                                           "square_frozen_nofpn", "rectangular"));

TEST(SwinPyramidDense, IsTheSame) {
  const auto golden = dense_case("07_vit_pyramid", "swin");
  const auto config = golden.json["config"];
  models::BackboneOptions options{.arch = "swin_tiny",
                                  .patch_size = config["patch"],
                                  .window_size = config["window_size"],
                                  .drop_path = 0,
                                  .embed_dim = config["embed_dim"],
                                  .depth = config["depths"].get<std::vector<int64_t>>(),
                                  .heads = config["num_heads"].get<std::vector<int64_t>>(),
                                  .mlp_ratio = config["mlp_ratio"],
                                  .qkv_bias = config["qkv_bias"]};
  SwinPyramid backbone({.backbone = options}, models::swin_shape(options));
  load(backbone, golden);
  backbone.eval();
  const auto tensors = golden.tensors();
  const auto maps = backbone.forward(pixels(tensors.at("image")));
  ASSERT_EQ(maps.size(), 4U);
  for (size_t i = 0; i < maps.size(); ++i) {
    EXPECT_TRUE(near(maps[i], tensors.at(concat("feature", i)), golden.tolerance())) << i;
  }
}

TEST(PositionsAtLoadDense, AreTheSame) {
  const auto golden = dense_case("07_vit_pyramid", "load_position_embedding");
  const auto config = golden.json["config"];
  const auto tensors = golden.tensors();
  const auto grid = [&](const char* name) {
    const auto sides = config[name].get<std::vector<int64_t>>();
    return nn::PositionGrid{sides[0], sides[1]};
  };
  for (const auto* name : {"square", "rectangular"}) {
    const auto resized =
        nn::resize_pos_embed(tensors.at("source"), grid("source_grid"), grid(name));
    EXPECT_TRUE(near(resized, tensors.at(name), golden.tolerance())) << name;
  }
}

}  // namespace
}  // namespace ibot::dense
