#include "ibot/models/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/models/vision_transformer.h"
#include "models/tiny_network.h"
#include "support/expect_tensor.h"
#include "support/temporary_folder.h"

namespace ibot::models {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

io::Value dict_of(const Tensors& tensors) {
  io::Dict dict{{}, "collections.OrderedDict"};
  for (const auto& [name, tensor] : tensors) dict.items.emplace_back(name, tensor);
  return dict;
}

void expect_equal(const torch::nn::Module& a, const torch::nn::Module& b) {
  const auto expected = state_of(b);
  int shared = 0;
  for (const auto& [name, tensor] : state_of(a)) {
    if (expected.count(name) == 0) continue;
    EXPECT_TENSOR_EQUAL(tensor, expected.at(name)) << name;
    ++shared;
  }
  EXPECT_GT(shared, 0);
}

class WeightsFile : public ::testing::Test {
 protected:
  /// The network that `key` of a .pth of this content fills.
  LoadReport load(const io::Value& root, torch::nn::Module& module,
                  const std::string& key = "teacher", const std::string& prefix = "") {
    io::write_torch_file(folder_ / "x.pth", root);
    return load_weights_(module, read_weights(folder_ / "x.pth", key), prefix);
  }

  TemporaryFolder folder_;
  std::shared_ptr<Network> network_ = drawn_network(1);
  std::shared_ptr<Network> other_ = drawn_network(2);
};

TEST_F(WeightsFile, ChoosesTheNetworkByItsKey) {
  const io::Value root(io::Dict{{{"student", dict_of(state_of(*network_, "module."))},
                                 {"teacher", dict_of(state_of(*other_))}},
                                ""});
  const auto into = drawn_network(3);
  EXPECT_TRUE(load(root, *into, "student").unused.empty());
  expect_equal(*into, *network_);
  load(root, *into, "teacher");
  expect_equal(*into, *other_);
  io::Safetensors file;
  file.tensors = state_of(*network_, "student.");
  file.tensors.merge(state_of(*other_, "teacher."));
  io::write_safetensors(folder_ / "x.safetensors", file);
  load_weights_(*into, read_weights(folder_ / "x.safetensors", "student"));
  expect_equal(*into, *network_);
}

TEST_F(WeightsFile, FindsTheOneNetworkWhereverItLies) {
  for (const char* key : {"state_dict", "model", "module", ""}) {
    const auto tensors = dict_of(state_of(*network_, *key == 'm' ? "module." : ""));
    const auto into = drawn_network(3);
    load(*key == '\0' ? tensors : io::Value(io::Dict{{{key, tensors}, {"epoch", int64_t{3}}}, ""}),
         *into);
    expect_equal(*into, *network_);
  }
}

TEST_F(WeightsFile, RemovesTheNamesOfWrappers) {
  const auto backbone = network_->backbone;
  for (const char* prefix : {"", "backbone.", "encoder.", "module.backbone.",
                             "module.encoder.module.", "_orig_mod.backbone."}) {
    const auto into = drawn_network(3);
    load(dict_of(state_of(*backbone, prefix)), *into->backbone, "teacher", "backbone.");
    expect_equal(*into->backbone, *backbone);
  }
}

TEST_F(WeightsFile, KnowsTheNamesOfTimmAndDinoV2) {
  Tensors tensors;
  for (const auto& [own_name, tensor] : state_of(*network_)) {
    auto name = own_name;
    for (const auto& [own, theirs] :
         {std::pair{"backbone.masked_embed", "backbone.mask_token"},
          std::pair{"gamma_1", "ls1.gamma"}, std::pair{"gamma_2", "ls2.gamma"},
          std::pair{"weight_g", "parametrizations.weight.original0"},
          std::pair{"weight_v", "parametrizations.weight.original1"}}) {
      const auto at = name.find(own);
      if (at != std::string::npos) name.replace(at, std::string_view(own).size(), theirs);
    }
    tensors[name] = tensor;
  }
  const auto into = drawn_network(3);
  const auto report = load(dict_of(tensors), *into);
  EXPECT_TRUE(report.missing.empty() && report.unused.empty()) << summary(report);
  expect_equal(*into, *network_);
}

TEST_F(WeightsFile, ReportsWhatIsMissingAndUnused) {
  auto tensors = state_of(*network_->backbone);
  tensors.erase("masked_embed");
  tensors["head.weight"] = torch::ones({3});
  const auto into = drawn_network(3);
  const auto report = load(dict_of(tensors), *into);
  EXPECT_EQ(report.loaded.size(), tensors.size() - 1);
  EXPECT_THAT(report.missing, Contains("backbone.masked_embed"));
  EXPECT_THAT(report.missing, Contains("head.mlp.0.weight"));
  EXPECT_THAT(report.unused, ElementsAre("head.weight"));
  EXPECT_THAT(summary(report),
              AllOf(HasSubstr("missing: backbone.masked_embed"), HasSubstr("unused: head.weight")));
}

TEST_F(WeightsFile, AnAliasIsNotUnused) {
  auto tensors = state_of(*network_);
  tensors["head.last_layer3.weight_v"] = tensors.at("head.last_layer.weight_v");
  const auto into = drawn_network(3);
  EXPECT_TRUE(load(dict_of(tensors), *into).unused.empty());
}

TEST_F(WeightsFile, ResizesPositionsOfAnotherImageSize) {
  auto options = tiny_backbone();
  options.image_size = 24;
  auto into = build_backbone(options, Role::kTeacher);
  const auto report = load(dict_of(state_of(*network_->backbone)), *into, "teacher", "backbone.");
  EXPECT_THAT(report.resized, ElementsAre("backbone.pos_embed"));
  const auto positions = state_of(*into).at("pos_embed");
  EXPECT_EQ(positions.size(1), 37);
  EXPECT_TENSOR_EQUAL(positions[0][0], state_of(*network_->backbone).at("pos_embed")[0][0]);
}

TEST_F(WeightsFile, TakesAnyKeyAndTellsThoseAtHand) {
  const auto root =
      io::Value(io::Dict{{{"net", dict_of(state_of(*network_, "module."))},
                          {"model_ema", io::Dict{{{"state_dict", dict_of(state_of(*other_))}}, ""}},
                          {"epoch", int64_t{3}}},
                         ""});
  const auto into = drawn_network(3);
  load(root, *into, "net");
  expect_equal(*into, *network_);
  load(root, *into, "model_ema");
  expect_equal(*into, *other_);
  EXPECT_THAT(refusal([&] { load(root, *into); }),
              AllOf(HasSubstr("the file has keys net, model_ema, epoch"), HasSubstr("--key: net")));
  EXPECT_THAT(refusal([&] { load(root, *into, "encoder"); }),
              AllOf(HasSubstr("expected the network encoder"), HasSubstr("keys net, model_ema")));
}

TEST_F(WeightsFile, AKeyMayBeWhatTheNamesBeginWith) {
  const auto named = [&](const std::string& prefix) { return state_of(*network_, prefix); };
  const auto into = drawn_network(3);
  load(dict_of(named("student.net.")), *into, "student.net");
  expect_equal(*into, *network_);
  const auto lightning = io::Value(io::Dict{{{"state_dict", dict_of(named("net."))}}, ""});
  load(lightning, *into, "net");
  expect_equal(*into, *network_);
  EXPECT_THAT(refusal([&] { load(lightning, *into); }), HasSubstr("--key"));
  io::write_safetensors(folder_ / "x.safetensors", {named("net."), {}});
  load_weights_(*into, read_weights(folder_ / "x.safetensors", "net"));
  EXPECT_THAT(refusal([&] { read_weights(folder_ / "x.safetensors"); }), HasSubstr("--key: net"));
}

TEST_F(WeightsFile, ReadsTheChunksOfDinoV2) {
  Tensors tensors;
  for (const auto& [name, tensor] : state_of(*network_->backbone, "backbone.")) {
    auto chunked = name;
    const auto at = chunked.find("blocks.");
    if (at != std::string::npos) chunked.insert(at + 7, chunked.substr(at + 7, 2));
    tensors[chunked] = tensor;
  }
  const auto into = drawn_network(3);
  load(dict_of(tensors), *into->backbone, "teacher", "backbone.");
  expect_equal(*into->backbone, *network_->backbone);
}

TEST_F(WeightsFile, AMaskTokenOfAnotherShapeIsUnused) {
  auto tensors = state_of(*network_->backbone);
  tensors["masked_embed"] = torch::ones({1, 1, 32});
  const auto into = drawn_network(3);
  const auto before = state_of(*into->backbone).at("masked_embed").clone();
  const auto report = load(dict_of(tensors), *into->backbone, "teacher", "backbone.");
  EXPECT_THAT(summary(report),
              AllOf(HasSubstr("missing: backbone.masked_embed"),
                    HasSubstr("unused: backbone.masked_embed of shape [1, 1, 32]")));
  EXPECT_TENSOR_EQUAL(state_of(*into->backbone).at("masked_embed"), before);
}

TEST_F(WeightsFile, AsksForTensorsOfTheNetworkThatItCannotRead) {
  auto dict = *dict_of(state_of(*network_)).dict();
  dict.items.emplace_back("backbone.blocks.7.norm1.weight",
                          io::Opaque{"torch._utils._rebuild_qtensor"});
  EXPECT_THAT(refusal([&] { weights_of(io::Value(dict), "x.pth", "teacher"); }),
              HasSubstr("blocks.7.norm1.weight: expected a dense tensor, got an object of "
                        "torch._utils._rebuild_qtensor"));
  dict.items.back().first = "scheduler";
  EXPECT_NO_THROW(weights_of(io::Value(dict), "x.pth", "teacher"));
  EXPECT_THAT(refusal([&] { weights_of(io::Opaque{"os.system"}, "x.pth", "teacher"); }),
              HasSubstr("expected a dict of tensors, got an object of os.system"));
}

TEST_F(WeightsFile, ReadsShardsThroughTheirIndex) {
  io::Safetensors first, second;
  for (const auto& [name, tensor] : state_of(*network_)) {
    (name.size() % 2 == 0 ? first : second).tensors[name] = tensor;
  }
  io::write_safetensors(folder_ / "m-1.safetensors", first);
  const auto index = [&](const std::string& shard) {
    std::ofstream(folder_ / "m.index.json")
        << R"({"weight_map": {"a": "m-1.safetensors", "b": ")" << shard << R"("}})";
    return folder_ / "m.index.json";
  };
  EXPECT_THAT(refusal([&] { read_weights(index("m-2.safetensors")); }),
              HasSubstr("expected its shard m-2.safetensors next to it"));
  io::write_safetensors(folder_ / "m-2.safetensors", second);
  const auto into = drawn_network(3);
  load_weights_(*into, read_weights(index("m-2.safetensors")));
  expect_equal(*into, *network_);
  EXPECT_THAT(refusal([&] { read_weights(index("../m-2.safetensors")); }),
              HasSubstr("a file next to the index"));
  std::ofstream(folder_ / "m.index.json") << R"({"metadata": {}, "weight_map": {}})";
  EXPECT_THAT(refusal([&] { read_weights(folder_ / "m.index.json"); }), HasSubstr("a JSON index"));
}

// timm 0.9 and later keep the layer between two stages in the second of them.
TEST(SwinNames, GoToTimmAndBack) {
  const auto backbone = build_backbone({.arch = "swin_tiny", .patch_size = 4}, Role::kTeacher);
  const auto timm = timm_tensors(state_of(*backbone));
  EXPECT_EQ(timm.count("layers.0.downsample.reduction.weight"), 0u);
  EXPECT_EQ(timm.count("layers.3.downsample.reduction.weight"), 1u);
  const auto weights = weights_of(dict_of(timm), "x.pth", "teacher");
  const auto into = build_backbone({.arch = "swin_tiny", .patch_size = 4}, Role::kTeacher);
  EXPECT_TRUE(load_weights_(*into, weights, "backbone.").unused.empty());
  expect_equal(*into, *backbone);
}

TEST(MissingTensors, AreThoseThatTheShapesAskFor) {
  Weights weights{.source = "x.pth", .tensors = state_of(*drawn_network(1))};
  EXPECT_THAT(missing_tensors(weights), ElementsAre());
  weights.tensors.erase("backbone.masked_embed");
  EXPECT_THAT(missing_tensors(weights), ElementsAre());
  weights.tensors.erase("backbone.blocks.1.mlp.fc2.bias");
  weights.tensors.erase("head.mlp.2.bias");
  EXPECT_THAT(missing_tensors(weights),
              ElementsAre("backbone.blocks.1.mlp.fc2.bias", "head.mlp.2.bias"));
}

TEST_F(WeightsFile, RefusalsNameTheFileAndBothShapes) {
  const auto fill = [&](const Tensors& tensors, const std::string& key = "teacher") {
    const auto into = drawn_network(3);
    const auto before = state_of(*drawn_network(3));
    const auto text = refusal([&] { load(dict_of(tensors), *into, key); });
    for (const auto& [name, tensor] : state_of(*into)) {
      EXPECT_TENSOR_EQUAL(tensor, before.at(name)) << "changed by a refused file";
    }
    EXPECT_THAT(text, HasSubstr("x.pth: "));
    return text;
  };
  const auto good = state_of(*network_);
  const auto with = [&](const std::string& name, const torch::Tensor& tensor) {
    auto tensors = good;
    tensors[name] = tensor;
    return fill(tensors);
  };
  EXPECT_THAT(fill({}), HasSubstr("found none"));
  EXPECT_THAT(fill({{"fc.weight", torch::ones({1})}}),
              HasSubstr("found none but such as fc.weight"));
  EXPECT_THAT(with("backbone.norm.weight", torch::ones({64})),
              AllOf(HasSubstr("expected shape [128], got [64]")));
  EXPECT_THAT(
      with("backbone.pos_embed", torch::ones({1, 16, 128})),
      AllOf(HasSubstr("[1, 17, 128], got [1, 16, 128]"), HasSubstr("class token's is missing")));
  EXPECT_THAT(with("head.last_layer.weight_v", torch::ones({6, 4})),
              AllOf(HasSubstr("[6, 3], got [6, 4]"), HasSubstr("ibot-model convert")));
  EXPECT_THAT(with("backbone.register_tokens", torch::ones({1, 4, 128})),
              HasSubstr("another architecture"));
  EXPECT_THAT(with("backbone.blocks.2.norm1.weight", torch::ones({128})),
              HasSubstr("another architecture"));
  EXPECT_THAT(with("backbone.norm_pre.weight", torch::ones({128})),
              HasSubstr("another architecture"));
  EXPECT_THAT(with("module.backbone.norm.weight", torch::ones({128})),
              HasSubstr("two tensors are called"));
  auto tensors = good;
  tensors.erase("backbone.blocks.1.attn.proj.bias");
  EXPECT_THAT(fill(tensors),
              HasSubstr("expected tensor backbone.blocks.1.attn.proj.bias, found none"));
  const io::Value only_student(io::Dict{{{"student", dict_of(good)}}, ""});
  EXPECT_THAT(refusal([&] { load(only_student, *other_, "teacher"); }),
              HasSubstr("expected the network teacher, found none"));
}

}  // namespace
}  // namespace ibot::models
