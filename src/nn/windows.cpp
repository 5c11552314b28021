#include "ibot/nn/windows.h"

#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/utils.h>

namespace ibot::nn {
namespace {

constexpr double kApart = -100.0;

/// map [n·w, n·w] → [n·n·w·w], window by window.
torch::Tensor window_order(const torch::Tensor& map, int64_t size) {
  const auto count = map.size(0) / size;
  return map.view({count, size, count, size}).transpose(1, 2).flatten();
}

/// -100 between tokens of different regions of the shifted map. Three regions on each axis: whole
/// windows, then of the last one what was its neighbor and what came in from the other side.
torch::Tensor shift_mask(const torch::Tensor& axis, const WindowOptions& options) {
  const auto side = axis.size(0);
  const auto region = axis.ge(side - options.size).to(torch::kLong) + axis.ge(side - options.shift);
  const auto regions = window_order(region.unsqueeze(1) * 3 + region, options.size)
                           .view({-1, options.size * options.size});
  const auto apart = regions.unsqueeze(1).ne(regions.unsqueeze(2)).to(torch::kFloat);
  return apart.mul_(kApart).unsqueeze(1);  // [W, 1, T, T]
}

torch::Tensor gather(const torch::Tensor& rows, const torch::Tensor& index) {
  const bool padded = index.size(0) > rows.size(1);
  return (padded ? torch::constant_pad_nd(rows, {0, 0, 0, 1}) : rows).index_select(1, index);
}

/// gather, whose gradient is a gather too: each token has one place at most. What the framework
/// would do, add rows into zeros, is slower on a CPU and of no fixed order on a GPU.
class Gather : public torch::autograd::Function<Gather> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& rows,
                               const torch::Tensor& index, const torch::Tensor& inverse) {
    context->save_for_backward({index, inverse});
    return gather(rows, index);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    return {Gather::apply(gradients[0], saved[1], saved[0]), torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

WindowPlan plan_windows(int64_t side, const WindowOptions& options, torch::Device device) {
  const auto padded = (side + options.size - 1) / options.size * options.size;
  const auto index = torch::TensorOptions(torch::kLong).device(device);
  const auto axis = torch::arange(padded, index);
  const auto from = (axis + options.shift).remainder(padded);  // place before the shift
  const auto cell = from.unsqueeze(1) * side + from;           // [padded, padded]
  const auto inside = from.lt(side);
  const auto source = torch::where(inside.unsqueeze(1).logical_and(inside), cell, side * side);

  const auto count = padded / options.size;
  const auto place = torch::arange(padded * padded, index)
                         .view({count, count, options.size, options.size})
                         .transpose(1, 2)
                         .reshape({padded, padded});
  const auto to = (torch::arange(side, index) - options.shift).remainder(padded);
  return {.to_windows = window_order(source, options.size),
          .to_map = place.index_select(0, to).index_select(1, to).flatten(),
          .mask = options.shift > 0 ? shift_mask(axis, options) : torch::Tensor()};
}

torch::Tensor to_windows(const torch::Tensor& tokens, const WindowPlan& plan) {
  return Gather::apply(tokens, plan.to_windows, plan.to_map);
}

torch::Tensor to_map(const torch::Tensor& windows, const WindowPlan& plan) {
  return Gather::apply(windows, plan.to_map, plan.to_windows);
}

const WindowPlan& WindowPlans::of(int64_t side, torch::Device device) {
  for (const Entry& entry : entries_) {
    if (entry.side == side && entry.device == device) return entry.plan;
  }
  // A plan made while evaluating must serve training too: autograd refuses inference tensors.
  const c10::InferenceMode outside(false);
  const torch::NoGradGuard no_grad;
  entries_.push_back({side, device, plan_windows(side, options_, device)});
  return entries_.back().plan;
}

}  // namespace ibot::nn
