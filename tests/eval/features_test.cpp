#include "ibot/eval/features.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>

#include "ibot/models/backbone.h"
#include "support/expect_tensor.h"

namespace ibot::eval {
namespace {

constexpr int64_t kDim = 2;
constexpr int64_t kDepth = 3;

/// Block b gives class token (b, mean of the image) and four patch tokens (b, 0) … (b, 3). Scaled
/// by a parameter, and wrong on purpose in training mode.
class FakeBackbone : public models::Backbone {
 public:
  FakeBackbone() { scale_ = register_parameter("scale", torch::ones({1})); }

  models::BackboneOutput forward(const torch::Tensor& images, const torch::Tensor&) override {
    return intermediate(images, 1).back();
  }

  std::vector<models::BackboneOutput> intermediate(const torch::Tensor& images,
                                                   int64_t count) override {
    std::vector<models::BackboneOutput> outputs;
    for (int64_t block = kDepth - count; block < kDepth; ++block) {
      const auto number = torch::full({images.size(0)}, block + (is_training() ? 100 : 0));
      const auto token = torch::stack({number, images.mean({1, 2, 3})}, 1);
      const auto patches = torch::stack(
          {number.unsqueeze(1).expand({-1, 4}), torch::arange(4).expand({images.size(0), 4})}, 2);
      outputs.push_back({token * scale_, patches * scale_});
    }
    return outputs;
  }

  torch::Tensor last_attention(const torch::Tensor&) override { return {}; }
  int64_t embed_dim() const override { return kDim; }
  mask::PatchGrid grid(int64_t, int64_t) const override { return {2, 2}; }
  void set_context(nn::BlockContext) override {}

 private:
  torch::Tensor scale_;
};

class FakeSource : public batch::BatchSource<batch::LabeledBatch> {
 public:
  explicit FakeSource(std::deque<batch::LabeledBatch> batches) : batches_(std::move(batches)) {}

  std::optional<batch::LabeledBatch> next() override {
    if (batches_.empty()) return std::nullopt;
    auto batch = std::move(batches_.front());
    batches_.pop_front();
    return batch;
  }

