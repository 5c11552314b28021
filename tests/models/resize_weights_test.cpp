#include "ibot/models/resize_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ibot/io/safetensors.h"
#include "support/expect_tensor.h"
#include "support/golden_tensors.h"
#include "support/python.h"
#include "support/temporary_folder.h"

namespace ibot::models {
namespace {

const std::string kPositions = "backbone.pos_embed";
const std::string kTable = "backbone.layers.0.blocks.1.attn.relative_position_bias_table";

TEST(ResizeWeights, EqualShapesAreLeftAlone) {
  const auto stored = torch::rand({1, 10, 4});
  EXPECT_TRUE(resize_weight(kPositions, stored, {1, 10, 4}).is_same(stored));
  EXPECT_TRUE(resize_weight("any.weight", stored, {1, 10, 4}).is_same(stored));
}

TEST(ResizeWeights, UndefinedWhereNoRuleApplies) {
  const auto undefined = [](const std::string& name, at::IntArrayRef stored,
                            at::IntArrayRef wanted) {
    return !resize_weight(name, torch::zeros(stored), wanted).defined();
  };
  EXPECT_TRUE(undefined("backbone.norm.weight", {4}, {8}));
  EXPECT_TRUE(undefined("backbone.relative_position_index", {9, 9}, {16, 16}));
  EXPECT_TRUE(undefined("not_pos_embed", {1, 10, 4}, {1, 17, 4}));
  EXPECT_TRUE(undefined(kPositions, {1, 10, 4}, {1, 17, 8})) << "another width";
  EXPECT_TRUE(undefined(kPositions, {1, 9, 4}, {1, 17, 4})) << "no square of patches";
  EXPECT_TRUE(undefined(kPositions, {1, 10, 4}, {1, 16, 4})) << "no square of patches";
  EXPECT_TRUE(undefined(kPositions, {10, 4}, {1, 17, 4}));
  EXPECT_TRUE(undefined(kPositions, {1, 0, 4}, {1, 17, 4}));
  EXPECT_TRUE(undefined(kTable, {9, 2}, {25, 3})) << "other heads";
  EXPECT_TRUE(undefined(kTable, {9, 2}, {24, 2})) << "no square of offsets";
}

TEST(ResizeWeights, AConstantStaysConstant) {
  EXPECT_TENSOR_NEAR(resize_weight(kTable, torch::full({169, 3}, 0.25), {729, 3}),
                     torch::full({729, 3}, 0.25));
  auto positions = torch::full({1, 197, 5}, -1.5);
  positions.select(1, 0).fill_(7.0);
  auto expected = torch::full({1, 257, 5}, -1.5);
  expected.select(1, 0).fill_(7.0);
  EXPECT_TENSOR_NEAR(resize_weight(kPositions, positions, {1, 257, 5}), expected);
}

/// Keys' cubic kernel with a = -0.75.
double keys(double x) {
  constexpr double a = -0.75;
  x = std::abs(x);
  if (x <= 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  return x < 2.0 ? ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a : 0.0;
}

/// [to, from]: weights of the stored places in each wanted one; beyond the edge stands the edge.
torch::Tensor keys_weights(int64_t from, int64_t to) {
  auto weights = torch::zeros({to, from}, torch::kDouble);
  for (int64_t i = 0; i < to; ++i) {
    const double place =
        (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    const auto first = static_cast<int64_t>(std::floor(place)) - 1;
    for (int64_t tap = first; tap < first + 4; ++tap) {
      weights[i][std::clamp<int64_t>(tap, 0, from - 1)] += keys(place - static_cast<double>(tap));
    }
  }
  return weights;
}

TEST(ResizeWeights, IsASeparableCubicConvolution) {
  for (const auto& [from, to] : {std::pair<int64_t, int64_t>{13, 27}, {27, 13}, {13, 11}}) {
    const auto map = torch::rand({from, from}, torch::kDouble);
    const auto weights = keys_weights(from, to);
    EXPECT_TENSOR_NEAR(
        resize_weight(kTable, map.reshape({from * from, 1}), {to * to, 1}).view({to, to}),
        weights.matmul(map).matmul(weights.t()));
  }
}

TEST(ResizeWeights, HeadsAndChannelsStayApart) {
  const auto table = torch::rand({25, 3});
  const auto resized = resize_weight(kTable, table, {81, 3});
  for (int64_t head = 0; head < 3; ++head) {
    EXPECT_TENSOR_NEAR(resized.narrow(1, head, 1),
                       resize_weight(kTable, table.narrow(1, head, 1), {81, 1}));
  }
}

TEST(ResizeWeights, KeepsTheType) {
  EXPECT_EQ(resize_weight(kTable, torch::rand({25, 3}).to(torch::kHalf), {81, 3}).dtype(),
            torch::kHalf);
}

TEST(ResizeWeightsGolden, PositionsOfOtherGridsMatchTheReference) {
  int checked = 0;
  for (const auto& golden : testing::golden_cases("11_finetune")) {
    if (golden.name.rfind("pos_embed", 0) != 0) continue;  // the other cases are of fine-tuning
    const testing::GoldenTensors tensors(golden.tensors(), golden.tolerance());
    const auto& stored = tensors.at("pos_embed_checkpoint");
    for (const auto& size : tensors.endings("pos_embed_")) {
      const auto name = "pos_embed_" + size;
      if (size == "checkpoint") continue;
      tensors.compare(resize_weight("pos_embed", stored, tensors.at(name).sizes()), name);
      ++checked;
    }
    golden.json.expect_all_read();
  }
  EXPECT_GT(checked, 0);
}

TEST(ResizeWeights, TablesMatchPythonsInterpolate) {
  if (!testing::python_has("torch, safetensors")) {
    GTEST_SKIP() << "python3 has no torch and safetensors";
  }
  const testing::TemporaryFolder folder;
  const auto file = folder / "tables.safetensors";
  testing::python_output(
      "import torch\n"
      "from safetensors.torch import save_file\n"
      "table = torch.linspace(-1, 1, 169 * 4).sin().mul(9).cos().view(169, 4)\n"
      "def resized(side):\n"
      "  x = table.T.reshape(1, 4, 13, 13)\n"
      "  x = torch.nn.functional.interpolate(x, size=(side, side), mode='bicubic')\n"
      "  return x.view(4, side * side).T.contiguous()\n"
      "save_file({'table': table, 'larger': resized(27), 'smaller': resized(7)}, '" +
      file.string() + "')\n");
  const auto tensors = io::read_safetensors(file).tensors;
  for (const auto* name : {"larger", "smaller"}) {
    const auto& expected = tensors.at(name);
    EXPECT_TENSOR_NEAR(resize_weight(kTable, tensors.at("table"), expected.sizes()), expected);
  }
}

}  // namespace
}  // namespace ibot::models
