#include "ibot/kernels/regions.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ibot/base/error.h"
#include "kernels/box_columns.h"
#include "kernels/cuda/functions.h"
#include "kernels/kernels.h"
#include "kernels/region_arithmetic.h"

namespace ibot::kernels {
namespace {

/// The samples of one axis of one region, bin by bin.
struct Axis {
  std::vector<std::vector<Between>> bins;
  int64_t samples = 0;

  Axis(float low, float high, int64_t count, int64_t fixed, int64_t size) {
    const float bin = (high - low) / static_cast<float>(count);
    // As many samples as a bin has cells, rounded up; none for a region without a side.
    samples = fixed > 0 ? fixed : static_cast<int64_t>(std::ceil(bin));
    bins.resize(count);
    for (int64_t b = 0; b < count; ++b) {
      for (int64_t k = 0; k < samples; ++k) {
        bins[b].push_back(between(sample_at(low, bin, b, k, samples), size));
      }
    }
  }
};

/// The samples of one region.
class Samples {
 public:
  Samples(const float* region, const RegionOptions& options, int64_t height, int64_t width)
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
            if (v.inside && u.inside) visit(bin, tap_of(v, u, width_));
          }
        }
        ++bin;
      }
    }
  }

 private:
  static float edge(float corner, const RegionOptions& options) {
    return cell_of(corner, static_cast<float>(options.scale));
  }

  int64_t width_;
  Axis x_;
  Axis y_;
};

/// Adds a sample of all channels, in the order of additions of the reference's kernel: training
/// hangs on the sign of sums near 0.
void add_sample(float* to, const float* image, const Tap& tap, int64_t channels) {
  const float* a = image + tap.cell[0] * channels;
  const float* b = image + tap.cell[1] * channels;
  const float* c = image + tap.cell[2] * channels;
  const float* d = image + tap.cell[3] * channels;
  for (int64_t i = 0; i < channels; ++i) to[i] += weighted(tap, a[i], b[i], c[i], d[i]);
}

/// Offsets of an image's cells in channels-last maps. Channels lie side by side there, so that the
/// inner loops run over them.
int64_t image_of(const float* region, int64_t images) {
  const auto image = static_cast<int64_t>(region[0]);
  IBOT_CHECK(0 <= image && image < images, "roi_align: expected images below ", images, ", got ",
             image);
  return image;
}

torch::Tensor align_here(const torch::Tensor& features, const torch::Tensor& regions,
                         const RegionOptions& options) {
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
torch::Tensor align_backward_here(const torch::Tensor& grad, const torch::Tensor& regions,
                                  at::IntArrayRef sizes, const RegionOptions& options) {
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

// Elsewhere than on a CPU there and back.
torch::Tensor align_on_cpu(const torch::Tensor& features, const torch::Tensor& regions,
                           const RegionOptions& options) {
  return align_here(features.cpu(), regions.cpu().contiguous(), options).to(features.device());
}

torch::Tensor align_backward_on_cpu(const torch::Tensor& gradient, const torch::Tensor& regions,
                                    at::IntArrayRef sizes, const RegionOptions& options) {
  return align_backward_here(gradient.cpu(), regions.cpu().contiguous(), sizes, options)
      .to(gradient.device());
}

/// Of the boxes after box `i` those remain that overlap it no more than the limit.
void thin_out(const BoxArrays& given, int64_t i, int64_t count, float limit, uint8_t* remains) {
  const BoxArrays boxes = given;
  for (int64_t j = i + 1; j < count; ++j) {
    // Not (overlap > limit), so that the overlap of two empty boxes, 0 / 0, removes none.
    remains[j] &= static_cast<uint8_t>(!(boxes.overlap(i, j) > limit));
  }
}

torch::Tensor remaining_on_cpu(const torch::Tensor& boxes, double threshold) {
  const BoxColumns all(boxes);
  const auto limit = static_cast<float>(threshold);
  auto kept = torch::ones({all.count()}, torch::kByte);
  auto* remains = kept.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < all.count(); ++i) {
    if (remains[i] != 0) thin_out(all.arrays(), i, all.count(), limit, remains);
  }
  return kept.to(torch::kBool).to(boxes.device());
}

Kernel<decltype(align_regions)>& align_kernel() {
  static Kernel<decltype(align_regions)> kernel("align_regions", align_on_cpu,
                                                {{torch::kCUDA, cuda::align_regions}});
  return kernel;
}

Kernel<decltype(align_regions_backward)>& align_backward_kernel() {
  static Kernel<decltype(align_regions_backward)> kernel(
      "align_regions_backward", align_backward_on_cpu,
      {{torch::kCUDA, cuda::align_regions_backward}});
  return kernel;
}

Kernel<decltype(remaining_boxes)>& remaining_kernel() {
  static Kernel<decltype(remaining_boxes)> kernel("remaining_boxes", remaining_on_cpu,
                                                  {{torch::kCUDA, cuda::remaining_boxes}});
  return kernel;
}

constexpr int64_t kDrawnImages = 2, kDrawnHeight = 25, kDrawnWidth = 42;

/// Corners of `count` boxes, some beyond a map of the drawn size.
torch::Tensor drawn_boxes(Draw& draw, int64_t count) {
  const auto corners = draw.floats({count, 2}) * 8 + 20;
  return torch::cat({corners, corners + draw.floats({count, 2}).abs() * 8 + 1}, 1);
}

torch::Tensor drawn_regions(Draw& draw, int64_t count) {
  const auto boxes = drawn_boxes(draw, count);
  const auto image = (torch::arange(count, boxes.options()) * kDrawnImages / count).floor();
  return torch::cat({image.unsqueeze(1), boxes}, 1);
}

}  // namespace

torch::Tensor align_regions(const torch::Tensor& features, const torch::Tensor& regions,
                            const RegionOptions& options) {
  return align_kernel().on(features.device())(features, regions, options);
}

torch::Tensor align_regions_backward(const torch::Tensor& gradient, const torch::Tensor& regions,
                                     at::IntArrayRef sizes, const RegionOptions& options) {
  return align_backward_kernel().on(gradient.device())(gradient, regions, sizes, options);
}

torch::Tensor remaining_boxes(const torch::Tensor& boxes, double threshold) {
  return remaining_kernel().on(boxes.device())(boxes, threshold);
}

TableRow align_regions_row() {
  return {
      align_kernel(),
      {torch::kFloat},
      [](const Trial& trial) -> Subject {
        Draw draw(trial);
        const auto features = draw.floats({kDrawnImages, trial.width, kDrawnHeight, kDrawnWidth});
        const auto regions = drawn_regions(draw, trial.rows);
        return {
            [=]() -> std::vector<torch::Tensor> { return {align_regions(features, regions, {})}; }};
      },
      512,
      256};
}

TableRow align_regions_backward_row() {
  return {align_backward_kernel(),
          {torch::kFloat},
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto gradient = draw.floats({trial.rows, trial.width, 7, 7});
            const auto regions = drawn_regions(draw, trial.rows);
            const std::vector<int64_t> sizes{kDrawnImages, trial.width, kDrawnHeight, kDrawnWidth};
            return {[=]() -> std::vector<torch::Tensor> {
              return {align_regions_backward(gradient, regions, sizes, {})};
            }};
          },
          512,
          256};
}

TableRow remaining_boxes_row() {
  return {remaining_kernel(),
          {torch::kFloat},
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto boxes = drawn_boxes(draw, trial.rows);
            return {[=]() -> std::vector<torch::Tensor> { return {remaining_boxes(boxes, 0.5)}; }};
          },
          512,
          1};
}

}  // namespace ibot::kernels
