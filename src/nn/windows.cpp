#include "ibot/nn/windows.h"

#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/utils.h>

namespace ibot::nn {
namespace {

/// Added to scores, as in the reference: next to nothing is left after the softmax.
constexpr double kApart = -100.0;

/// map [m·w, n·w] → [m·n·w·w], window by window.
torch::Tensor window_order(const torch::Tensor& map, int64_t size) {
  return map.view({map.size(0) / size, size, map.size(1) / size, size}).transpose(1, 2).flatten();
}

/// One side of a map, padded to whole windows and shifted.
///
///   from    [padded]   place before the shift of each place after it
///   to      [side]     place after the shift of each place before it
///   region  [padded]   0 to 2 on a shifted axis: whole windows, then of the last one what was its
///                      neighbor and what came in from the other side
struct Axis {
  torch::Tensor from;
  torch::Tensor to;
  torch::Tensor region;
};

Axis plan_axis(int64_t side, const WindowOptions& options, torch::Device device) {
  const auto padded = (side + options.size - 1) / options.size * options.size;
  const auto index = torch::TensorOptions(torch::kLong).device(device);
  const auto places = torch::arange(padded, index);
  // A cyclic shift by -shift on this axis.
  return {.from = (places + options.shift).remainder(padded),
          .to = (torch::arange(side, index) - options.shift).remainder(padded),
          .region = places.ge(padded - options.size).to(torch::kLong) +
                    places.ge(padded - options.shift)};
}

/// -100 between tokens of different regions of the shifted map, of which there are three by three.
torch::Tensor shift_mask(const Axis& rows, const Axis& columns, int64_t size) {
  const auto regions =
      window_order(rows.region.unsqueeze(1) * 3 + columns.region, size).view({-1, size * size});
  const auto apart = regions.unsqueeze(1).ne(regions.unsqueeze(2)).to(torch::kFloat);
  return apart.mul_(kApart).unsqueeze(1);  // [W, 1, T, T]
}

torch::Tensor gather(const torch::Tensor& rows, const torch::Tensor& index) {
  const bool padded = index.size(0) > rows.size(1);
  // Index L, one past the last token, reads the row of zeros that padding adds.
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
    // The gradient of padding is dropped on the way to the map, and 0 on the way to windows.
    return {Gather::apply(gradients[0], saved[1], saved[0]), torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

WindowPlan plan_windows(const MapSize& map, const WindowOptions& options, torch::Device device) {
  const auto rows = plan_axis(map.rows, options, device);
  const auto columns = plan_axis(map.columns, options, device);
  // Where each place of the padded and shifted map comes from; padding is one token past the last.
  const auto cell = rows.from.unsqueeze(1) * map.columns + columns.from;  // [padded, padded]
  const auto inside = rows.from.lt(map.rows).unsqueeze(1).logical_and(columns.from.lt(map.columns));
  const auto source = torch::where(inside, cell, map.tokens());

  const auto down = rows.from.size(0) / options.size, across = columns.from.size(0) / options.size;
  // The inverse: where each place of the shifted map stands among the windows.
  const auto place = torch::arange(cell.numel(), cell.options())
                         .view({down, across, options.size, options.size})
                         .transpose(1, 2)
                         .reshape(cell.sizes());
  return {.to_windows = window_order(source, options.size),
          .to_map = place.index_select(0, rows.to).index_select(1, columns.to).flatten(),
          .mask = options.shift > 0 ? shift_mask(rows, columns, options.size) : torch::Tensor()};
}

torch::Tensor to_windows(const torch::Tensor& tokens, const WindowPlan& plan) {
  return Gather::apply(tokens, plan.to_windows, plan.to_map);
}

torch::Tensor to_map(const torch::Tensor& windows, const WindowPlan& plan) {
  return Gather::apply(windows, plan.to_map, plan.to_windows);
}

const WindowPlan& WindowPlans::of(const MapSize& map, torch::Device device) {
  for (const Entry& entry : entries_) {
    if (entry.map == map && entry.device == device) return entry.plan;
  }
  // A plan made while evaluating must serve training too: autograd refuses inference tensors.
  const c10::InferenceMode outside(false);
  const torch::NoGradGuard no_grad;
  entries_.push_back({map, device, plan_windows(map, options_, device)});
  return entries_.back().plan;
}

}  // namespace ibot::nn
