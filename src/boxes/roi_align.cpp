#include "ibot/boxes/roi_align.h"

#include <torch/csrc/autograd/custom_function.h>

#include "ibot/base/error.h"
#include "ibot/boxes/coding.h"

namespace ibot::boxes {
namespace {

class RoiAlign : public torch::autograd::Function<RoiAlign> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& features, const torch::Tensor& regions,
                               const RoiAlignOptions& options) {
    // Gradients depend on where samples lie, not on the features: only their sizes are kept.
    context->save_for_backward({regions});
    context->saved_data["sizes"] = features.sizes().vec();
    context->saved_data["output"] =
        std::vector<int64_t>(options.output.begin(), options.output.end());
    context->saved_data["scale"] = options.scale;
    context->saved_data["samples"] = options.samples;
    return kernels::align_regions(features, regions, options);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto output = context->saved_data["output"].toIntVector();
    const RoiAlignOptions options{{output[0], output[1]},
                                  context->saved_data["scale"].toDouble(),
                                  context->saved_data["samples"].toInt()};
    const auto sizes = context->saved_data["sizes"].toIntVector();
    // None for regions and options.
    return {kernels::align_regions_backward(grads[0], context->get_saved_variables()[0], sizes,
                                            options),
            {},
            {}};
  }
};

}  // namespace

torch::Tensor roi_align(const torch::Tensor& features, const torch::Tensor& regions,
                        const RoiAlignOptions& options) {
  IBOT_CHECK(features.dim() == 4 && regions.dim() == 2 && regions.size(1) == 5,
             "roi_align: expected features [B, C, H, W] and regions [R, 5], got ", features.sizes(),
             " and ", regions.sizes());
  IBOT_CHECK(features.scalar_type() == torch::kFloat, "roi_align: expected float32 features, got ",
             features.scalar_type());
  return RoiAlign::apply(
      features, regions.detach().to(features.device(), torch::kFloat).contiguous(), options);
}

torch::Tensor level_of(const torch::Tensor& regions, int64_t levels) {
  const auto side = ((regions.select(1, 3) - regions.select(1, 1)) *
                     (regions.select(1, 4) - regions.select(1, 2)))
                        .sqrt();
  // Sides below 112 pixels, below 224, below 448, and all others, on four levels.
  return (side / 56 + 1e-6).log2().floor().clamp(0, levels - 1).to(torch::kLong);
}

torch::Tensor pyramid_features(const std::vector<torch::Tensor>& features,
                               const torch::Tensor& regions, int64_t first_stride,
                               std::array<int64_t, 2> output) {
  IBOT_CHECK(!features.empty(), "pyramid_features: expected a level or more");
  const auto level = level_of(regions, static_cast<int64_t>(features.size()));
  auto result = torch::zeros({regions.size(0), features.front().size(1), output[0], output[1]},
                             features.front().options());
  for (size_t i = 0; i < features.size(); ++i) {
    const auto here = level.eq(static_cast<int64_t>(i)).nonzero().view({-1});
    const RoiAlignOptions options{output, 1 / static_cast<double>(first_stride << i), 0};
    // Out of place: the gradient of `result` goes to every level.
    result =
        result.index_copy(0, here, roi_align(features[i], regions.index_select(0, here), options));
  }
  return result;
}

torch::Tensor mask_targets(const torch::Tensor& masks, const torch::Tensor& proposals,
                           const torch::Tensor& truth, int64_t side) {
  // A region is its mask's number and its box: [R, 5].
  const auto within = clipped(proposals, {masks.size(1), masks.size(2)});
  const auto regions = torch::cat({truth.unsqueeze(1).to(within.scalar_type()), within}, 1);
  const auto covered =
      roi_align(masks.to(torch::kFloat).unsqueeze(1), regions, {{side, side}, 1.0, 0});
  return covered.squeeze(1).ge(0.5).to(torch::kByte);
}

torch::Tensor paste(const torch::Tensor& probabilities, const torch::Tensor& boxes, int64_t height,
                    int64_t width) {
  // Pixel centers as shares of the box, from -1 to 1; a box without a side has none but infinite
  // ones, which become the middle.
  const auto shares = [&](int64_t pixels, int64_t axis) {
    const auto low = boxes.slice(1, axis, axis + 1);
    const auto high = boxes.slice(1, axis + 2, axis + 3);
    const auto centers = torch::arange(pixels, boxes.options()) + 0.5;
    const auto share = (centers - low) / (high - low) * 2 - 1;  // [N, pixels]
    return torch::where(share.isinf(), torch::zeros_like(share), share);
  };
  const int64_t count = boxes.size(0);
  const auto x = shares(width, 0).unsqueeze(1).expand({count, height, width});
  const auto y = shares(height, 1).unsqueeze(2).expand({count, height, width});
  constexpr int64_t kBilinear = 0;
  constexpr int64_t kZeros = 0;
  return at::grid_sampler(probabilities.unsqueeze(1), torch::stack({x, y}, 3), kBilinear, kZeros,
                          /*align_corners=*/false)
      .squeeze(1);
}

}  // namespace ibot::boxes
