#include "ibot/boxes/roi_align.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "ibot/base/error.h"
#include "ibot/boxes/coding.h"

namespace ibot::boxes {
namespace {

/// A place between four cells of a map and their weights, which add up to 1.
struct Tap {
  std::array<int64_t, 4> cell;
  std::array<float, 4> weight;
};

/// The two cells around a coordinate and the share of the second; nothing far outside of the map.
struct Between {
  int64_t low = 0;
  int64_t high = 0;
  float share = 0;
  bool inside = false;

  Between(float at, int64_t size) {
    if (at < -1 || at > static_cast<float>(size)) return;
    inside = true;
    at = std::max(at, 0.0F);
    low = static_cast<int64_t>(at);
    if (low >= size - 1) {
      low = high = size - 1;
      return;
    }
    high = low + 1;
    share = at - static_cast<float>(low);
  }
};

/// The samples of one axis of one region, bin by bin.
struct Axis {
  std::vector<std::vector<Between>> bins;
  int64_t samples = 0;

  Axis(float low, float high, int64_t count, int64_t fixed, int64_t size) {
    const float bin = (high - low) / static_cast<float>(count);
    samples = fixed > 0 ? fixed : static_cast<int64_t>(std::ceil(bin));
    bins.resize(count);
    for (int64_t b = 0; b < count; ++b) {
      for (int64_t k = 0; k < samples; ++k) {
        const float at = low + static_cast<float>(b) * bin +
                         (static_cast<float>(k) + 0.5F) * bin / static_cast<float>(samples);
        bins[b].emplace_back(at, size);
      }
    }
  }
};

/// The samples of one region.
class Samples {
 public:
  Samples(const float* region, const RoiAlignOptions& options, int64_t height, int64_t width)
      : width_(width),
        x_(edge(region[1], options), edge(region[3], options), options.output[1], options.samples,
           width),
        y_(edge(region[2], options), edge(region[4], options), options.output[0], options.samples,
           height) {}

  /// Samples a bin, by which sums are divided; at least 1.
  float count() const { return static_cast<float>(std::max<int64_t>(x_.samples * y_.samples, 1)); }

  /// Calls visit(bin, tap) for every sample that is not far outside of the map.
  template <class Visit>
  void for_each(const Visit& visit) const {
    int64_t bin = 0;
    for (const auto& rows : y_.bins) {
      for (const auto& columns : x_.bins) {
        for (const auto& v : rows) {
          for (const auto& u : columns) {
            if (v.inside && u.inside) visit(bin, tap(v, u));
          }
        }
        ++bin;
      }
    }
  }

 private:
  static float edge(float corner, const RoiAlignOptions& options) {
    return corner * static_cast<float>(options.scale) - 0.5F;
  }

  Tap tap(const Between& v, const Between& u) const {
    return {{v.low * width_ + u.low, v.low * width_ + u.high, v.high * width_ + u.low,
             v.high * width_ + u.high},
            {(1 - v.share) * (1 - u.share), (1 - v.share) * u.share, v.share * (1 - u.share),
             v.share * u.share}};
  }

