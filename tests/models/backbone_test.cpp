#include "ibot/models/backbone.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "ibot/base/error.h"
#include "ibot/models/network.h"
#include "support/expect_tensor.h"

namespace ibot::models {
namespace {

BackboneOptions tiny() {
  return {.patch_size = 4, .image_size = 16, .embed_dim = 12, .depth = {2}, .heads = {2}};
}

TEST(Backbone, AnUnknownNameListsTheKnownOnes) {
  auto options = tiny();
  options.arch = "vit_huge";
  try {
    build_backbone(options, Role::kStudent);
    FAIL() << "expected an OptionError";
  } catch (const OptionError& error) {
    EXPECT_EQ(error.key(), "arch");
    EXPECT_NE(error.problem().find("vit_small"), std::string::npos) << error.problem();
    EXPECT_NE(error.problem().find("vit_huge"), std::string::npos) << error.problem();
  }
}

TEST(Backbone, HeadsMustDivideTheWidth) {
  auto options = tiny();
  options.heads = {5};
  EXPECT_THROW(build_backbone(options, Role::kStudent), OptionError);
}

TEST(Backbone, RefusesMasksItCannotApply) {
  const auto images = torch::zeros({2, 3, 16, 16});
  const auto mask = torch::zeros({2, 16}, torch::kBool);
  EXPECT_THROW(build_backbone(tiny(), Role::kTeacher)->forward(images, mask), Error);
  const auto student = build_backbone(tiny(), Role::kStudent);
  EXPECT_THROW(student->forward(images, torch::zeros({2, 9}, torch::kBool)), Error);
  EXPECT_THROW(student->forward(torch::zeros({2, 3, 3, 16})), Error);
  EXPECT_THROW(student->intermediate(images, 3), Error);
}

// Blocks that add nothing leave a patch embedding of 3 and the positions 0 to 15, 10 of the class
// token; the final norm would make them zeros.
TEST(Backbone, TheMeanPatchTokenOfAVitIsReadBeforeTheFinalNorm) {
  const torch::NoGradGuard no_grad;
  const auto backbone = build_backbone(tiny(), Role::kTeacher);
  for (auto& parameter : backbone->named_parameters()) {
    if (parameter.key().rfind("norm.", 0) != 0) parameter.value().zero_();
  }
  auto parameters = backbone->named_parameters();
  parameters["patch_embed.proj.bias"].fill_(3);
  parameters["pos_embed"].copy_(
      torch::cat({torch::tensor({10.0f}), torch::arange(16).to(torch::kFloat)}).view({1, 17, 1}));
  const auto images = torch::rand({2, 3, 16, 16});
  EXPECT_TENSOR_NEAR(backbone->mean_patch_token(images), torch::full({2, 12}, 3 + 7.5));
  EXPECT_TENSOR_NEAR(backbone->forward(images).patch_tokens, torch::zeros({2, 16, 12}));
}

// Leaving out what is not selected changes neither values nor gradients, drop path included.
TEST(Backbone, SelectedTokensAreThoseOfTheWholePass) {
  auto options = tiny();
  options.drop_path = 0.5;
  options.layer_scale = 0.5;
  const auto images = torch::rand({3, 3, 16, 24});
  const auto mask = torch::rand({3, 24}) < 0.4;
  const auto selected = mask.flatten().nonzero().squeeze(1);
  const auto student = build_backbone(options, Role::kStudent);
  initialize_(*student, at::detail::createCPUGenerator(5));
  student->train();
  const auto gradients = [&](const torch::Tensor& cls, const torch::Tensor& patches) {
    student->zero_grad();
    (cls.sin().sum() + patches.cos().sum()).backward();
    std::vector<torch::Tensor> all;
    for (const auto& parameter : student->parameters()) all.push_back(parameter.grad().clone());
    return all;
  };
  student->set_context({.generator = at::detail::createCPUGenerator(9)});
  const auto whole = student->forward(images, mask);
  const auto patches = whole.patch_tokens.flatten(0, 1).index_select(0, selected);
  const auto expected = gradients(whole.class_token, patches);
  student->set_context({.generator = at::detail::createCPUGenerator(9)});
  const auto part = student->forward_selected(images, mask, selected);
  EXPECT_TENSOR_NEAR(part.class_token, whole.class_token);
  EXPECT_TENSOR_NEAR(part.patch_tokens, patches);
  const auto actual = gradients(part.class_token, part.patch_tokens);
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_TENSOR_NEAR(actual[i], expected[i]);
}

TEST(Network, CopyRefusesAnotherShape) {
  HeadOptions head{.prototypes = 8, .patch_prototypes = 8, .hidden_dim = 6, .bottleneck_dim = 4};
  Network from(tiny(), head, Role::kStudent);
  head.prototypes = 9;
  Network to(tiny(), head, Role::kTeacher);
  EXPECT_THROW(copy_values_(from, to), CheckpointError);
}

}  // namespace
}  // namespace ibot::models
