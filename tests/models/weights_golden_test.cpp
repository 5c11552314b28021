// Networks filled from the reference's files give what the reference gives.
#include <gtest/gtest.h>

#include "ibot/models/network.h"
#include "ibot/models/vision_transformer.h"
#include "ibot/models/weights.h"
#include "support/expect_tensor.h"
#include "support/golden.h"

namespace ibot::models {
namespace {

using testing::ReadJson;

/// Options of the case's backbone, of which its file tells all but what is set here.
BackboneOptions backbone_of(const Weights& weights, const ReadJson& config) {
  if (config["arch"].get<std::string>() == "swin") {
    auto options = infer_backbone(weights);
    EXPECT_EQ(options.embed_dim, config["embed_dim"].get<int64_t>());
    EXPECT_EQ(options.depth, config["depth"].get<std::vector<int64_t>>());
    EXPECT_EQ(options.heads, config["num_heads"].get<std::vector<int64_t>>());
    EXPECT_EQ(options.window_size, config["window_size"].get<int64_t>());
    EXPECT_EQ(options.patch_size, config["patch_size"].get<int64_t>());
    EXPECT_EQ(options.mlp_ratio, config["mlp_ratio"].get<double>());
    EXPECT_EQ(options.qkv_bias, config["qkv_bias"].get<bool>());
    options.image_size = config["img_size"];
    return options;
  }
  const auto options = infer_backbone(weights, config["num_heads"].get<int64_t>());
  const auto shape = vit_shape(options);
  EXPECT_EQ(shape.embed_dim, config["embed_dim"].get<int64_t>());
  EXPECT_EQ(shape.depth, config["depth"].get<int64_t>());
  EXPECT_TRUE(config["window_size"].is_null());
  EXPECT_EQ(options.patch_size, config["patch_size"].get<int64_t>());
  EXPECT_EQ(options.image_size, config["img_size"].get<int64_t>());
  EXPECT_EQ(options.mlp_ratio, config["mlp_ratio"].get<double>());
  EXPECT_EQ(options.qkv_bias, config["qkv_bias"].get<bool>());
  return options;
}

/// Batch norm of one rank and of several are the same in a file.
bool same_norm(HeadNorm inferred, const ReadJson& stated) {
  if (stated.is_null()) return inferred == HeadNorm::kNone;
  return inferred == (stated.get<std::string>() == "ln" ? HeadNorm::kLayer : HeadNorm::kBatch);
}

/// Of the network `key`, student or teacher, which need not share alike.
HeadOptions head_of(const Weights& weights, const ReadJson& config, const std::string& key) {
  auto options = infer_head(weights);
  EXPECT_EQ(options.hidden_dim, config["head_hidden_dim"].get<int64_t>());
  EXPECT_EQ(options.bottleneck_dim, config["head_bottleneck_dim"].get<int64_t>());
  EXPECT_EQ(options.prototypes, config["out_dim"].get<int64_t>());
  EXPECT_EQ(options.patch_prototypes, config["patch_out_dim"].get<int64_t>());
  EXPECT_EQ(options.shared, config["shared_head_" + key].get<bool>());
  EXPECT_EQ(options.layers, 3);
  EXPECT_TRUE(same_norm(options.norm, config["norm_in_head"]));
  options.shared_teacher = options.shared;
  return options;
}

testing::Tolerance forward_tolerance(const testing::GoldenCase& golden) {
  const auto stated = golden.json["tolerance"]["forward"];
  return {stated["rtol"], stated["atol"]};
}

/// What the whole network makes of the case's images.
void check_network(const testing::GoldenCase& golden, const std::string& file,
                   const std::string& key) {
  SCOPED_TRACE(file + " " + key);
  const auto config = golden.json["config"];
  const auto weights = read_weights(golden.folder / file, key);
  EXPECT_EQ(weights.key, key);
  Network network(backbone_of(weights, config), head_of(weights, config, key),
                  key == "student" ? Role::kStudent : Role::kTeacher);
  const auto report = load_weights_(network, weights);
  EXPECT_TRUE(report.missing.empty()) << summary(report);
  EXPECT_TRUE(report.unused.empty()) << summary(report);
  network.eval();
  const torch::NoGradGuard no_grad;
  const auto expected = golden.tensors();
  const auto tolerance = forward_tolerance(golden);
  const auto output = network.backbone->forward(expected.at("input"));
  const auto tokens = torch::cat({output.class_token.unsqueeze(1), output.patch_tokens}, 1);
  EXPECT_TRUE(testing::near(tokens, expected.at(key + "_tokens"), tolerance));
  auto& head = network.head;
  const auto cls = head->class_logits(head->trunk(output.class_token));
  const auto patch = head->patch_logits(head->trunk(output.patch_tokens));
  EXPECT_TRUE(testing::near(cls, expected.at(key + "_head_cls"), tolerance));
  EXPECT_TRUE(testing::near(patch, expected.at(key + "_head_patch"), tolerance));
}

void check_backbone(const testing::GoldenCase& golden, const std::string& file) {
  SCOPED_TRACE(file);
  const std::string key = file.find("student") != std::string::npos ? "student" : "teacher";
  const auto weights = read_weights(golden.folder / file);
  auto backbone = build_backbone(backbone_of(weights, golden.json["config"]), Role::kTeacher);
  const auto report = load_weights_(*backbone, weights, "backbone.");
  EXPECT_TRUE(report.missing.empty()) << summary(report);
  backbone->eval();
  const torch::NoGradGuard no_grad;
  const auto expected = golden.tensors();
  const auto output = backbone->forward(expected.at("input"));
  EXPECT_TRUE(testing::near(torch::cat({output.class_token.unsqueeze(1), output.patch_tokens}, 1),
                            expected.at(key + "_tokens"), forward_tolerance(golden)));
}

TEST(WeightsGolden, EveryFileOfTheReferenceFillsItsNetworks) {
  int files = 0;
  for (auto golden : testing::golden_cases("13_checkpoint")) {
    if (!golden.json.contains("all_tensors")) continue;
    for (const auto& description : golden.json["files"].elements()) {
      const std::string file = description["file"];
      if (file.rfind("backbone_", 0) == 0) {
        check_backbone(golden, file);
      } else {
        check_network(golden, file, "student");
        check_network(golden, file, "teacher");
      }
      ++files;
    }
    // The tests of reading compare what is stored.
    golden.json.expect_all_read({"all_tensors", "scalars", "tolerance/stored tensors",
                                 "files/format", "files/storage_location", "files/model", "file"});
  }
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace ibot::models
