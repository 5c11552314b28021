#include <gtest/gtest.h>

#include "ibot/batch/multi_crop_batch.h"
#include "ibot/loss/ibot_loss.h"
#include "support/golden_options.h"
#include "support/golden_tensors.h"
#include "support/test_device.h"

namespace ibot::loss {
namespace {

using testing::GoldenTensors;
using testing::ReadJson;

/// Masks of one stored call, its pairs gathered as the training step has them.
batch::MultiCropBatch masks_of(const GoldenTensors& expected, const std::string& prefix,
                               const ReadJson& config) {
  std::vector<torch::Tensor> masks;
  for (int64_t v = 0; v < config["global_crops"].get<int64_t>(); ++v) {
    const auto mask = expected.at(concat(prefix, "mask", v));
    EXPECT_EQ(mask.size(0), config["batch_size"].get<int64_t>());
    EXPECT_EQ(mask.sizes().slice(1), config["patch_grid"].get<std::vector<int64_t>>());
    masks.push_back(mask.flatten(1).cpu());
  }
  batch::MultiCropBatch batch;
  batch.mask = torch::cat(masks).to(torch::kBool);
  batch.pairs = testing::on_test_device(batch::masked_pairs(batch.mask));
  return batch;
}

torch::Tensor student_scores(const GoldenTensors& expected, const std::string& prefix,
                             const ReadJson& config) {
  std::vector<torch::Tensor> scores{expected.at(prefix + "student_cls")};
  const int64_t locals = config["local_crops"];
  EXPECT_EQ(expected.has(prefix + "student_local_cls"), locals > 0);
  if (locals > 0) {
    scores.push_back(expected.at(prefix + "student_local_cls"));
    EXPECT_EQ(scores.back().size(0), locals * config["batch_size"].get<int64_t>());
  }
  return torch::cat(scores).set_requires_grad(true);
}

/// One call; the loss keeps its moved centers.
void check_call(IbotLoss& loss, const ReadJson& call, const GoldenTensors& expected,
                const ReadJson& config, const TeacherTemperatures& temperatures) {
  const auto prefix = concat("step", call["step"].get<int64_t>(), ".");
  const auto pairs = masks_of(expected, prefix, config).pairs;
  auto class_logits = student_scores(expected, prefix, config);
  auto patch_logits = expected.at(prefix + "student_patch").clone().set_requires_grad(true);
  const auto teacher_cls = expected.at(prefix + "teacher_cls");
  const auto teacher_patches = expected.at(prefix + "teacher_patch").flatten(0, 1);
  const auto terms = loss->forward(
      {class_logits, patch_logits.flatten(0, 1).index_select(0, pairs.student)},
      {teacher_cls, teacher_patches.index_select(0, pairs.teacher), teacher_patches.mean(0)},
      {pairs.weight, pairs.views}, config["global_crops"], temperatures);
  terms.total.backward();
  loss->move_centers_(teacher_cls.mean(0), teacher_patches.mean(0));
  for (const auto& [name, term] :
       {std::pair{"loss", terms.total}, {"cls", terms["cls"]}, {"patch", terms["patch"]}}) {
    const std::string ending = std::string(name) == "loss" ? "loss" : concat("loss_", name);
    expected.compare(term.view({1}), prefix + ending);
    EXPECT_TRUE(testing::near(term, torch::tensor(call[name].get<double>(), torch::kDouble),
                              testing::on_test_device(testing::Tolerance())))
        << name;
  }
  const auto rows = expected.at(prefix + "student_cls").size(0);
  const auto gradient = class_logits.grad();
  expected.compare(gradient.narrow(0, 0, rows), prefix + "grad_student_cls");
  if (gradient.size(0) > rows) {
    expected.compare(gradient.narrow(0, rows, gradient.size(0) - rows),
                     prefix + "grad_student_local_cls");
  }
  expected.compare(patch_logits.grad(), prefix + "grad_student_patch");
  const auto buffers = loss->named_buffers();
  expected.compare(buffers["center"], prefix + "center_after");
  expected.compare(buffers["center2"], prefix + "center2_after");
}

TEST(IbotLossGolden, MatchesTheReferenceOverConsecutiveCalls) {
  for (const auto& golden : testing::golden_cases("04_loss")) {
    SCOPED_TRACE(golden.name);
    const auto config = golden.json["config"];
    const auto options = testing::loss_options_of(config);
    IbotLoss loss(options, config["out_dim"].get<int64_t>(),
                  config["patch_out_dim"].get<int64_t>());
    loss->to(testing::test_device());
    const GoldenTensors expected(testing::on_test_device(golden.tensors()),
                                 testing::on_test_device(golden.tolerance()));
    const auto temperatures = [&](int64_t epoch) {
      return teacher_temperatures(options, config["pred_start_epoch"], epoch);
    };
    for (const auto& call : golden.json["calls"].elements()) {
      const int64_t epoch = call["epoch"];
      EXPECT_NEAR(temperatures(epoch).cls, call["teacher_temp"], 1e-12);
      EXPECT_NEAR(temperatures(epoch).patch, call["teacher_patch_temp"], 1e-12);
      check_call(loss, call, expected, config, temperatures(epoch));
    }
    for (int64_t epoch = 0; epoch < config["epochs"].get<int64_t>(); ++epoch) {
      EXPECT_NEAR(temperatures(epoch).cls, golden.json["teacher_temp_schedule"][epoch], 1e-12);
      EXPECT_NEAR(temperatures(epoch).patch, golden.json["teacher_patch_temp_schedule"][epoch],
                  1e-12);
    }
    expected.expect_all_used();
    golden.json.expect_all_read();
  }
}

}  // namespace
}  // namespace ibot::loss
