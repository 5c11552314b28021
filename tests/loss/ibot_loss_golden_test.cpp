#include <gtest/gtest.h>

#include "ibot/batch/multi_crop_batch.h"
#include "ibot/loss/ibot_loss.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/golden_options.h"

namespace ibot::loss {
namespace {

using testing::near;
using testing::Tolerance;

/// One stored call, its scores gathered at the masked patches as the training step has them.
struct Call {
  std::map<std::string, torch::Tensor> tensors;
  std::string prefix;
  batch::MultiCropBatch batch;

  torch::Tensor at(const std::string& name) const { return tensors.at(prefix + name); }
  bool has(const std::string& name) const { return tensors.count(prefix + name) > 0; }
};

Call read_call(const std::map<std::string, torch::Tensor>& tensors, int64_t step, int64_t views) {
  Call call{tensors, "step" + std::to_string(step) + ".", {}};
  std::vector<torch::Tensor> masks;
  for (int64_t v = 0; v < views; ++v)
    masks.push_back(call.at("mask" + std::to_string(v)).flatten(1));
  call.batch.mask = torch::cat(masks).to(torch::kBool);
  call.batch.pairs = batch::masked_pairs(call.batch.mask);
  return call;
}

TEST(IbotLossGolden, MatchesTheReferenceOverConsecutiveCalls) {
  for (const auto& golden : testing::golden_cases("04_loss")) {
    SCOPED_TRACE(golden.name);
    const auto& config = golden.json["config"];
    const Tolerance tolerance{golden.json["tolerance"]["rtol"], golden.json["tolerance"]["atol"]};
    const auto options = testing::loss_options_of(config);
    const int64_t views = config["global_crops"];
    IbotLoss loss(options, config["out_dim"].get<int64_t>(),
                  config["patch_out_dim"].get<int64_t>());
    const auto tensors = golden.tensors();
    for (const auto& expected : golden.json["calls"]) {
      const auto call = read_call(tensors, expected["step"], views);
      const auto temperatures =
          teacher_temperatures(options, config["pred_start_epoch"], expected["epoch"]);
      EXPECT_NEAR(temperatures.cls, expected["teacher_temp"], 1e-12);
      EXPECT_NEAR(temperatures.patch, expected["teacher_patch_temp"], 1e-12);

      std::vector<torch::Tensor> student{call.at("student_cls")};
      if (call.has("student_local_cls")) student.push_back(call.at("student_local_cls"));
      auto class_logits = torch::cat(student).set_requires_grad(true);
      auto patch_logits = call.at("student_patch").clone().set_requires_grad(true);
      const auto teacher_patches = call.at("teacher_patch").flatten(0, 1);
      const auto& pairs = call.batch.pairs;
      const auto terms =
          loss->forward({class_logits, patch_logits.flatten(0, 1).index_select(0, pairs.student)},
                        {call.at("teacher_cls"), teacher_patches.index_select(0, pairs.teacher),
                         teacher_patches.mean(0)},
                        {pairs.weight, pairs.views}, views, temperatures);
      terms.total.backward();
      loss->move_centers_(call.at("teacher_cls").mean(0), teacher_patches.mean(0));

      EXPECT_TRUE(near(terms.total.view({1}), call.at("loss"), tolerance));
      EXPECT_TRUE(near(terms["cls"].view({1}), call.at("loss_cls"), tolerance));
      EXPECT_TRUE(near(terms["patch"].view({1}), call.at("loss_patch"), tolerance));
      const auto rows = call.at("student_cls").size(0);
      const auto gradient = class_logits.grad();
      EXPECT_TRUE(near(gradient.narrow(0, 0, rows), call.at("grad_student_cls"), tolerance));
      if (call.has("student_local_cls")) {
        EXPECT_TRUE(near(gradient.narrow(0, rows, gradient.size(0) - rows),
                         call.at("grad_student_local_cls"), tolerance));
      }
      EXPECT_TRUE(near(patch_logits.grad(), call.at("grad_student_patch"), tolerance));
      const auto buffers = loss->named_buffers();
      EXPECT_TRUE(near(buffers["center"], call.at("center_after"), tolerance));
      EXPECT_TRUE(near(buffers["center2"], call.at("center2_after"), tolerance));
    }
  }
}

}  // namespace
}  // namespace ibot::loss
