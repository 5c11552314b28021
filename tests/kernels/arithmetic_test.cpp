#include "kernels/arithmetic.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "ibot/kernels/cross_entropy.h"
#include "ibot/loss/centering.h"
#include "support/expect_tensor.h"

// What a GPU's threads compute for a row, here one number after the other.
namespace ibot::kernels {
namespace {

constexpr float kStudentTemperature = 0.1F, kTeacherTemperature = 0.07F;

struct EntropyRow {
  EntropyRow(const torch::Tensor& student_row, const torch::Tensor& teacher_row,
             const torch::Tensor& center)
      : width(student_row.numel()), sums{-INFINITY, 0, -INFINITY, 0} {
    for (int64_t i = 0; i < width; ++i) {
      student.push_back(sharpened(student_row[i].item<float>(), 0.0F, 1 / kStudentTemperature));
      teacher.push_back(sharpened(teacher_row[i].item<float>(), center[i].item<float>(),
                                  1 / kTeacherTemperature));
    }
    sums.student_max = *std::max_element(student.begin(), student.end());
    sums.teacher_max = *std::max_element(teacher.begin(), teacher.end());
    for (int64_t i = 0; i < width; ++i) {
      sums.student_sum += student_exp(i);
      sums.teacher_sum += teacher_exp(i);
      product += teacher_exp(i) * student[i];
    }
  }

  float student_exp(int64_t i) const { return std::exp(student[i] - sums.student_max); }
  float teacher_exp(int64_t i) const { return std::exp(teacher[i] - sums.teacher_max); }
  float value() const { return cross_entropy_of(sums, std::log(sums.student_sum), product); }
  float gradient(int64_t i) const {
    const float weight = 1 / kStudentTemperature;
    return cross_entropy_gradient(student_exp(i), teacher_exp(i), weight / sums.student_sum,
                                  weight / sums.teacher_sum);
  }

  int64_t width;
  std::vector<float> student, teacher;
  RowSums sums;
  float product = 0;
};

struct Entropy : ::testing::Test {
  Entropy() {
    torch::manual_seed(0);
    student = torch::randn({3, 11}).requires_grad_();
    teacher = {torch::randn({3, 11}), torch::randn({11}), kTeacherTemperature};
  }
  torch::Tensor student, sums = torch::empty({3, 4});
  CenteredTeacher teacher;
};

TEST_F(Entropy, OfARowIsTheDefinition) {
  const auto target =
      loss::teacher_probabilities(teacher.logits, teacher.center, kTeacherTemperature);
  const auto expected = -(target * (student / kStudentTemperature).log_softmax(-1)).sum(-1);
  const auto of_student = torch::autograd::grad({expected.sum()}, {student})[0];
  for (int64_t r = 0; r < 3; ++r) {
    const EntropyRow row(student[r], teacher.logits[r], teacher.center);
    EXPECT_NEAR(row.value(), expected[r].item<float>(), 1e-4);
    for (int64_t i = 0; i < row.width; ++i) {
      EXPECT_NEAR(row.gradient(i), of_student[r][i].item<float>(), 1e-4);
    }
  }
}

TEST_F(Entropy, FallbackIsTheDefinitionAndKeepsWhatAGpuKeeps) {
  const auto scores = student.detach();
  const auto values = centered_cross_entropy(scores, teacher, kStudentTemperature, sums);
  const auto gradient =
      centered_cross_entropy_backward(scores, teacher, kStudentTemperature, sums, torch::ones({3}));
  for (int64_t r = 0; r < 3; ++r) {
    const EntropyRow row(scores[r], teacher.logits[r], teacher.center);
    EXPECT_NEAR(values[r].item<float>(), row.value(), 1e-4);
    EXPECT_NEAR(sums[r][0].item<float>(), row.sums.student_max, 1e-5);
    EXPECT_NEAR(sums[r][1].item<float>(), row.sums.student_sum, 1e-4);
    EXPECT_NEAR(sums[r][2].item<float>(), row.sums.teacher_max, 1e-5);
    EXPECT_NEAR(sums[r][3].item<float>(), row.sums.teacher_sum, 1e-4);
    for (int64_t i = 0; i < row.width; ++i) {
      EXPECT_NEAR(gradient[r][i].item<float>(), row.gradient(i), 1e-4);
    }
  }
}

TEST_F(Entropy, ScoresOfHugeSizeStayFinite) {
  const auto huge = torch::full({3, 11}, 3e4F);
  const auto values = centered_cross_entropy(huge, {huge, torch::zeros({11}), 0.04}, 0.1, sums);
  EXPECT_TENSOR_NEAR(values, torch::full({3}, std::log(11.0)), {.rtol = 1e-3});
}

}  // namespace
}  // namespace ibot::kernels
