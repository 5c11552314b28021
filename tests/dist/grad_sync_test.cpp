#include "ibot/dist/grad_sync.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "support/expect_tensor.h"
#include "support/ranks.h"

namespace ibot::dist {
namespace {

using testing::run_ranks;

/// Parameters of several sizes, equal on all ranks.
std::vector<torch::Tensor> parameters() {
  std::vector<torch::Tensor> all;
  for (const int64_t size : {3, 40, 1, 7, 20}) {
    all.push_back(torch::arange(size, torch::kFloat).set_requires_grad(true));
  }
  return all;
}

/// A loss that differs between ranks; the third parameter has no part in it.
torch::Tensor loss_of(const std::vector<torch::Tensor>& all, float scale) {
  auto loss = torch::zeros({});
  for (const size_t i : {0, 1, 3, 4}) loss = loss + (all[i] * scale).square().sum() * (i + 1);
  return loss;
}

/// The mean over two ranks of d/dx of loss_of over some scales.
torch::Tensor mean_gradient(const torch::Tensor& x, size_t i,
                            const std::vector<std::vector<float>>& scales_of_ranks) {
  double sum = 0.0;
  for (const auto& scales : scales_of_ranks) {
    for (const float scale : scales) sum += 2.0 * scale * scale * static_cast<double>(i + 1);
  }
  return x.detach() * (sum / static_cast<double>(scales_of_ranks.size()));
}

void expect_averages(Compression compression, testing::Tolerance tolerance) {
  const std::vector<std::vector<float>> scales{{1.f, 2.f}, {3.f, 0.5f}};
  run_ranks(2, [&](const Group& group) {
    const auto all = parameters();
    // 100 bytes a bucket: some hold several tensors, one tensor is larger.
    GradSync sync(all, group, compression, 100);
    for (int repetition = 0; repetition < 2; ++repetition) {
      for (auto& parameter : all) torch::Tensor(parameter).mutable_grad() = torch::Tensor();
      const auto& own = scales[static_cast<size_t>(group.rank())];
      loss_of(all, own[0]).backward();
      sync.begin();
      loss_of(all, own[1]).backward();
      sync.finish();
      for (const size_t i : {0, 1, 3, 4}) {
        EXPECT_TENSOR_NEAR(all[i].grad(), mean_gradient(all[i], i, scales), tolerance);
      }
      EXPECT_FALSE(all[2].grad().defined());
    }
  });
}

TEST(GradSync, AveragesWhatSeveralBackwardPassesAddUp) {
  IBOT_NEEDS_RANKS();
  expect_averages(Compression::kNone, {1e-6, 0.0});
}

// One rounding of each rank's share and one of their sum: at most three halves of the last place.
TEST(GradSync, CompressedAveragesAreNear) {
  IBOT_NEEDS_RANKS();
  expect_averages(Compression::kFp16, {1.5 / (1 << 10), 0.0});
  expect_averages(Compression::kBf16, {1.5 / (1 << 7), 0.0});
}

TEST(GradSync, LeavesGradientsOfOneRankAlone) {
  const auto all = parameters();
  GradSync sync(all, {}, Compression::kBf16);
  sync.begin();
  loss_of(all, 1.01f).backward();
  sync.finish();
  EXPECT_TENSOR_EQUAL(all[1].grad(), torch::autograd::grad({loss_of(all, 1.01f)}, {all[1]})[0]);
}

}  // namespace
}  // namespace ibot::dist
