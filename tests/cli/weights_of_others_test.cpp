// ibot-eval on networks as DINO and timm keep them, at sizes other than their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/models/network.h"
#include "ibot/models/weights.h"
#include "support/run_program.h"

namespace ibot {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;
using Tensors = std::map<std::string, torch::Tensor>;

class WeightsOfOthers : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::test_folder();
    for (int i = 0; i < 4; ++i) {
      for (const char* half : {"train", "val"}) {
        draw(fs::path("data") / half / (i % 2 == 0 ? "a" : "b") / concat(i, ".ppm"), i);
      }
      for (const char* block : {"original", "strong"}) {
        draw(fs::path("days") / block / concat("20", i, "000.jpg"), i);
      }
    }
  }

  void draw(const fs::path& name, int seed) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream file(folder_ / name, std::ios::binary);
    file << "P6 53 31 255\n";
    for (int i = 0; i < 53 * 31 * 3; ++i) {
      file << static_cast<char>((i * (3 + 5 * seed) + i * i * seed) % 256);
    }
  }

  /// A network of `arch` for pictures of 224 pixels, of our names.
  static Tensors drawn(const models::BackboneOptions& backbone, const std::string& prefix) {
    torch::manual_seed(1);
    const models::HeadOptions head{
        .prototypes = 8, .patch_prototypes = 8, .hidden_dim = 16, .bottleneck_dim = 8};
    const models::Network network(backbone, head, models::Role::kTeacher);
    const torch::NoGradGuard no_grad;
    for (auto& parameter : network.parameters()) parameter.normal_(0.0, 0.2);
    Tensors tensors;
    for (const auto& [name, tensor] : models::named_state(network)) {
      if (name.starts_with(prefix)) tensors[name.substr(prefix.size())] = tensor.detach().clone();
    }
    return tensors;
  }

  /// {teacher: {module.backbone.*, module.head.*}}, as DINO's training keeps it.
  void write_dino(const std::string& name, const models::BackboneOptions& backbone) const {
    io::Dict teacher;
    for (const auto& [key, tensor] : drawn(backbone, "")) {
      if (key.find("mask_token") != std::string::npos) continue;
      teacher.items.emplace_back("module." + key, tensor);
    }
    io::write_torch_file(folder_ / name,
                         io::Dict{{{"teacher", teacher}, {"epoch", int64_t{3}}}, ""});
  }

  void write_timm(const std::string& name, const models::BackboneOptions& backbone) const {
    auto tensors = models::timm_tensors(drawn(backbone, "backbone."));
    tensors["head.weight"] = torch::zeros({10, 16});
    tensors["head.bias"] = torch::zeros({10});
    io::write_safetensors(folder_ / name, {tensors, {}});
  }

  static models::BackboneOptions vit(int64_t patch) {
    return {.arch = "vit_small",
            .patch_size = patch,
            .image_size = 224,
            .embed_dim = 16,
            .depth = {2},
            .heads = {2}};
  }

  /// The metrics of a task that must succeed.
  nlohmann::json done(const std::string& task, const std::string& weights, Words more) const {
    Words words{task, "--weights", weights, "--output", "out", "--device", "cpu"};
    words.insert(words.end(), {"backbone.heads=2", "data.workers=1"});
    words.insert(words.end(), more.begin(), more.end());
    const auto result = testing::run_program("ibot-eval", words, folder_);
    EXPECT_EQ(result.status, 0) << task << ": " << result.err;
    if (result.status != 0) return {};
    return nlohmann::json::parse(testing::read_text(folder_ / "out/report.json"))["metrics"];
  }

  fs::path folder_;
};

TEST_F(WeightsOfOthers, PicturesOfANetworkOfDino) {
  write_dino("dino.pth", vit(8));
  const Words whole{"--data", "data"};
  const auto with = [&](Words more) {
    more.insert(more.begin(), whole.begin(), whole.end());
    return more;
  };
  EXPECT_EQ(done("attention", "dino.pth", with({"attention.size=[203,111]"}))["images"], 4);
  EXPECT_EQ(done("correspondence", "dino.pth",
                 with({"eval.resize_size=111", "eval.crop_size=91",
                       "correspondence.drawings=1"}))["pairs"],
            4);
  EXPECT_EQ(done("patterns", "dino.pth",
                 with({"eval.resize_size=111", "eval.crop_size=91", "head.prototypes=8",
                       "head.hidden_dim=16", "head.bottleneck_dim=8"}))["images"],
            4);
}

TEST_F(WeightsOfOthers, FiguresOfANetworkOfTimmAt480Pixels) {
  write_timm("timm.safetensors", vit(16));
  const Words large{"--data", "data", "eval.resize_size=480", "eval.crop_size=480"};
  auto parts = large;
  parts.insert(parts.end(),
               {"parts.k=[900]", "linear.epochs=1", "linear.batch_size=4", "linear.lr=[0.1]"});
  EXPECT_EQ(done("parts", "timm.safetensors", parts).count("top1_k900"), 1U);
  EXPECT_NEAR(
      done("copy", "timm.safetensors", {"--data", "days", "copy.image_size=203"})["map_strong"],
      100.0, 1e-9);
  io::write_safetensors(
      folder_ / "classifier.safetensors",
      {{{"linear.weight", torch::eye(2, 16)}, {"linear.bias", torch::zeros({2})}}, {}});
  auto robust = large;
  robust.insert(robust.end(),
                {"--classifier", "classifier.safetensors", "robustness.tests=[saliency,shuffle]",
                 "robustness.drop_grid=15", "robustness.shuffle_grids=[3x5]"});
  EXPECT_EQ(done("robustness", "timm.safetensors", robust).count("shuffle_3x5"), 1U);
}

}  // namespace
}  // namespace ibot