 private:
  std::deque<batch::LabeledBatch> batches_;
};

batch::LabeledBatch gray_images(std::vector<int64_t> levels, int64_t first_id) {
  const auto level = torch::tensor(levels).to(torch::kByte);
  const auto count = static_cast<int64_t>(levels.size());
  return {level.view({count, 1, 1, 1}).expand({count, 3, 4, 4}), torch::tensor(levels),
          torch::arange(first_id, first_id + count)};
}

const FeatureOptions kClassToken{Pooling::kClass, 1};
const batch::Normalization kPlain{{0, 0, 0}, {1, 1, 1}};

TEST(Features, TakeTheTokensThatTheOptionsName) {
  FakeBackbone backbone;
  backbone.eval();
  const auto images = torch::full({1, 3, 4, 4}, 7.0f);
  const auto features = [&](Pooling pooling, int64_t blocks) {
    return image_features(backbone, images, {pooling, blocks});
  };
  EXPECT_TENSOR_NEAR(features(Pooling::kClass, 1), torch::tensor({{2., 7.}}));
  EXPECT_TENSOR_NEAR(features(Pooling::kClass, 2), torch::tensor({{1., 7., 2., 7.}}));
  EXPECT_TENSOR_NEAR(features(Pooling::kPatchMean, 2), torch::tensor({{2., 1.5}}));
  EXPECT_TENSOR_NEAR(features(Pooling::kClassAndPatchMean, 1), torch::tensor({{2., 7., 2., 1.5}}));
  EXPECT_TENSOR_NEAR(features(Pooling::kClassAndPatchMean, 2),
                     torch::tensor({{1., 7., 2., 7., 2., 1.5}}));
}

TEST(Features, CollectASourceInItsOrder) {
  FakeBackbone backbone;
  FakeSource source({gray_images({0, 51}, 10), gray_images({255}, 12)});
  std::vector<int64_t> progress;
  const auto bank = extract_features(backbone, source, kClassToken, kPlain, torch::kCPU,
                                     [&](int64_t images) { progress.push_back(images); });
  EXPECT_TENSOR_NEAR(bank.features, torch::tensor({{2., 0.}, {2., 0.2}, {2., 1.}}));
  EXPECT_TENSOR_EQUAL(bank.labels, torch::tensor({0, 51, 255}));
  EXPECT_TENSOR_EQUAL(bank.sample_id, torch::tensor({10, 11, 12}));
  EXPECT_EQ(progress, (std::vector<int64_t>{2, 3}));
  EXPECT_FALSE(bank.features.requires_grad());
}

TEST(Features, AreNormalizedAsTold) {
  FakeBackbone backbone;
  FakeSource source({gray_images({255}, 0)});
  const batch::Normalization normalization{{0.5, 0.5, 0.5}, {0.25, 0.25, 0.25}};
  const auto bank = extract_features(backbone, source, kClassToken, normalization, torch::kCPU);
  EXPECT_TENSOR_NEAR(bank.features, torch::tensor({{2., 2.}}));
}

TEST(Features, CanBeTrainedOn) {
  FakeBackbone backbone;
  FakeSource source({gray_images({255}, 0)});
  const auto bank = extract_features(backbone, source, kClassToken, kPlain, torch::kCPU);
  const auto weight = torch::ones({2, 1}, torch::requires_grad());
  bank.features.mm(weight).sum().backward();
  EXPECT_TENSOR_NEAR(weight.grad(), torch::tensor({{2.}, {1.}}));
}

TEST(Features, LeaveTheBackbonesModeAsItWas) {
  FakeBackbone backbone;
  for (const bool training : {true, false}) {
    backbone.train(training);
    FakeSource source({gray_images({1}, 0)});
    extract_features(backbone, source, kClassToken, kPlain, torch::kCPU);
    EXPECT_EQ(backbone.is_training(), training);
  }
  backbone.train();
  FakeSource empty({});
  EXPECT_THROW(extract_features(backbone, empty, kClassToken, kPlain, torch::kCPU), DataError);
  EXPECT_TRUE(backbone.is_training());
}

TEST(Features, OptionsAreChecked) {
  EXPECT_NO_THROW(FeatureOptions().validate());
  EXPECT_NO_THROW((FeatureOptions{Pooling::kClass, 4}.validate()));
  EXPECT_THROW((FeatureOptions{Pooling::kClass, -1}.validate()), OptionError);
  EXPECT_THROW((FeatureOptions{Pooling::kPublished, 4}.validate()), OptionError);
}

TEST(Features, AreCheckedToBeFinite) {
  const auto refused = [](float value) {
    auto features = torch::zeros({2, 3});
    features[1][2] = value;
    try {
      check_finite(features, "task", "test features");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refused(1e38f), "");
  for (const float value : {NAN, INFINITY, -INFINITY}) {
    EXPECT_EQ(refused(value), "task: expected finite test features; the weights may have diverged");
  }
}

// evaluation.md section 0: the columns of the table.
TEST(Features, PublishedChoicesFollowTheBackbone) {
  const auto published = [](bool linear, const char* arch, std::vector<int64_t> depth = {}) {
    const int64_t patch_size = std::string_view(arch).starts_with("swin") ? 4 : 16;
    const auto options =
        resolved({}, linear, {.arch = arch, .patch_size = patch_size, .depth = std::move(depth)});
    return std::pair{options.pooling, options.blocks};
  };
  using Choice = std::pair<Pooling, int64_t>;
  EXPECT_EQ(published(false, "vit_base"), Choice(Pooling::kClass, 1));
  EXPECT_EQ(published(true, "vit_small"), Choice(Pooling::kClass, 4));
  EXPECT_EQ(published(true, "swin_tiny"), Choice(Pooling::kClass, 4));
  EXPECT_EQ(published(true, "vit_tiny"), Choice(Pooling::kClassAndPatchMean, 1));
  EXPECT_EQ(published(true, "vit_large"), Choice(Pooling::kClassAndPatchMean, 1));
  EXPECT_EQ(published(true, "vit_small", {2}), Choice(Pooling::kClass, 2));
  EXPECT_EQ(published(true, "swin_tiny", {1, 1, 1, 1}), Choice(Pooling::kClass, 4));
  EXPECT_EQ(resolved({Pooling::kPatchMean, 0}, true, {.arch = "vit_small"}).blocks, 1);
}

}  // namespace
}  // namespace ibot::eval