  int64_t width_;
  Axis x_;
  Axis y_;
};

/// Adds a sample of all channels, in the order of additions of the reference's kernel: training
/// hangs on the sign of sums near 0.
void add_sample(float* to, const float* image, const Tap& tap, int64_t channels) {
  const auto [w0, w1, w2, w3] = tap.weight;
  const float* a = image + tap.cell[0] * channels;
  const float* b = image + tap.cell[1] * channels;
  const float* c = image + tap.cell[2] * channels;
  const float* d = image + tap.cell[3] * channels;
  for (int64_t i = 0; i < channels; ++i) to[i] += w0 * a[i] + w1 * b[i] + w2 * c[i] + w3 * d[i];
}

/// Offsets of an image's cells in channels-last maps. Channels lie side by side there, so that the
/// inner loops run over them.
int64_t image_of(const float* region, int64_t images) {
  const auto image = static_cast<int64_t>(region[0]);
  IBOT_CHECK(0 <= image && image < images, "roi_align: expected images below ", images, ", got ",
             image);
  return image;
}

torch::Tensor forward_of(const torch::Tensor& features, const torch::Tensor& regions,
                         const RoiAlignOptions& options) {
  const auto map = features.permute({0, 2, 3, 1}).contiguous();  // [B, H, W, C]
  const int64_t channels = map.size(3);
  const int64_t bins = options.output[0] * options.output[1];
  auto output = torch::zeros({regions.size(0), bins, channels}, map.options());
  const auto* cells = map.const_data_ptr<float>();
  const auto* rows = regions.const_data_ptr<float>();
  auto* values = output.mutable_data_ptr<float>();
  at::parallel_for(0, regions.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* image =
          cells + image_of(rows + 5 * r, map.size(0)) * map.size(1) * map.size(2) * channels;
      float* sums = values + r * bins * channels;
      const Samples samples(rows + 5 * r, options, map.size(1), map.size(2));
      samples.for_each([&](int64_t bin, const Tap& tap) {
        add_sample(sums + bin * channels, image, tap, channels);
      });
      const float count = samples.count();
      for (int64_t i = 0; i < bins * channels; ++i) sums[i] /= count;
    }
  });
  return output.view({regions.size(0), options.output[0], options.output[1], channels})
      .permute({0, 3, 1, 2})
      .contiguous();
}

/// Threads share channels, not regions: two regions may add to one cell.
torch::Tensor backward_of(const torch::Tensor& grad, const torch::Tensor& regions,
                          at::IntArrayRef sizes, const RoiAlignOptions& options) {
  const int64_t channels = sizes[1];
  const int64_t bins = options.output[0] * options.output[1];
  const auto from = grad.permute({0, 2, 3, 1}).contiguous();  // [R, h, w, C]
  auto map = torch::zeros({sizes[0], sizes[2], sizes[3], channels}, grad.options());
  const auto* rows = regions.const_data_ptr<float>();
  const auto* values = from.const_data_ptr<float>();
  auto* cells = map.mutable_data_ptr<float>();
  at::parallel_for(0, channels, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < regions.size(0); ++r) {
      float* image = cells + image_of(rows + 5 * r, sizes[0]) * sizes[2] * sizes[3] * channels;
      const Samples samples(rows + 5 * r, options, sizes[2], sizes[3]);
      const float count = samples.count();
      samples.for_each([&](int64_t bin, const Tap& tap) {
        const float* value = values + (r * bins + bin) * channels;
        for (size_t i = 0; i < 4; ++i) {
          float* to = image + tap.cell[i] * channels;
          const float weight = tap.weight[i] / count;
          for (int64_t c = begin; c < end; ++c) to[c] += weight * value[c];
        }
      });
    }
  });
  return map.permute({0, 3, 1, 2}).contiguous();
}

class RoiAlign : public torch::autograd::Function<RoiAlign> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& features, const torch::Tensor& regions,
                               const RoiAlignOptions& options) {
    context->save_for_backward({regions});
    context->saved_data["sizes"] = features.sizes().vec();
    context->saved_data["output"] =
        std::vector<int64_t>(options.output.begin(), options.output.end());
    context->saved_data["scale"] = options.scale;
    context->saved_data["samples"] = options.samples;
    return forward_of(features, regions, options);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto output = context->saved_data["output"].toIntVector();
    const RoiAlignOptions options{{output[0], output[1]},
                                  context->saved_data["scale"].toDouble(),
                                  context->saved_data["samples"].toInt()};
    const auto sizes = context->saved_data["sizes"].toIntVector();
    return {backward_of(grads[0], context->get_saved_variables()[0], sizes, options), {}, {}};
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
  return RoiAlign::apply(features.cpu(),
                         regions.detach().to(torch::kCPU, torch::kFloat).contiguous(), options)
      .to(features.device());
}

torch::Tensor level_of(const torch::Tensor& regions, int64_t levels) {
  const auto side = ((regions.select(1, 3) - regions.select(1, 1)) *
                     (regions.select(1, 4) - regions.select(1, 2)))
                        .sqrt();
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
    result =
        result.index_copy(0, here, roi_align(features[i], regions.index_select(0, here), options));
  }
  return result;
}

torch::Tensor mask_targets(const torch::Tensor& masks, const torch::Tensor& proposals,
                           const torch::Tensor& truth, int64_t side) {
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
