#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "ibot/models/architecture.h"
#include "ibot/models/network.h"
#include "ibot/nn/drop_path.h"
#include "support/expect_tensor.h"
#include "support/golden.h"

namespace ibot::models {
namespace {

using testing::ReadJson;

void expect_shapes(const ReadJson& expected,
                   const torch::OrderedDict<std::string, torch::Tensor>& tensors) {
  EXPECT_EQ(tensors.size(), expected.size());
  for (const auto& tensor : tensors) {
    ASSERT_TRUE(expected.contains(tensor.key())) << tensor.key();
    EXPECT_EQ(tensor.value().sizes().vec(), expected[tensor.key()].get<std::vector<int64_t>>())
        << tensor.key();
  }
}

/// Name, then shape and type.
void expect_buffers(const ReadJson& expected, const torch::nn::Module& module) {
  const auto buffers = module.named_buffers();
  EXPECT_EQ(buffers.size(), expected.size());
  for (const auto& [name, shape_and_type] : expected.items()) {
    const auto* buffer = buffers.find(name);
    ASSERT_NE(buffer, nullptr) << name;
    EXPECT_EQ(buffer->sizes().vec(), shape_and_type[0].get<std::vector<int64_t>>()) << name;
    EXPECT_EQ(shape_and_type[1].get<std::string>(), "torch.int64");
    EXPECT_EQ(buffer->dtype(), torch::kLong) << name;
  }
}

void expect_parameters(const ReadJson& model, const torch::nn::Module& module) {
  const auto parameters = module.named_parameters();
  expect_shapes(model["parameters"], parameters);
  int64_t count = 0;
  for (const auto& parameter : parameters) count += parameter.value().numel();
  EXPECT_EQ(count, model["n_parameters"].get<int64_t>());
}

/// The rates rise to the one of the last block, which names the option.
void expect_drop_path(const ReadJson& model, const BackboneOptions& options) {
  const auto expected = model["drop_path_rates"].get<std::vector<double>>();
  const auto blocks = architecture_of(options.arch).blocks(options);
  EXPECT_EQ(nn::drop_path_rates(expected.back(), blocks), expected);
}

void check_backbone(const ReadJson& model) {
  BackboneOptions options;
  options.arch = model["arch"].get<std::string>();
  options.patch_size = model.value("patch_size", int64_t{4});
  options.window_size = model.value("window_size", int64_t{7});
  const auto backbone = build_backbone(options, Role::kStudent);
  expect_parameters(model, *backbone);
  expect_buffers(model["buffers"], *backbone);
  expect_drop_path(model, options);
}

void check_head(const ReadJson& model) {
  const HeadOptions options{.prototypes = model["out_dim"],
                            .patch_prototypes = model["patch_out_dim"],
                            .shared = model["shared_head"]};
  const ProjectionHead head(options, model["in_dim"].get<int64_t>(), options.shared,
                            !options.norm_last_layer);
  expect_parameters(model, *head);
  auto keys = model["state_dict_keys"].get<std::set<std::string>>();
  for (const auto& [name, tensor] : named_state(*head)) EXPECT_EQ(keys.erase(name), 1U) << name;
  // Of a shared layer the second name.
  for (const auto& key : keys) EXPECT_TRUE(options.shared && key.rfind("last_layer2.", 0) == 0);
}

TEST(ArchitecturesGolden, NamesShapesAndDropPathOfEveryModel) {
  int checked = 0;
  for (const auto& golden : testing::golden_cases("15_architectures")) {
    for (const auto& model : golden.json["models"].elements()) {
      SCOPED_TRACE(concat(model["arch"].get<std::string>(), " ", ++checked));
      model["arch"].get<std::string>() == "head" ? check_head(model) : check_backbone(model);
    }
    golden.json.expect_all_read({"initialisation"});
  }
  EXPECT_GT(checked, 0);
}

/// A module of the name of its sample: of a backbone size and patch, of a head width and
/// prototypes.
std::shared_ptr<torch::nn::Module> sampled(const std::string& name) {
  std::smatch part;
  if (std::regex_match(name, part, std::regex("sample_(vit_\\w+)_patch(\\d+)"))) {
    return build_backbone({.arch = part[1], .patch_size = std::stoll(part[2])}, Role::kStudent);
  }
  if (std::regex_match(name, part, std::regex("sample_head_(\\d+)_(\\d+)"))) {
    const HeadOptions options{.prototypes = std::stoll(part[2])};
    return std::make_shared<ProjectionHeadImpl>(options, std::stoll(part[1]), true, false);
  }
  ADD_FAILURE() << name << ": a sample of what?";
  return std::make_shared<torch::nn::Module>();
}

/// Means and deviations within five standard errors of both samples, ranges alike.
void expect_statistics(const torch::Tensor& tensor, const ReadJson& expected) {
  const auto values = tensor.detach().to(torch::kDouble);
  EXPECT_EQ(values.numel(), expected["numel"].get<int64_t>());
  const double std = expected["std"];
  const double error = 5.0 * std / std::sqrt(static_cast<double>(values.numel()));
  EXPECT_NEAR(values.mean().item<double>(), expected["mean"], 2.0 * error);
  EXPECT_NEAR(values.std(false).item<double>(), std, error);
  for (const auto& [value, name] : {std::pair{values.min(), "min"}, {values.max(), "max"}}) {
    const double limit = expected[name];
    EXPECT_NEAR(value.item<double>(), limit, 0.4 * std::abs(limit)) << name;
  }
}

TEST(ArchitecturesGolden, InitializationHasTheReferenceStatistics) {
  int checked = 0;
  for (const auto& golden : testing::golden_cases("15_architectures")) {
    for (const auto& [name, sample] : golden.json["initialisation"].items()) {
      if (name.rfind("sample_", 0) != 0) continue;
      SCOPED_TRACE(name);
      const auto module = sampled(name);
      initialize_(*module, at::detail::createCPUGenerator(3));
      const auto parameters = module->named_parameters();
      for (const auto& [parameter, statistics] : sample.items()) {
        SCOPED_TRACE(parameter);
        ASSERT_NE(parameters.find(parameter), nullptr);
        expect_statistics(*parameters.find(parameter), statistics);
        ++checked;
      }
    }
    golden.json.expect_all_read(
        {"models", "initialisation/rules", "initialisation/suggested_check"});
  }
  EXPECT_GT(checked, 10);
}

/// The rules that the reference values state, with the check that they suggest.
TEST(ArchitecturesGolden, InitializationOfSwinFollowsTheRules) {
  const auto swin = build_backbone({.arch = "swin_tiny", .patch_size = 4}, Role::kStudent);
  initialize_(*swin, at::detail::createCPUGenerator(3));
  const auto ends_with = [](const std::string& name, const std::string& ending) {
    return name.size() >= ending.size() &&
           name.compare(name.size() - ending.size(), ending.size(), ending) == 0;
  };
  for (const auto& parameter : swin->named_parameters()) {
    const auto& name = parameter.key();
    const auto values = parameter.value().detach().to(torch::kDouble);
    SCOPED_TRACE(name);
    if (name.find("patch_embed.proj") == 0) {
      EXPECT_LE(values.abs().max().item<double>(), 1.0 / std::sqrt(48.0));
      EXPECT_GT(values.abs().max().item<double>(), 0.9 / std::sqrt(48.0));
    } else if (ends_with(name, ".bias") || name == "masked_embed") {
      EXPECT_EQ(values.abs().max().item<double>(), 0.0);
    } else if (values.dim() == 1) {
      EXPECT_TENSOR_EQUAL(values, torch::ones_like(values));
    } else {
      const auto numel = static_cast<double>(values.numel());
      // Of a small table the deviation itself is known to 1 / sqrt(2 n) only.
      EXPECT_NEAR(values.std(false).item<double>(), 0.02,
                  0.02 * std::max(0.03, 4.0 / std::sqrt(2.0 * numel)));
      EXPECT_LT(std::abs(values.mean().item<double>()), 4.0 * 0.02 / std::sqrt(numel));
    }
  }
}

}  // namespace
}  // namespace ibot::models
