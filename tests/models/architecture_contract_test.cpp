// What every row of the table of architectures must keep, whatever it is.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <set>

#include "ibot/models/architecture.h"
#include "ibot/models/network.h"
#include "ibot/models/weights.h"
#include "support/expect_tensor.h"

namespace ibot::models {
namespace {

using Tensors = std::map<std::string, torch::Tensor>;

std::vector<BackboneOptions> samples() {
  std::vector<BackboneOptions> all;
  for (const auto& architecture : architectures()) {
    all.insert(all.end(), architecture.samples.begin(), architecture.samples.end());
  }
  return all;
}

class ArchitectureContract : public ::testing::TestWithParam<size_t> {
 protected:
  static std::shared_ptr<Backbone> drawn(const BackboneOptions& options, Role role,
                                         uint64_t seed = 1) {
    auto backbone = build_backbone(options, role);
    initialize_(*backbone, at::detail::createCPUGenerator(seed));
    backbone->eval();
    return backbone;
  }

  static torch::Tensor random_images(int64_t batch, int64_t side) {
    return torch::rand({batch, 3, side, side}, at::detail::createCPUGenerator(2));
  }

  /// Half of the cells of each image, other ones in each.
  torch::Tensor half_masked(int64_t batch) const {
    const auto cells = mask_grid(options_, options_.image_size).size();
    const auto draw = torch::rand({batch, cells}, at::detail::createCPUGenerator(3));
    return draw < 0.5;
  }

