#include "ibot/image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "ibot/base/error.h"
#include "image/simd.h"

namespace ibot::data {
namespace {

// Pillow's PRECISION_BITS: 32 bits hold 8-bit samples times weights, with a sign and overshoot.
constexpr int kFraction = 22;
// Memory that a thread may keep from image to image.
constexpr size_t kKeptBytes = size_t{64} << 20;

double support(Filter filter) {
  switch (filter) {
    case Filter::kBilinear:
      return 1.0;
    case Filter::kBicubic:
      return 2.0;
    case Filter::kLanczos:
      return 3.0;
  }
  return 0.0;
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  return std::sin(x * std::numbers::pi) / (x * std::numbers::pi);
}

double filter_weight(Filter filter, double x) {
  const double d = std::abs(x);
  if (d >= support(filter)) return 0.0;
  switch (filter) {
    case Filter::kBilinear:
      return 1.0 - d;
    case Filter::kBicubic: {
      // Keys' kernel, factored as in Pillow.
      constexpr double a = -0.5;
      if (d < 1.0) return ((a + 2.0) * d - (a + 3.0)) * d * d + 1;
      return (((d - 5) * d + 8) * d - 4) * a;
    }
    case Filter::kLanczos:
      return sinc(x) * sinc(x / 3);
  }
  return 0.0;
}

/// Of `in` positions the first `covered` ones are resized to `out`; 0: all.
struct Side {
  int64_t in = 0;
  int64_t out = 0;
  double covered = 0.0;

  double scale() const {
    return (covered > 0.0 ? covered : static_cast<double>(in)) / static_cast<double>(out);
  }
};

/// Taps of output positions begin, …, begin + count - 1.
/// Tap k of position i reads input first[i] + k with weight weights[offset[i] + k].
struct TapTable {
  TapTable(Filter filter, const Side& side, int64_t begin, int64_t count) {
    const auto in = side.in;
    const double scale = side.scale();
    // Downsampling widens the kernel by the scale (antialiasing); upsampling does not.
    const double stretch = std::max(scale, 1.0);
    const double reach = support(filter) * stretch;
    std::vector<double> exact;
    for (int64_t i = begin; i < begin + count; ++i) {
      const double center = (static_cast<double>(i) + 0.5) * scale;
      // Truncated after adding a half, as Pillow's C code does.
      const auto low = std::max<int64_t>(static_cast<int64_t>(center - reach + 0.5), 0);
      const auto high = std::min<int64_t>(static_cast<int64_t>(center + reach + 0.5), in);
      first.push_back(low);
      offset.push_back(static_cast<int64_t>(weights.size()));
      exact.clear();
      double sum = 0.0;
      for (int64_t tap = low; tap < high; ++tap) {
        const double position = static_cast<double>(tap) - center + 0.5;
        exact.push_back(filter_weight(filter, position * (1.0 / stretch)));
        sum += exact.back();
      }
      for (const double weight : exact) {
        const double share = sum != 0.0 ? weight / sum : weight;
        // Fixed point, as in Pillow: the same pixels on every machine.
        weights.push_back(static_cast<int32_t>(std::round(share * (1 << kFraction))));
      }
    }
    offset.push_back(static_cast<int64_t>(weights.size()));
  }

  int64_t count(int64_t i) const { return offset[i + 1] - offset[i]; }
  const int32_t* at(int64_t i) const { return weights.data() + offset[i]; }

