#include <gtest/gtest.h>

#include "ibot/models/projection_head.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/weights.h"

namespace ibot::models {
namespace {

using testing::near;
using testing::Tolerance;

HeadOptions options_of(const nlohmann::json& config) {
  HeadOptions options;
  options.prototypes = config["out_dim"];
  options.patch_prototypes = config["patch_out_dim"];
  options.shared = config["shared_head"];
  options.layers = config["nlayers"];
  options.hidden_dim = config["hidden_dim"];
  options.bottleneck_dim = config["bottleneck_dim"];
  options.norm_last_layer = config["norm_last_layer"];
  const std::string norm = config["norm"].is_null() ? "none" : config["norm"];
  EXPECT_TRUE(parse_enum(norm, options.norm)) << norm;
  EXPECT_TRUE(parse_enum(config["act"].get<std::string>(), options.activation));
  return options;
}

void compare_buffers(ProjectionHead& head, const std::map<std::string, torch::Tensor>& tensors,
                     const std::string& prefix, Tolerance tolerance) {
  for (const auto& buffer : head->named_buffers()) {
    EXPECT_TRUE(near(buffer.value(), tensors.at(prefix + buffer.key()), tolerance))
        << prefix << buffer.key();
  }
}

TEST(ProjectionHeadGolden, MatchesTheReference) {
  for (const auto& golden : testing::golden_cases("03_head")) {
    SCOPED_TRACE(golden.name);
    const auto& config = golden.json["config"];
    const auto tensors = golden.tensors();
    const Tolerance tolerance{golden.json["tolerance"]["rtol"], golden.json["tolerance"]["atol"]};
    const auto options = options_of(config);
    ProjectionHead head(options, config["in_dim"].get<int64_t>(), options.shared,
                        !options.norm_last_layer);
    // The state dict lists shared modules twice: the second name is an alias.
    std::set<std::string> aliases;
    if (options.norm != HeadNorm::kNone) aliases.insert("mlp.4.");
    if (options.shared) aliases.insert("last_layer2.");
    testing::load_weights(*head, golden.tensors("weights."), "", aliases);
    head->train(config["mode"] == "train");

    auto tokens = tensors.at("x_tokens").clone().set_requires_grad(true);
    const auto features = head->trunk(tokens);
    const auto scores = head->class_logits(features.select(1, 0));
    const auto patch_scores = head->patch_logits(features.narrow(1, 1, tokens.size(1) - 1));
    EXPECT_TRUE(near(scores, tensors.at("out_cls"), tolerance));
    EXPECT_TRUE(near(patch_scores, tensors.at("out_patch"), tolerance));

    ((scores * tensors.at("grad_r_cls")).sum() + (patch_scores * tensors.at("grad_r_patch")).sum())
        .backward();
    EXPECT_TRUE(near(tokens.grad(), tensors.at("grad_x_tokens"), tolerance));
    for (const auto& parameter : head->named_parameters()) {
      if (!parameter.value().requires_grad()) continue;
      EXPECT_TRUE(near(parameter.value().grad(), tensors.at("grad." + parameter.key()), tolerance))
          << parameter.key();
    }
    compare_buffers(head, tensors, "after.", tolerance);

    const auto vector_scores = head->class_logits(head->trunk(tensors.at("x_vec")));
    EXPECT_TRUE(near(vector_scores, tensors.at("out_vec"), tolerance));
    compare_buffers(head, tensors, "after_vec.", tolerance);
  }
}

}  // namespace
}  // namespace ibot::models
