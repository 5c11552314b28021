#include "ibot/models/swin_transformer.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "ibot/models/network.h"
#include "ibot/models/vision_transformer.h"
#include "support/expect_tensor.h"

namespace ibot::models {
namespace {

/// Two stages of maps of 8 x 8 and 4 x 4 tokens at 32 pixels, windows of 3 x 3, the second padded.
BackboneOptions tiny_swin() {
  return {.arch = "swin_tiny",
          .patch_size = 4,
          .window_size = 3,
          .image_size = 32,
          .embed_dim = 8,
          .depth = {2, 2},
          .heads = {2, 4}};
}

std::shared_ptr<Backbone> built(const BackboneOptions& options, Role role = Role::kStudent) {
  auto backbone = build_backbone(options, role);
  initialize_(*backbone, at::detail::createCPUGenerator(1));
  backbone->eval();
  return backbone;
}

/// The key and the problem of the refusal; empty when there was none.
std::string options_refusal(const BackboneOptions& options) {
  try {
    options.validate();
  } catch (const OptionError& error) {
    return error.what();
  }
  return {};
}

TEST(SwinShape, WidthsDoubleAndSmallMapsAreOneWindow) {
  const auto shape = swin_shape({.arch = "swin_base", .patch_size = 4, .window_size = 14});
  ASSERT_EQ(shape.size(), 4u);
  const std::vector<int64_t> widths{128, 256, 512, 1024}, windows{14, 14, 14, 7},
      shifts{7, 7, 0, 0};
  for (size_t i = 0; i < shape.size(); ++i) {
    EXPECT_EQ(shape[i].width, widths[i]);
    EXPECT_EQ(shape[i].window, windows[i]);
    EXPECT_EQ(shape[i].shift, shifts[i]);
  }
}

TEST(SwinShape, OptionsReplaceThePresets) {
  const auto shape = swin_shape(tiny_swin());
  ASSERT_EQ(shape.size(), 2u);
  EXPECT_EQ(shape[1].width, 16);
  EXPECT_EQ(shape[1].heads, 4);
  EXPECT_EQ(output_width(tiny_swin()), 16);
  EXPECT_EQ(token_pixels(tiny_swin()), 8);
  EXPECT_EQ(mask_grid(tiny_swin(), 32).rows, 4);
}

TEST(SwinShape, RefusesWhatItCannotBuild) {
  EXPECT_EQ(options_refusal({.arch = "swin_tiny"}),
            "patch_size: expected 4 with swin_tiny, got 16; set backbone.patch_size=4");
  auto options = tiny_swin();
  options.layer_scale = 0.1;
  EXPECT_EQ(options_refusal(options), "layer_scale: expected 0.0 with swin_tiny, got 0.1");
  options = tiny_swin();
  options.mean_pooling = true;
  EXPECT_EQ(options_refusal(options),
            "mean_pooling: expected false with swin_tiny, got true; its class token is the mean of "
            "its patch tokens anyway");
  options = tiny_swin();
  options.heads = {2};
  EXPECT_EQ(options_refusal(options),
            "heads: expected one for each of 2 stages, got 1; set backbone.depth and "
            "backbone.heads alike");
  options.heads = {2, 3};
  EXPECT_EQ(options_refusal(options),
            "heads: expected a divisor of the width 16 of stage 1, got 3");
  options.heads = {2, -4};
  EXPECT_EQ(options_refusal(options), "heads: expected each above 0, got -4");
  options = tiny_swin();
  options.depth = {2, 0};
  EXPECT_EQ(options_refusal(options), "depth: expected each above 0, got 0");
  options = tiny_swin();
  options.window_size = 0;
  EXPECT_EQ(options_refusal(options), "window_size: expected above 0, got 0");
  options = tiny_swin();
  options.image_size = 4;
  EXPECT_EQ(options_refusal(options), "image_size: expected 8 or more with 2 stages, got 4");
  EXPECT_EQ(options_refusal({.arch = "vit_small", .depth = {2, 2}}),
            "depth: expected one number with vit_small, got 2");
  EXPECT_EQ(options_refusal({.arch = "vit_small", .depth = {-1}}),
            "depth: expected above 0, got -1");
  EXPECT_THROW(swin_shape({}), OptionError);
  EXPECT_THROW(vit_shape(tiny_swin()), OptionError);
}

TEST(Swin, RefusesImagesAndMasksItCannotTake) {
  const auto student = built(tiny_swin());
  const auto images = torch::rand({2, 3, 32, 32});
  EXPECT_THROW(student->forward(torch::rand({2, 3, 32, 40})), Error);
  EXPECT_THROW(student->forward(torch::rand({2, 3, 3, 3})), Error);
  EXPECT_THROW(student->forward(images, torch::zeros({2, 9}, torch::kBool)), Error);
  EXPECT_THROW(student->forward(images, torch::zeros({2, 12}, torch::kBool)), Error);
  EXPECT_THROW(student->forward(images, torch::zeros({1, 16}, torch::kBool)), Error);
  EXPECT_THROW(student->intermediate(images, 0), Error);
  EXPECT_THROW(student->intermediate(images, 5), Error);
  EXPECT_THROW(
      built(tiny_swin(), Role::kTeacher)->forward(images, torch::zeros({2, 16}, torch::kBool)),
      Error);
}

TEST(Swin, GridIsThatOfItsTokensAtEverySize) {
  const auto backbone = built(tiny_swin());
  for (const int64_t size : {4, 12, 20, 32, 44}) {
    const auto output = backbone->forward(torch::rand({1, 3, size, size}));
    EXPECT_EQ(output.patch_tokens.size(1), backbone->grid(size, size).size()) << size;
    EXPECT_TENSOR_NEAR(output.class_token, output.patch_tokens.mean(1));
  }
}

TEST(Swin, NothingOfAMaskedImageIsSeen) {
  const auto backbone = built(tiny_swin());
  const auto output =
      backbone->forward(torch::rand({2, 3, 32, 32}), torch::ones({2, 16}, torch::kBool));
  EXPECT_TENSOR_NEAR(output.patch_tokens[0], output.patch_tokens[1]);
}

// Plans are kept by size and must not serve another size or type.
TEST(Swin, SizesAndTypesMayAlternate) {
  const auto backbone = built(tiny_swin());
  const auto large = torch::rand({1, 3, 32, 32}), small = torch::rand({1, 3, 12, 12});
  const auto first = backbone->forward(large).patch_tokens;
  backbone->forward(small);
  EXPECT_TENSOR_EQUAL(backbone->forward(large).patch_tokens, first);
  for (auto& parameter : backbone->parameters()) {
    parameter.set_data(parameter.to(torch::kDouble));
  }
  EXPECT_TENSOR_NEAR(backbone->forward(large.to(torch::kDouble)).patch_tokens,
                     first.to(torch::kDouble));
}

TEST(Swin, DropPathBelongsToTheTrainingStudentAndItsGenerator) {
  auto options = tiny_swin();
  options.drop_path = 0.9;
  const auto images = torch::rand({8, 3, 32, 32});
  const auto student = built(options);
  const auto tokens = [&](uint64_t seed) {
    student->set_context({.generator = at::detail::createCPUGenerator(seed)});
    return student->forward(images).class_token;
  };
  EXPECT_TENSOR_EQUAL(tokens(1), tokens(2));
  student->train();
  EXPECT_FALSE(tokens(1).equal(tokens(2)));
  EXPECT_TENSOR_EQUAL(tokens(2), tokens(2));
  const auto teacher = built(options, Role::kTeacher);
  teacher->train();
  EXPECT_TENSOR_EQUAL(teacher->forward(images).class_token, teacher->forward(images).class_token);
}

TEST(Swin, SelectedTokensAreThoseOfTheWholePass) {
  const auto backbone = built(tiny_swin());
  const auto images = torch::rand({2, 3, 32, 32});
  const auto mask = torch::rand({2, 16}) < 0.4;
  const auto selected = mask.flatten().nonzero().squeeze(1);
  const auto whole = backbone->forward(images, mask);
  const auto part = backbone->forward_selected(images, mask, selected);
  EXPECT_TENSOR_NEAR(part.class_token, whole.class_token);
  EXPECT_TENSOR_NEAR(part.patch_tokens, whole.patch_tokens.flatten(0, 1).index_select(0, selected));
}

}  // namespace
}  // namespace ibot::models
