// The teacher's moving average.
#pragma once

#include <torch/nn/module.h>

#include <vector>

namespace ibot::optim {

/// Parameters of equal name in two networks.
struct ParameterPairs {
  std::vector<torch::Tensor> teacher;
  std::vector<torch::Tensor> student;
};

/// Pairs the parameters whose names both networks have: the student's mask token and prototype
/// layers that the teacher lacks are left out.
ParameterPairs common_parameters(const torch::nn::Module& teacher,
                                 const torch::nn::Module& student);

/// teacher ← momentum · teacher + (1 - momentum) · student.
/// Source: paper section 3.1; reference `main_ibot.py`.
void ema_update_(const ParameterPairs& pairs, double momentum);

}  // namespace ibot::optim
