// How well a classifier knows when it is wrong.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>

namespace ibot::eval {

/// Root mean square over bins of the difference between mean confidence and accuracy, images sorted
/// by confidence into bins of `bin`, of which the last one takes the rest and, where there are
/// others, is left out. None where there are fewer images than `bin`.
///
///   confidence  [S]   in [0, 1]
///   correct     [S]   1 where the prediction is right, else 0
///
/// Source: Hendrycks et al. 2021 (natural adversarial examples), whose program skips the last bin.
std::optional<double> rms_calibration_error(const torch::Tensor& confidence,
                                            const torch::Tensor& correct, int64_t bin = 100);

/// Bins that rms_calibration_error sorts so many images into.
int64_t calibration_bins(int64_t images, int64_t bin = 100);

/// Area under the response rate accuracy curve: the mean over k of the accuracy of the k images
/// with the most confidence. Arguments as of rms_calibration_error; at least one image.
double aurra(const torch::Tensor& confidence, const torch::Tensor& correct);

}  // namespace ibot::eval