  const BackboneOptions options_ = samples()[GetParam()];
  const Architecture& row_ = architecture_of(options_.arch);
  const torch::Tensor images_ = random_images(3, options_.image_size);
};

TEST_P(ArchitectureContract, NamesItsPresets) {
  EXPECT_FALSE(row_.presets.empty());
  for (const auto& preset : row_.presets) {
    SCOPED_TRACE(preset.name);
    EXPECT_EQ(&architecture_of(preset.name), &row_);
    BackboneOptions whole{.arch = preset.name, .patch_size = options_.patch_size};
    whole.validate();
    EXPECT_GT(row_.flops(whole, 224), 0.0);
    EXPECT_FALSE(row_.described(whole).empty());
    EXPECT_LE(preset.probed_blocks, row_.blocks(whole));
  }
}

TEST_P(ArchitectureContract, TokensHaveTheShapesThatAreTold) {
  const auto backbone = drawn(options_, Role::kTeacher);
  const auto output = backbone->forward(images_);
  const auto grid = mask_grid(options_, options_.image_size);
  EXPECT_EQ(backbone->embed_dim(), output_width(options_));
  EXPECT_EQ(backbone->grid(options_.image_size, options_.image_size).size(), grid.size());
  EXPECT_EQ(output.class_token.sizes(), (std::vector<int64_t>{3, backbone->embed_dim()}));
  EXPECT_EQ(output.patch_tokens.sizes(),
            (std::vector<int64_t>{3, grid.size(), backbone->embed_dim()}));
  EXPECT_EQ(backbone->mean_patch_token(images_).sizes(), output.class_token.sizes());
  const auto attention = backbone->last_attention(images_);
  EXPECT_TENSOR_NEAR(attention.sum(-1), torch::ones_like(attention.sum(-1)));
}

// Sizes that are no whole number of tokens, fewer and more than those learned for.
TEST_P(ArchitectureContract, TakesImagesOfOtherSizes) {
  const auto backbone = drawn(options_, Role::kTeacher);
  const auto token = token_pixels(options_);
  for (const auto side : {token, token + 1, options_.image_size - 1,
                          options_.image_size + options_.patch_size, 2 * options_.image_size + 3}) {
    SCOPED_TRACE(side);
    const auto output = backbone->forward(random_images(2, side));
    EXPECT_EQ(output.patch_tokens.size(1), backbone->grid(side, side).size());
    EXPECT_TRUE(output.class_token.isfinite().all().item<bool>());
  }
  EXPECT_THROW(backbone->forward(random_images(2, options_.patch_size - 1)), Error);
}

// Pixels under the mask change nothing, the others do; the teacher has no mask token.
TEST_P(ArchitectureContract, AMaskHidesItsPixelsAndNoOthers) {
  const auto student = drawn(options_, Role::kStudent);
  const auto mask = half_masked(3);
  const auto grid = mask_grid(options_, options_.image_size);
  const auto pixels = mask.view({3, 1, grid.rows, grid.columns})
                          .repeat_interleave(token_pixels(options_), 2)
                          .repeat_interleave(token_pixels(options_), 3);
  const auto changed = [&](const torch::Tensor& where) {
    return torch::where(where, 1.0 - images_, images_);
  };
  const auto expected = student->forward(images_, mask);
  const auto hidden = student->forward(changed(pixels), mask);
  EXPECT_TENSOR_EQUAL(hidden.class_token, expected.class_token);
  EXPECT_TENSOR_EQUAL(hidden.patch_tokens, expected.patch_tokens);
  const auto seen = student->forward(changed(pixels.logical_not()), mask);
  EXPECT_FALSE(torch::equal(seen.class_token, expected.class_token));
  EXPECT_FALSE(torch::equal(student->forward(images_).class_token, expected.class_token));
  EXPECT_TENSOR_EQUAL(student->forward(images_, torch::zeros_like(mask)).class_token,
                      student->forward(images_).class_token);
  EXPECT_THROW(student->forward(images_, mask.narrow(1, 0, grid.size() - 1)), Error);
  EXPECT_THROW(drawn(options_, Role::kTeacher)->forward(images_, mask), Error);
}

// Leaving out what is not selected changes neither values nor gradients, drop path included.
TEST_P(ArchitectureContract, SelectedTokensAreThoseOfTheWhole) {
  auto options = options_;
  options.drop_path = 0.5;
  const auto student = drawn(options, Role::kStudent);
  student->train();
  const auto mask = half_masked(3);
  const auto selected = mask.flatten().nonzero().squeeze(1);
  const auto gradients = [&](const torch::Tensor& cls, const torch::Tensor& patches) {
    student->zero_grad();
    (cls.sin().sum() + patches.cos().sum()).backward();
    Tensors all;
    for (const auto& entry : student->named_parameters()) {
      all[entry.key()] = entry.value().grad().clone();
    }
    return all;
  };
  student->set_context({.generator = at::detail::createCPUGenerator(9)});
  const auto whole = student->forward(images_, mask);
  const auto patches = whole.patch_tokens.flatten(0, 1).index_select(0, selected);
  const auto expected = gradients(whole.class_token, patches);
  student->set_context({.generator = at::detail::createCPUGenerator(9)});
  const auto part = student->forward_selected(images_, mask, selected);
  EXPECT_TENSOR_NEAR(part.class_token, whole.class_token);
  EXPECT_TENSOR_NEAR(part.patch_tokens, patches);
  for (const auto& [name, gradient] : gradients(part.class_token, part.patch_tokens)) {
    EXPECT_TENSOR_NEAR(gradient, expected.at(name)) << name;
  }
  student->eval();
  EXPECT_TENSOR_NEAR(student->forward_selected(images_, {}, {}).class_token,
                     student->forward(images_).class_token);
}

TEST_P(ArchitectureContract, TheLastIntermediateIsTheOutput) {
  const auto backbone = drawn(options_, Role::kTeacher);
  const auto blocks = row_.blocks(options_);
  const auto all = backbone->intermediate(images_, blocks);
  const auto output = backbone->forward(images_);
  ASSERT_EQ(static_cast<int64_t>(all.size()), blocks);
  EXPECT_TENSOR_NEAR(all.back().class_token, output.class_token);
  EXPECT_TENSOR_NEAR(all.back().patch_tokens, output.patch_tokens);
  EXPECT_TENSOR_EQUAL(backbone->intermediate(images_, 1).back().class_token,
                      all.back().class_token);
  EXPECT_THROW(backbone->intermediate(images_, 0), Error);
  EXPECT_THROW(backbone->intermediate(images_, blocks + 1), Error);
}

// Nothing but the tensors is needed to build the same network again, under our names and timm's.
TEST_P(ArchitectureContract, IsReadFromItsTensors) {
  const auto backbone = drawn(options_, Role::kTeacher);
  io::Dict own, timm;
  Tensors state;
  for (const auto& [name, tensor] : named_state(*backbone)) {
    own.items.emplace_back("module.backbone." + name, tensor.detach());
    state[name] = tensor.detach();
  }
  for (const auto& [name, tensor] : timm_tensors(state)) timm.items.emplace_back(name, tensor);
  for (const auto& dict : {own, timm}) {
    const auto weights = weights_of(dict, "x.pth", "teacher");
    const auto inferred = infer_backbone(weights);
    EXPECT_EQ(row_.described(inferred), row_.described(options_));
    EXPECT_TRUE(missing_tensors(weights).empty());
    const auto again = drawn(inferred, Role::kTeacher, /*seed=*/4);
    const auto report = load_weights_(*again, weights, "backbone.");
    EXPECT_TRUE(report.missing.empty() && report.unused.empty() && report.resized.empty())
        << summary(report);
    const auto expected = backbone->forward(images_);
    EXPECT_TENSOR_EQUAL(again->forward(images_).class_token, expected.class_token);
    EXPECT_TENSOR_EQUAL(again->forward(images_).patch_tokens, expected.patch_tokens);
  }
}

// A layer that a file has and the module lacks is never left out in silence.
TEST_P(ArchitectureContract, RefusesAnotherStructure) {
  const auto backbone = drawn(options_, Role::kTeacher);
  Weights weights{.source = "x.pth"};
  for (const auto& [name, tensor] : named_state(*backbone)) {
    weights.tensors["backbone." + name] = tensor.detach();
  }
  for (const auto beginning : row_.structure) {
    auto more = weights;
    more.tensors[concat("backbone.", beginning, "another")] = torch::zeros({1});
    EXPECT_THROW(load_weights_(*backbone, more, "backbone."), CheckpointError) << beginning;
  }
}

TEST_P(ArchitectureContract, EveryParameterHasALayer) {
  const auto student = drawn(options_, Role::kStudent);
  const auto last = row_.blocks(options_) + 1;
  std::set<int64_t> layers;
  for (const auto& parameter : student->named_parameters()) {
    const auto& name = parameter.key();
    const auto layer = layer_of(options_, "backbone." + name);
    layers.insert(layer);
    const bool is_extra =
        std::any_of(row_.extras.begin(), row_.extras.end(),
                    [&](const auto& beginning) { return name.starts_with(beginning); });
    EXPECT_EQ(layer == last, is_extra) << name << " is in layer " << layer;
  }
  EXPECT_EQ(layer_of(options_, "head.mlp.0.weight"), last);
  EXPECT_EQ(static_cast<int64_t>(layers.size()), last + 1);
  EXPECT_EQ(*layers.begin(), 0);
  EXPECT_EQ(*layers.rbegin(), last);
}

// A parameter that nobody draws would begin, and by symmetry might stay, at one value.
TEST_P(ArchitectureContract, EveryMatrixIsDrawn) {
  const auto student = drawn(options_, Role::kStudent);
  for (const auto& parameter : student->named_parameters()) {
    const auto& values = parameter.value();
    if (values.dim() < 2 || parameter.key() == "masked_embed") continue;
    EXPECT_GT(values.std().item<float>(), 0.0f) << parameter.key();
  }
  for (const auto& buffer : student->named_buffers()) {
    EXPECT_TRUE(is_derived(buffer.key())) << buffer.key();
  }
}

TEST_P(ArchitectureContract, DropPathBelongsToTheTrainingStudent) {
  auto options = options_;
  options.drop_path = 0.9;
  // So many that two draws cannot be alike by chance.
  const auto images = random_images(64, options.image_size);
  const auto spread = [&](Backbone& backbone) {
    return (backbone.forward(images).class_token - backbone.forward(images).class_token)
        .abs()
        .max()
        .item<float>();
  };
  const auto student = drawn(options, Role::kStudent);
  EXPECT_EQ(spread(*student), 0.0f);
  student->train();
  EXPECT_GT(spread(*student), 0.0f);
  const auto teacher = drawn(options, Role::kTeacher);
  teacher->train();
  EXPECT_EQ(spread(*teacher), 0.0f);
}

INSTANTIATE_TEST_SUITE_P(EveryRow, ArchitectureContract,
                         ::testing::Range<size_t>(0, samples().size()), [](const auto& sample) {
                           return concat(samples()[sample.param].arch, "_", sample.param);
                         });

}  // namespace
}  // namespace ibot::models
