#include <gtest/gtest.h>

#include "ibot/models/projection_head.h"
#include "support/golden_tensors.h"
#include "support/test_device.h"
#include "support/weights.h"

namespace ibot::models {
namespace {

HeadOptions options_of(const testing::ReadJson& config) {
  HeadOptions options;
  options.prototypes = config["out_dim"];
  options.patch_prototypes = config["patch_out_dim"];
  options.shared = config["shared_head"];
  options.layers = config["nlayers"];
  options.hidden_dim = config["hidden_dim"];
  options.bottleneck_dim = config["bottleneck_dim"];
  options.norm_last_layer = config["norm_last_layer"];
  const auto norm = config["norm"].is_null() ? "none" : config["norm"].get<std::string>();
  EXPECT_TRUE(parse_enum(norm, options.norm)) << norm;
  EXPECT_TRUE(parse_enum(config["act"].get<std::string>(), options.activation));
  EXPECT_TRUE(config["last_norm"].is_null()) << "no norm behind the prototypes here";
  return options;
}

/// Second names under which the state dict lists shared modules.
std::set<std::string> aliases_of(const HeadOptions& options) {
  std::set<std::string> aliases;
  if (options.shared) aliases = {"last_layer2.", "mlp2."};
  if (options.norm == HeadNorm::kNone) return aliases;
  for (int64_t layer = 1; layer + 1 < options.layers; ++layer) {
    aliases.insert(concat("mlp.", 3 * layer + 1, "."));
  }
  return aliases;
}

/// Names in the module, and of the parameters those that learn, are the reference's.
void check_names(ProjectionHead& head, const testing::ReadJson& json,
                 const std::set<std::string>& aliases) {
  using Names = std::set<std::string>;
  const auto names = [&](const char* key) {
    const auto list = json[key].get<std::vector<std::string>>();
    return Names(list.begin(), list.end());
  };
  Names parameters, trained, state = names("state_dict_keys");
  for (const auto& parameter : head->named_parameters()) {
    parameters.insert(parameter.key());
    if (parameter.value().requires_grad()) trained.insert(parameter.key());
  }
  EXPECT_EQ(parameters, names("named_parameters"));
  EXPECT_EQ(trained, names("trainable_parameters"));
  for (const auto& [name, tensor] : named_state(*head)) EXPECT_EQ(state.erase(name), 1U) << name;
  for (const auto& name : state) {
    EXPECT_TRUE(std::any_of(aliases.begin(), aliases.end(), [&](const auto& alias) {
      return name.rfind(alias, 0) == 0;
    })) << name;
  }
}

void compare_buffers(ProjectionHead& head, const testing::GoldenTensors& expected,
                     const std::string& prefix) {
  for (const auto& buffer : head->named_buffers()) {
    expected.compare(buffer.value(), prefix + buffer.key());
  }
}

/// Scores and gradients of tokens.
void check_tokens(ProjectionHead& head, const testing::GoldenTensors& expected) {
  auto tokens = expected.at("x_tokens").clone().set_requires_grad(true);
  const auto features = head->trunk(tokens);
  const auto scores = head->class_logits(features.select(1, 0));
  const auto patch_scores = head->patch_logits(features.narrow(1, 1, tokens.size(1) - 1));
  expected.compare(scores, "out_cls");
  expected.compare(patch_scores, "out_patch");
  ((scores * expected.at("grad_r_cls")).sum() + (patch_scores * expected.at("grad_r_patch")).sum())
      .backward();
  expected.compare(tokens.grad(), "grad_x_tokens");
  for (const auto& parameter : head->named_parameters()) {
    if (!parameter.value().requires_grad()) continue;
    expected.compare(parameter.value().grad(), "grad." + parameter.key());
  }
}

TEST(ProjectionHeadGolden, MatchesTheReference) {
  for (const auto& golden : testing::golden_cases("03_head")) {
    SCOPED_TRACE(golden.name);
    const auto config = golden.json["config"];
    const testing::GoldenTensors expected(testing::on_test_device(golden.tensors()),
                                          testing::on_test_device(golden.tolerance()));
    const auto options = options_of(config);
    ProjectionHead head(options, config["in_dim"].get<int64_t>(), options.shared,
                        !options.norm_last_layer);
    testing::load_weights(*head, golden.tensors("weights"), "", aliases_of(options));
    check_names(head, golden.json, aliases_of(options));
    head->to(testing::test_device());
    head->train(config["mode"].get<std::string>() == "train");
    check_tokens(head, expected);
    compare_buffers(head, expected, "after.");
    expected.compare(head->class_logits(head->trunk(expected.at("x_vec"))), "out_vec");
    compare_buffers(head, expected, "after_vec.");
    expected.expect_all_used();
    golden.json.expect_all_read();
  }
}

}  // namespace
}  // namespace ibot::models
