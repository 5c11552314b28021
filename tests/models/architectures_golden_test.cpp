#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ibot/models/network.h"
#include "ibot/nn/drop_path.h"
#include "support/expect_tensor.h"
#include "support/golden.h"

namespace ibot::models {
namespace {

void expect_shapes(const nlohmann::json& expected,
                   const torch::OrderedDict<std::string, torch::Tensor>& tensors) {
  EXPECT_EQ(tensors.size(), expected.size());
  for (const auto& tensor : tensors) {
    ASSERT_TRUE(expected.contains(tensor.key())) << tensor.key();
    EXPECT_EQ(tensor.value().sizes().vec(), expected[tensor.key()].get<std::vector<int64_t>>())
        << tensor.key();
  }
}

TEST(ArchitecturesGolden, NamesAndShapesOfEveryBackbone) {
  const auto json =
      testing::read_json(testing::golden_root() / "15_architectures/architectures.json");
  int checked = 0;
  for (const auto& model : json["models"]) {
    const std::string arch = model["arch"];
    if (arch == "head") continue;
    SCOPED_TRACE(model.value("window_size", 0) > 0
                     ? concat(arch, "/", model["window_size"].get<int64_t>())
                     : arch);
    BackboneOptions options;
    options.arch = arch;
    options.patch_size = model.value("patch_size", 4);
    options.window_size = model.value("window_size", 7);
    const auto backbone = build_backbone(options, Role::kStudent);
    const auto parameters = backbone->named_parameters();
    expect_shapes(model["parameters"], parameters);
    int64_t count = 0;
    for (const auto& parameter : parameters) count += parameter.value().numel();
    EXPECT_EQ(count, model["n_parameters"].get<int64_t>());
    nlohmann::json buffers = nlohmann::json::object();
    for (const auto& [name, shape_and_type] : model["buffers"].items()) {
      EXPECT_EQ(shape_and_type[1], "torch.int64");
      buffers[name] = shape_and_type[0];
    }
    expect_shapes(buffers, backbone->named_buffers());
    for (const auto& buffer : backbone->named_buffers()) {
      EXPECT_EQ(buffer.value().dtype(), torch::kLong);
    }
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST(ArchitecturesGolden, DropPathRatesOfEverySwin) {
  const auto json =
      testing::read_json(testing::golden_root() / "15_architectures/architectures.json");
  int checked = 0;
  for (const auto& model : json["models"]) {
    const std::string arch = model["arch"];
    if (arch.rfind("swin", 0) != 0) continue;
    const auto expected = model["drop_path_rates"].get<std::vector<double>>();
    EXPECT_EQ(nn::drop_path_rates(0.1, static_cast<int64_t>(expected.size())), expected);
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

/// Means within five standard errors, deviations within a few percent, ranges alike.
TEST(ArchitecturesGolden, InitialisationHasTheReferenceStatistics) {
  const auto json =
      testing::read_json(testing::golden_root() / "15_architectures/architectures.json");
  const auto& expected = json["initialisation"]["sample_vit_small_patch16"];
  const auto vit = build_backbone({}, Role::kStudent);
  initialize_(*vit, at::detail::createCPUGenerator(3));
  const auto parameters = vit->named_parameters();
  int checked = 0;
  for (const auto& [name, statistics] : expected.items()) {
    const auto* tensor = parameters.find(name);
    if (tensor == nullptr) continue;  // parts of the head
    SCOPED_TRACE(name);
    const auto values = tensor->detach().to(torch::kDouble);
    const double std = statistics["std"];
    const auto numel = static_cast<double>(values.numel());
    const double mean_error = 5.0 * std / std::sqrt(numel);
    EXPECT_NEAR(values.mean().item<double>(), statistics["mean"].get<double>(), 2.0 * mean_error);
    EXPECT_NEAR(values.std(false).item<double>(), std, 5.0 * std / std::sqrt(numel));
    EXPECT_NEAR(values.max().item<double>(), statistics["max"].get<double>(),
                0.4 * std::abs(statistics["max"].get<double>()));
    ++checked;
  }
  EXPECT_GT(checked, 10);
}

/// The rules that the reference values state, with the check that they suggest.
TEST(ArchitecturesGolden, InitialisationOfSwinFollowsTheRules) {
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
