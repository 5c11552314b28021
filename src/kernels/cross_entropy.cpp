#include "ibot/kernels/cross_entropy.h"

#include <algorithm>

#include "kernels/cuda/functions.h"
#include "kernels/kernels.h"

namespace ibot::kernels {
namespace {

struct Scores {
  torch::Tensor student, teacher;  // float32, over the temperature
};

Scores scores_of(const torch::Tensor& logits, const CenteredTeacher& teacher, double temperature) {
  return {logits.to(torch::kFloat) / temperature,
          teacher.logits.to(torch::kFloat).sub(teacher.center).div_(teacher.temperature)};
}

torch::Tensor entropy_by_operators(const torch::Tensor& logits, const CenteredTeacher& teacher,
                                   double temperature, torch::Tensor sums) {
  const auto scores = scores_of(logits, teacher, temperature);
  int64_t column = 0;
  for (const auto& all : {scores.student, scores.teacher}) {
    // Student's largest score and sum, then the teacher's: RowSums of the own code.
    const auto largest = all.amax(-1, /*keepdim=*/true);
    sums.narrow(1, column++, 1).copy_(largest);
    sums.narrow(1, column++, 1).copy_((all - largest).exp().sum(-1, /*keepdim=*/true));
  }
  return scores.student.log_softmax(-1).mul_(scores.teacher.softmax(-1)).sum(-1).neg_();
}

torch::Tensor entropy_backward_by_operators(const torch::Tensor& logits,
                                            const CenteredTeacher& teacher, double temperature,
                                            const torch::Tensor&, const torch::Tensor& gradient) {
  const auto scores = scores_of(logits, teacher, temperature);
  // Targets sum to 1 here: (softmax of the student - softmax of the teacher) / temperature.
  const auto weight = (gradient / temperature).unsqueeze(1);
  return scores.student.softmax(-1)
      .sub_(scores.teacher.softmax(-1))
      .mul_(weight)
      .to(logits.scalar_type());
}

// On a CPU a step spends less than one part in a hundred here.
Kernel<decltype(centered_cross_entropy)>& entropy_kernel() {
  static Kernel<decltype(centered_cross_entropy)> kernel(
      "cross_entropy", entropy_by_operators, {{torch::kCUDA, cuda::centered_cross_entropy}});
  return kernel;
}

Kernel<decltype(centered_cross_entropy_backward)>& entropy_backward_kernel() {
  static Kernel<decltype(centered_cross_entropy_backward)> kernel(
      "cross_entropy_backward", entropy_backward_by_operators,
      {{torch::kCUDA, cuda::centered_cross_entropy_backward}});
  return kernel;
}

const std::vector<torch::ScalarType>& entropy_types() {
  static const std::vector<torch::ScalarType> types{torch::kFloat, torch::kBFloat16, torch::kHalf};
  return types;
}

/// Own code reads scores of one type, and centers in float32.
bool takes_entropy(const torch::Tensor& logits, const CenteredTeacher& teacher) {
  const auto& types = entropy_types();
  const auto type = logits.scalar_type();
  return std::find(types.begin(), types.end(), type) != types.end() &&
         teacher.logits.scalar_type() == type && teacher.center.scalar_type() == torch::kFloat;
}

struct EntropyInputs {
  torch::Tensor logits;
  CenteredTeacher teacher;
  torch::Tensor sums;
};

EntropyInputs entropy_inputs(const Trial& trial, Draw& draw) {
  const auto logits = draw.halves({trial.rows, trial.width});
  const CenteredTeacher teacher{draw.halves({trial.rows, trial.width}), draw.floats({trial.width}),
                                0.07};
  return {logits, teacher, draw.room({trial.rows, 4}, torch::kFloat)};
}

}  // namespace

bool owns_centered_cross_entropy(const torch::Tensor& logits, const CenteredTeacher& teacher) {
  return takes_entropy(logits, teacher) && entropy_kernel().runs_own(logits.device().type());
}

torch::Tensor centered_cross_entropy(const torch::Tensor& logits, const CenteredTeacher& teacher,
                                     double temperature, torch::Tensor sums) {
  const bool own = takes_entropy(logits, teacher);
  const auto function = own ? entropy_kernel().on(logits.device()) : entropy_by_operators;
  return function(logits, teacher, temperature, sums);
}

torch::Tensor centered_cross_entropy_backward(const torch::Tensor& logits,
                                              const CenteredTeacher& teacher, double temperature,
                                              const torch::Tensor& sums,
                                              const torch::Tensor& gradient) {
  const bool own = takes_entropy(logits, teacher);
  const auto function =
      own ? entropy_backward_kernel().on(logits.device()) : entropy_backward_by_operators;
  return function(logits, teacher, temperature, sums, gradient);
}

TableRow cross_entropy_row() {
  return {entropy_kernel(), entropy_types(),
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto in = entropy_inputs(trial, draw);
            return {[=]() -> std::vector<torch::Tensor> {
                      const auto result =
                          centered_cross_entropy(in.logits, in.teacher, 0.1, in.sums);
                      return {result, in.sums};
                    },
                    2.0 * static_cast<double>(in.logits.nbytes())};
          },
          512, 8192};
}

TableRow cross_entropy_backward_row() {
  return {entropy_backward_kernel(), entropy_types(),
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto in = entropy_inputs(trial, draw);
            const auto gradient = draw.floats({trial.rows});
            centered_cross_entropy(in.logits, in.teacher, 0.1, in.sums);
            return {[=]() -> std::vector<torch::Tensor> {
                      return {centered_cross_entropy_backward(in.logits, in.teacher, 0.1, in.sums,
                                                              gradient)};
                    },
                    3.0 * static_cast<double>(in.logits.nbytes())};
          },
          512, 8192};
}

}  // namespace ibot::kernels
