#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ibot/models/network.h"
#include "support/golden.h"

namespace ibot::models {
namespace {

TEST(ArchitecturesGolden, NamesAndShapesOfEveryVit) {
  const auto json =
      testing::read_json(testing::golden_root() / "15_architectures/architectures.json");
  int checked = 0;
  for (const auto& model : json["models"]) {
    const std::string arch = model["arch"];
    if (arch.rfind("vit", 0) != 0) continue;  // Swin is another backbone
    SCOPED_TRACE(arch);
    BackboneOptions options;
    options.arch = arch;
    options.patch_size = model["patch_size"];
    const auto parameters = build_backbone(options, Role::kStudent)->named_parameters();
    EXPECT_EQ(parameters.size(), model["parameters"].size());
    int64_t count = 0;
    for (const auto& parameter : parameters) {
      ASSERT_TRUE(model["parameters"].contains(parameter.key())) << parameter.key();
      EXPECT_EQ(parameter.value().sizes().vec(),
                model["parameters"][parameter.key()].get<std::vector<int64_t>>())
          << parameter.key();
      count += parameter.value().numel();
    }
    EXPECT_EQ(count, model["n_parameters"].get<int64_t>());
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

}  // namespace
}  // namespace ibot::models
