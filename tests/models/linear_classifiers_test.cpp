#include "ibot/models/linear_classifiers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/temporary_folder.h"

namespace ibot::models {
namespace {

using ::testing::HasSubstr;

std::string file_refusal(const io::Value& root) {
  try {
    classifiers_of(root, "x.pth");
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return {};
}

TEST(LinearClassifiers, OfTheReferencesSingleOne) {
  const auto folder = testing::golden_root() / "13_checkpoint";
  const auto found = read_classifiers(folder / "checkpoint_teacher_linear.pth");
  ASSERT_TRUE(found);
  const auto expected =
      io::read_safetensors(folder / "checkpoint_teacher_linear.tensors.safetensors").tensors;
  EXPECT_EQ(found->best, 0);
  EXPECT_EQ(found->best_top1, 41.25);
  EXPECT_EQ(found->epoch, 3);
  for (const auto& [name, tensor] : expected) {
    if (name.ends_with("linear.weight")) {
      EXPECT_TENSOR_EQUAL(found->weight[0], tensor);
    } else if (name.ends_with("linear.bias")) {
      EXPECT_TENSOR_EQUAL(found->bias[0], tensor);
    }
  }
}

/// A sweep of twelve, so that names do not sort as numbers do.
io::Dict sweep() {
  io::Dict state{{}, "collections.OrderedDict"};
  for (int64_t head = 0; head < 12; ++head) {
    const auto prefix = std::to_string(head) + ".module.linear.";
    state.items.emplace_back(prefix + "weight", torch::full({3, 4}, static_cast<double>(head)));
    state.items.emplace_back(prefix + "bias", torch::full({3}, static_cast<double>(-head)));
  }
  return state;
}

TEST(LinearClassifiers, OfTheReferencesSweep) {
  const io::Value root(io::Dict{{{"epoch", int64_t{7}},
                                 {"state_dict", sweep()},
                                 {"best_acc", 71.5},
                                 {"best_acc_hidx", int64_t{10}}},
                                ""});
  const auto found = classifiers_of(root, "x.pth");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->weight.sizes().vec(), (std::vector<int64_t>{12, 3, 4}));
  for (int64_t head = 0; head < 12; ++head) {
    EXPECT_EQ(found->weight[head][2][3].item<double>(), static_cast<double>(head));
    EXPECT_EQ(found->bias[head][1].item<double>(), static_cast<double>(-head));
  }
  EXPECT_EQ(found->best, 10);
  EXPECT_EQ(found->best_top1, 71.5);
  EXPECT_EQ(found->epoch, 7);
}

// combine_ckpt.py leaves the best classifier's number in place and drops the others.
TEST(LinearClassifiers, BesideTheirBackbone) {
  const io::Dict merged{{{"cls_token", torch::ones({1, 1, 4})},
                         {"linear.weight", torch::ones({3, 4})},
                         {"linear.bias", torch::zeros({3})}},
                        ""};
  const auto found = classifiers_of(
      io::Dict{{{"state_dict", merged}, {"best_acc_hidx", int64_t{10}}, {"best_acc", 71.5}}, ""},
      "x.pth");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->best, 0);
  EXPECT_EQ(found->weight.size(0), 1);
}

TEST(LinearClassifiers, OfOurLinearProbe) {
  const testing::TemporaryFolder folder;
  io::write_safetensors(folder / "linear.safetensors",
                        {{{"weight", torch::ones({2, 3, 4})}, {"bias", torch::zeros({2, 3})}},
                         {{"progress", R"({"next_epoch": 5, "best": [1, 4, 80.5, 99.0]})"}}});
  const auto found = read_classifiers(folder / "linear.safetensors");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->best, 1);
  EXPECT_EQ(found->best_top1, 80.5);
  EXPECT_EQ(found->epoch, 5);
}

TEST(LinearClassifiers, AreNotSeenElsewhere) {
  EXPECT_FALSE(classifiers_of(io::Dict{{{"norm.weight", torch::ones({3})}}, ""}, "x.pth"));
  EXPECT_FALSE(classifiers_of(io::Value(1.0), "x.pth"));
}

TEST(LinearClassifiers, RefusesThoseThatDoNotFitTogether) {
  const auto with = [](const std::string& name, const torch::Tensor& tensor) {
    auto state = sweep();
    for (auto& [key, value] : state.items) {
      if (*key.text() == name) value = tensor;
    }
    return file_refusal(io::Dict{{{"state_dict", state}}, ""});
  };
  EXPECT_EQ(with("none", {}), "");
  EXPECT_THAT(with("3.module.linear.weight", torch::ones({3, 5})), HasSubstr("classifier 3"));
  EXPECT_THAT(with("3.module.linear.bias", torch::ones({2})), HasSubstr("classifier 3"));
  EXPECT_THAT(file_refusal(io::Dict{{{"5.module.linear.weight", torch::ones({3, 4})},
                                     {"5.module.linear.bias", torch::ones({3})}},
                                    ""}),
              HasSubstr("counted from 0"));
  EXPECT_THAT(file_refusal(io::Dict{{{"state_dict", sweep()}, {"best_acc_hidx", int64_t{12}}}, ""}),
              HasSubstr("best_acc_hidx"));
}

}  // namespace
}  // namespace ibot::models