  std::vector<int64_t> first;
  std::vector<int64_t> offset;
  std::vector<int32_t> weights;
};

/// Lines of equal length in memory, `stride` bytes apart.
struct Lines {
  const uint8_t* data;
  int64_t stride;
};

/// out[x] = sum over k of weights[k] * line[k][x] in 22-bit fixed point, for x below `length`
/// rounded up to whole blocks. One tap updates a whole block, which stays in vector registers.
IBOT_SIMD void weighted_sum(Lines lines, const int32_t* weights, int64_t taps, int64_t length,
                            uint8_t* __restrict out) {
  for (int64_t x = 0; x < length; x += kBlock) {
    int32_t sum[kBlock];
    // Half a level: the shift then rounds.
    for (int64_t i = 0; i < kBlock; ++i) sum[i] = 1 << (kFraction - 1);
    const uint8_t* line = lines.data + x;
    for (int64_t k = 0; k < taps; ++k, line += lines.stride) {
      for (int64_t i = 0; i < kBlock; ++i) sum[i] += line[i] * weights[k];
    }
    for (int64_t i = 0; i < kBlock; ++i) {
      out[x + i] = static_cast<uint8_t>(std::clamp(sum[i] >> kFraction, 0, 255));
    }
  }
}

/// Transposes `rows` lines of `columns` pixels, `step` bytes apart, to `columns` lines of `rows`
/// bytes: [rows, columns] → [columns, rows].
IBOT_SIMD void transpose(Lines in, int64_t step, int64_t rows, int64_t columns, uint8_t* out,
                         int64_t out_stride) {
  // Few enough rows that their cache lines stay cached until all of their pixels are used.
  constexpr int64_t kTile = 16;
  for (int64_t top = 0; top < rows; top += kTile) {
    const int64_t height = std::min(kTile, rows - top);
    for (int64_t x = 0; x < columns; ++x) {
      const uint8_t* source = in.data + top * in.stride + step * x;
      uint8_t* target = out + x * out_stride + top;
      for (int64_t y = 0; y < height; ++y) target[y] = source[y * in.stride];
    }
  }
}

/// 8-bit lines whose memory is reused from crop to crop.
struct LineBuffer {
  void resize(int64_t count, int64_t length) {
    stride = padded(length);
    data.resize(count * stride);
  }
  uint8_t* line(int64_t i) { return data.data() + i * stride; }
  Lines from(int64_t i) const { return {data.data() + i * stride, stride}; }

  int64_t stride = 0;
  std::vector<uint8_t> data;
};

void check_plan(const ColumnPlanes& image, const ResizePlan& plan, CropView out) {
  const Box& box = plan.box;
  IBOT_CHECK(box.height > 0 && box.width > 0 && box.top >= 0 && box.left >= 0 &&
                 box.top + box.height <= image.height() && box.left + box.width <= image.width(),
             "resized_crop: expected a box within ", image.height(), " x ", image.width(),
             " pixels, got ", box.height, " x ", box.width, " at ", box.top, ", ", box.left);
  IBOT_CHECK(plan.top >= 0 && plan.left >= 0 && plan.top + out.height <= plan.height &&
                 plan.left + out.width <= plan.width,
             "resized_crop: expected a crop within ", plan.height, " x ", plan.width,
             " pixels, got ", out.height, " x ", out.width, " at ", plan.top, ", ", plan.left);
}

}  // namespace

void ColumnPlanes::assign(const Image& image) {
  height_ = image.height();
  width_ = image.width();
  stride_ = padded(height_);
  // weighted_sum reads whole blocks from any row on, up to one block beyond the last line.
  const auto needed = static_cast<size_t>(3 * width_ * stride_ + kBlock);
  // One huge image must not keep its memory in every thread for the rest of the run.
  if (data_.capacity() > std::max(kKeptBytes, 4 * needed)) std::vector<uint8_t>().swap(data_);
  data_.resize(needed);
  for (int64_t channel = 0; channel < 3; ++channel) {
    const Lines pixels{image.row(0) + channel, 3 * width_};
    transpose(pixels, 3, height_, width_, data_.data() + channel * width_ * stride_, stride_);
  }
}

void resized_crop(const ColumnPlanes& image, const ResizePlan& plan, CropView out) {
  check_plan(image, plan, out);
  // Horizontally first, and rounded to 8 bits in between, as Pillow does.
  const TapTable across(plan.filter, {plan.box.width, plan.width, plan.covered_width}, plan.left,
                        out.width);
  const TapTable down(plan.filter, {plan.box.height, plan.height, plan.covered_height}, plan.top,
                      out.height);
  // Only the rows that the vertical pass reads are resized horizontally.
  const int64_t top = down.first.front();
  const int64_t rows = down.first.back() + down.count(out.height - 1) - top;
  thread_local LineBuffer columns, lines, result;
  columns.resize(out.width, rows);
  lines.resize(rows, out.width);
  result.resize(1, out.width);
  for (int64_t channel = 0; channel < 3; ++channel) {
    for (int64_t x = 0; x < out.width; ++x) {
      const Lines source{
          image.column(channel, plan.box.left + across.first[x]) + plan.box.top + top,
          image.stride()};
      weighted_sum(source, across.at(x), across.count(x), rows,
                   // The flip costs nothing: columns are written in the other order.
                   columns.line(plan.flip ? out.width - 1 - x : x));
    }
    // [width, rows] → [rows, width]
    transpose(columns.from(0), 1, out.width, rows, lines.line(0), lines.stride);
    for (int64_t y = 0; y < out.height; ++y) {
      weighted_sum(lines.from(down.first[y] - top), down.at(y), down.count(y), out.width,
                   result.line(0));
      std::memcpy(out.plane(channel) + y * out.width, result.line(0), out.width);
    }
  }
}

}  // namespace ibot::data
