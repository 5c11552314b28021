// Register tokens against DINOv2's forward pass, written out from the tensors alone.
#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ibot/models/network.h"
#include "ibot/models/weights.h"
#include "support/expect_tensor.h"

namespace ibot::models {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Tensors = std::map<std::string, torch::Tensor>;

constexpr int64_t kRegisters = 3;

BackboneOptions small() {
  return {.arch = "vit_small",
          .patch_size = 4,
          .image_size = 16,
          .embed_dim = 128,
          .depth = {2},
          .heads = {2},
          .layer_scale = 0.5,
          .registers = kRegisters};
}

Tensors tensors_of(const Backbone& backbone, const std::string& prefix = "") {
  Tensors tensors;
  for (const auto& [name, tensor] : named_state(backbone)) tensors[prefix + name] = tensor.detach();
  return tensors;
}

/// A network whose registers are not the near zeros that they begin as.
std::shared_ptr<Backbone> drawn(const BackboneOptions& options, Role role = Role::kStudent) {
  auto backbone = build_backbone(options, role);
  auto generator = at::detail::createCPUGenerator(1);
  initialize_(*backbone, generator);
  const torch::NoGradGuard no_grad;
  backbone->named_parameters()["register_tokens"].normal_(0.0, 1.0, generator);
  backbone->eval();
  return backbone;
}

torch::Tensor linear(const Tensors& tensors, const std::string& layer, const torch::Tensor& x) {
  return torch::matmul(x, tensors.at(layer + ".weight").t()) + tensors.at(layer + ".bias");
}

torch::Tensor norm(const Tensors& tensors, const std::string& layer, const torch::Tensor& x) {
  const auto centered = x - x.mean(-1, true);
  const auto variance = centered.square().mean(-1, true);
  return centered / (variance + 1e-6).sqrt() * tensors.at(layer + ".weight") +
         tensors.at(layer + ".bias");
}

torch::Tensor block(const Tensors& tensors, const std::string& name, int64_t heads,
                    torch::Tensor x) {
  const auto qkv = linear(tensors, name + "attn.qkv", norm(tensors, name + "norm1", x))
                       .view({x.size(0), x.size(1), 3, heads, -1})
                       .permute({2, 0, 3, 1, 4});
  const auto scale = 1.0 / std::sqrt(static_cast<double>(qkv.size(-1)));
  const auto weights = (qkv[0].matmul(qkv[1].transpose(-2, -1)) * scale).softmax(-1);
  const auto mixed = weights.matmul(qkv[2]).transpose(1, 2).flatten(2);
  x = x + tensors.at(name + "gamma_1") * linear(tensors, name + "attn.proj", mixed);
  const auto hidden =
      torch::gelu(linear(tensors, name + "mlp.fc1", norm(tensors, name + "norm2", x)));
  return x + tensors.at(name + "gamma_2") * linear(tensors, name + "mlp.fc2", hidden);
}

/// DINOv2's prepare_tokens_with_masks and forward_features at the size of the positions: all
/// normalized tokens, [B, 1 + R + N, D].
torch::Tensor dino_v2(const Tensors& tensors, const torch::Tensor& images,
                      const torch::Tensor& mask) {
  auto x = torch::conv2d(images, tensors.at("patch_embed.proj.weight"),
                         tensors.at("patch_embed.proj.bias"), 4)
               .flatten(2)
               .transpose(1, 2);
  if (mask.defined()) x = torch::where(mask.unsqueeze(-1), tensors.at("masked_embed"), x);
  const auto batch = images.size(0);
  x = torch::cat({tensors.at("cls_token").expand({batch, -1, -1}), x}, 1);
  x = x + tensors.at("pos_embed");
  x = torch::cat(
      {x.slice(1, 0, 1), tensors.at("register_tokens").expand({batch, -1, -1}), x.slice(1, 1)}, 1);
  for (const char* name : {"blocks.0.", "blocks.1."}) x = block(tensors, name, 2, x);
  return norm(tensors, "norm", x);
}

TEST(RegisterTokens, GiveTheTokensOfDinoV2) {
  const torch::NoGradGuard no_grad;
  const auto backbone = drawn(small());
  const auto tensors = tensors_of(*backbone);
  EXPECT_EQ(tensors.at("register_tokens").sizes(), (std::vector<int64_t>{1, kRegisters, 128}));
  const auto images = torch::rand({3, 3, 16, 16});
  for (const auto& mask : {torch::Tensor(), torch::rand({3, 16}) < 0.4}) {
    const auto all = dino_v2(tensors, images, mask);
    const auto output = backbone->forward(images, mask);
    EXPECT_TENSOR_NEAR(output.class_token, all.select(1, 0));
    EXPECT_TENSOR_NEAR(output.patch_tokens, all.slice(1, 1 + kRegisters));
    const auto selected = torch::tensor({0, 5, 16, 47});
    const auto part = backbone->forward_selected(images, mask, selected);
    EXPECT_TENSOR_NEAR(part.patch_tokens,
                       all.slice(1, 1 + kRegisters).flatten(0, 1).index_select(0, selected));
  }
  EXPECT_EQ(backbone->last_attention(images).size(-1), 1 + kRegisters + 16);
}

// The mean is over patches: with the final norm, that of the mean of normed ones would differ.
TEST(RegisterTokens, AreNoPartOfTheMean) {
  const torch::NoGradGuard no_grad;
  auto options = small();
  options.mean_pooling = true;
  const auto backbone = drawn(options);
  const auto tensors = tensors_of(*backbone);
  const auto images = torch::rand({2, 3, 16, 16});
  const auto output = backbone->forward(images);
  EXPECT_EQ(output.patch_tokens.size(1), 16);
  EXPECT_TENSOR_NEAR(output.class_token, norm(tensors, "fc_norm", output.patch_tokens.mean(1)));
  EXPECT_TENSOR_NEAR(backbone->mean_patch_token(images), output.patch_tokens.mean(1));
}

TEST(RegisterTokens, BeginAsDinoV2DrawsThem) {
  auto backbone = build_backbone(small(), Role::kStudent);
  initialize_(*backbone, at::detail::createCPUGenerator(1));
  const auto registers = backbone->named_parameters()["register_tokens"];
  EXPECT_NEAR(registers.std().item<double>(), 1e-6, 2e-7);
}

/// The network that these tensors describe.
std::shared_ptr<Backbone> read(const Tensors& tensors) {
  io::Dict dict{{}, "collections.OrderedDict"};
  for (const auto& [name, tensor] : tensors) dict.items.emplace_back(name, tensor);
  const auto weights = weights_of(dict, "x.pth", "teacher");
  auto backbone = build_backbone(infer_backbone(weights), Role::kTeacher);
  EXPECT_THAT(load_weights_(*backbone, weights, "backbone.").unused, ElementsAre());
  backbone->eval();
  return backbone;
}

// timm's networks with registers have positions of the patches alone, or one for every token.
TEST(RegisterTokens, TimmsPositionsGiveTheSameTokens) {
  const torch::NoGradGuard no_grad;
  const auto backbone = drawn(small(), Role::kTeacher);
  const auto images = torch::rand({2, 3, 16, 16});
  const auto expected = backbone->forward(images);
  const auto alone = timm_tensors(tensors_of(*backbone));
  EXPECT_EQ(alone.count("register_tokens"), 0U);
  EXPECT_EQ(alone.at("pos_embed").size(1), 16);
  auto each = alone;
  const auto shift = torch::rand({1, 1 + kRegisters, 128});
  each["cls_token"] = alone.at("cls_token") - shift.slice(1, 0, 1);
  each["reg_token"] = alone.at("reg_token") - shift.slice(1, 1);
  each["pos_embed"] = torch::cat({shift, alone.at("pos_embed")}, 1);
  for (const auto& tensors : {alone, each}) {
    const auto output = read(tensors)->forward(images);
    EXPECT_TENSOR_NEAR(output.class_token, expected.class_token);
    EXPECT_TENSOR_NEAR(output.patch_tokens, expected.patch_tokens);
  }
}

TEST(RegisterTokens, AnotherNumberIsRefused) {
  const auto four = [] {
    auto options = small();
    options.registers = 4;
    return build_backbone(options, Role::kTeacher);
  }();
  const Weights weights{.source = "x.pth",
                        .tensors = tensors_of(*drawn(small(), Role::kTeacher), "backbone.")};
  try {
    load_weights_(*four, weights, "backbone.");
    FAIL() << "expected a CheckpointError";
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("register_tokens: expected shape [1, 4, 128], got [1, 3"));
  }
  EXPECT_THROW(
      build_backbone({.arch = "swin_tiny", .patch_size = 4, .registers = 4}, Role::kTeacher),
      OptionError);
}

}  // namespace
}  // namespace ibot::models
