#include "ibot/metrics/run_length.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ibot/base/error.h"

namespace ibot::metrics {
namespace {

/// Appends runs, joining those of one value and leaving out empty ones.
class RunWriter {
 public:
  void add(bool value, int64_t length) {
    if (length == 0) return;
    if (value != value_) {
      counts_.push_back(0);
      value_ = value;
    }
    counts_.back() += static_cast<uint32_t>(length);
  }
  std::vector<uint32_t> take() { return std::move(counts_); }

 private:
  // The first run is of zeros, and may be empty.
  std::vector<uint32_t> counts_{0};
  bool value_ = false;
};

/// Walks two masks of one size in step: calls visit(value of a, value of b, length).
template <class Visit>
void walk_both(const RunLengthMask& a, const RunLengthMask& b, const Visit& visit) {
  size_t i = 0;
  size_t j = 0;
  int64_t left_a = 0;
  int64_t left_b = 0;
  // Turned to false by the first run, which is of zeros.
  bool value_a = true;
  bool value_b = true;
  for (int64_t left = a.height * a.width; left > 0;) {
    for (; left_a == 0; value_a = !value_a) left_a = a.counts[i++];
    for (; left_b == 0; value_b = !value_b) left_b = b.counts[j++];
    const int64_t length = std::min(left_a, left_b);
    visit(value_a, value_b, length);
    left_a -= length;
    left_b -= length;
    left -= length;
  }
}

void check_full(const RunLengthMask& mask) {
  const auto pixels = std::accumulate(mask.counts.begin(), mask.counts.end(), int64_t{0});
  IBOT_CHECK_AS(DataError, pixels == mask.height * mask.width, "run-length mask: expected runs of ",
                mask.height * mask.width, " pixels (", mask.height, " x ", mask.width, "), got ",
                pixels);
}

void check_same_size(const RunLengthMask& a, const RunLengthMask& b) {
  IBOT_CHECK(a.height == b.height && a.width == b.width,
             "run-length masks: expected one size, got ", a.height, " x ", a.width, " and ",
             b.height, " x ", b.width);
}

struct Point {
  int64_t x;
  int64_t y;
};

/// Polygons are drawn five times as fine as pixels, as pycocotools draws them.
constexpr int64_t kDetail = 5;

/// Appends the points of one edge in its own direction: one step along the longer axis a point. The
/// other coordinate is counted from the end with the smaller longer-axis coordinate, so that both
/// directions give the same points.
void add_edge(Point from, Point to, std::vector<Point>& outline) {
  const int64_t dx = std::abs(to.x - from.x);
  const int64_t dy = std::abs(to.y - from.y);
  const bool along_x = dx >= dy;
  const bool flipped = along_x ? from.x > to.x : from.y > to.y;
  if (flipped) std::swap(from, to);
  const int64_t steps = along_x ? dx : dy;
  const double slope = steps == 0 ? 0
                       : along_x  ? static_cast<double>(to.y - from.y) / static_cast<double>(dx)
                                  : static_cast<double>(to.x - from.x) / static_cast<double>(dy);
  for (int64_t step = 0; step <= steps; ++step) {
    const int64_t t = flipped ? steps - step : step;
    const auto at = [&](int64_t start) {
      // Truncated, not rounded, like the C code.
      return static_cast<int64_t>(static_cast<double>(start) + slope * static_cast<double>(t) +
                                  0.5);
    };
    outline.push_back(along_x ? Point{from.x + t, at(from.y)} : Point{at(from.x), from.y + t});
  }
}

/// From the fine grid to pixels, whose centers are whole numbers.
double to_pixels(int64_t detailed) { return (static_cast<double>(detailed) + 0.5) / kDetail - 0.5; }

/// Positions, down the columns, from which on the fill changes.
std::vector<int64_t> toggles_of(const std::vector<Point>& outline, int64_t height, int64_t width) {
  std::vector<int64_t> toggles;
  for (size_t i = 1; i < outline.size(); ++i) {
    const auto [x, y] = outline[i];
    const auto before = outline[i - 1];
    // The fill down a column changes only where the outline crosses from one column to the next.
    if (x == before.x) continue;
    const double column = to_pixels(x < before.x ? x : x - 1);
    // Of the fine columns only those through a pixel's center count.
    if (column != std::floor(column) || column < 0 || column > static_cast<double>(width - 1)) {
      continue;
    }
    const double row =
        std::ceil(std::clamp(to_pixels(std::min(y, before.y)), 0.0, static_cast<double>(height)));
    toggles.push_back(static_cast<int64_t>(column) * height + static_cast<int64_t>(row));
  }
  return toggles;
}

template <class Item, class Overlap>
torch::Tensor overlap_table(const std::vector<Item>& detections, const std::vector<Item>& truths,
                            const std::vector<bool>& crowd, const Overlap& overlap) {
  IBOT_CHECK(crowd.size() == truths.size(), "overlaps: expected a crowd flag a truth, got ",
             crowd.size(), " for ", truths.size());
  auto table =
      torch::zeros({static_cast<int64_t>(detections.size()), static_cast<int64_t>(truths.size())},
                   torch::kDouble);
  auto* value = table.template mutable_data_ptr<double>();
  for (size_t d = 0; d < detections.size(); ++d) {
    for (size_t g = 0; g < truths.size(); ++g) *value++ = overlap(d, g);
  }
  return table;
}

double overlap_of(const Box& detection, const Box& truth, bool crowd) {
  const auto shared = [&](size_t axis) {
    return std::min(detection[axis] + detection[axis + 2], truth[axis] + truth[axis + 2]) -
           std::max(detection[axis], truth[axis]);
  };
  const double width = shared(0);
  const double height = shared(1);
  if (width <= 0 || height <= 0) return 0;
  const double own = detection[2] * detection[3];
  const double intersection = width * height;
  return intersection / (crowd ? own : own + truth[2] * truth[3] - intersection);
}

}  // namespace

RunLengthMask encode_runs(const torch::Tensor& mask) {
  IBOT_CHECK(mask.dim() == 2, "run-length mask: expected [H, W], got ", mask.sizes());
  const auto columns = mask.ne(0).t().contiguous();
  const bool* pixel = columns.const_data_ptr<bool>();
  RunWriter runs;
  for (int64_t i = 0; i < columns.numel(); ++i) runs.add(pixel[i], 1);
  return {mask.size(0), mask.size(1), runs.take()};
}

torch::Tensor decode_runs(const RunLengthMask& mask) {
  check_full(mask);
  auto columns = torch::zeros({mask.width, mask.height}, torch::kByte);
  auto* pixel = columns.mutable_data_ptr<uint8_t>();
  for (size_t i = 0; i < mask.counts.size(); ++i) {
    if (i % 2 == 1) std::fill_n(pixel, mask.counts[i], uint8_t{1});
    pixel += mask.counts[i];
  }
  return columns.t().contiguous();
}

// Each count after the third as its difference to the one two before: signed, in groups of five
// bits from the low end, a sixth bit saying that more follow, as characters from '0' on.
std::string runs_to_text(const RunLengthMask& mask) {
  std::string text;
  for (size_t i = 0; i < mask.counts.size(); ++i) {
    int64_t rest = mask.counts[i];
    if (i > 2) rest -= mask.counts[i - 2];
    for (bool more = true; more;) {
      const int64_t group = rest & 0x1f;
      rest >>= 5;
      more = (group & 0x10) != 0 ? rest != -1 : rest != 0;
      text.push_back(static_cast<char>('0' + (group | (more ? 0x20 : 0))));
    }
  }
  return text;
}

RunLengthMask runs_from_text(std::string_view text, int64_t height, int64_t width) {
  RunLengthMask mask{height, width, {}};
  for (size_t at = 0; at < text.size();) {
    int64_t value = 0;
    int shift = 0;
    for (bool more = true; more; shift += 5) {
      IBOT_CHECK_AS(DataError, at < text.size() && shift < 40, "run-length text: cut off");
      const int64_t group = text[at++] - '0';
      IBOT_CHECK_AS(DataError, 0 <= group && group < 64, "run-length text: character ",
                    text[at - 1], " at ", at - 1, " is none of its alphabet");
      value |= (group & 0x1f) << shift;
      more = (group & 0x20) != 0;
      // Bit 4 of the last group is the sign.
      if (!more && (group & 0x10) != 0) value |= -(int64_t{1} << (shift + 5));
    }
    if (mask.counts.size() > 2) value += mask.counts[mask.counts.size() - 2];
    IBOT_CHECK_AS(DataError, 0 <= value && value <= height * width, "run-length text: a run of ",
                  value, " pixels in a mask of ", height, " x ", width);
    mask.counts.push_back(static_cast<uint32_t>(value));
  }
  check_full(mask);
  return mask;
}

int64_t area_of(const RunLengthMask& mask) {
  int64_t area = 0;
  for (size_t i = 1; i < mask.counts.size(); i += 2) area += mask.counts[i];
  return area;
}

Box box_of(const RunLengthMask& mask) {
  int64_t left = mask.width;
  int64_t top = mask.height;
  int64_t right = -1;
  int64_t bottom = -1;
  int64_t start = 0;
  for (size_t i = 0; i < mask.counts.size(); start += mask.counts[i++]) {
    if (i % 2 == 0 || mask.counts[i] == 0) continue;
    const int64_t last = start + mask.counts[i] - 1;
    // A run over the end of a column spans the full height.
    const bool one_column = start / mask.height == last / mask.height;
    left = std::min(left, start / mask.height);
    right = std::max(right, last / mask.height);
    top = std::min(top, one_column ? start % mask.height : 0);
    bottom = std::max(bottom, one_column ? last % mask.height : mask.height - 1);
  }
  if (right < 0) return {};
  return {static_cast<double>(left), static_cast<double>(top),
          static_cast<double>(right - left + 1), static_cast<double>(bottom - top + 1)};
}

RunLengthMask merge_runs(const std::vector<RunLengthMask>& masks, bool intersect) {
  if (masks.empty()) return {};
  for (const auto& mask : masks) check_full(mask);
  RunLengthMask merged = masks.front();
  for (size_t i = 1; i < masks.size(); ++i) {
    check_same_size(merged, masks[i]);
    RunWriter runs;
    walk_both(merged, masks[i], [&](bool a, bool b, int64_t length) {
      runs.add(intersect ? a && b : a || b, length);
    });
    merged.counts = runs.take();
  }
  return merged;
}

RunLengthMask runs_of_polygon(const std::vector<double>& outline, int64_t height, int64_t width) {
  IBOT_CHECK_AS(DataError, outline.size() % 2 == 0 && outline.size() >= 6,
                "polygon: expected x and y of three points or more, got ", outline.size(),
                " values");
  std::vector<Point> corners;
  for (size_t i = 0; i < outline.size(); i += 2) {
    corners.push_back({static_cast<int64_t>(kDetail * outline[i] + 0.5),
                       static_cast<int64_t>(kDetail * outline[i + 1] + 0.5)});
  }
  corners.push_back(corners.front());
  std::vector<Point> points;
  for (size_t i = 1; i < corners.size(); ++i) add_edge(corners[i - 1], corners[i], points);
  auto toggles = toggles_of(points, height, width);
  std::sort(toggles.begin(), toggles.end());
  // Ends the last run.
  toggles.push_back(height * width);
  RunWriter runs;
  int64_t position = 0;
  bool value = false;
  for (const int64_t toggle : toggles) {
    runs.add(value, toggle - position);
    position = toggle;
    value = !value;
  }
  return {height, width, runs.take()};
}

RunLengthMask runs_of_box(const Box& box, int64_t height, int64_t width) {
  const auto [x, y, w, h] = box;
  return runs_of_polygon({x, y, x, y + h, x + w, y + h, x + w, y}, height, width);
}

torch::Tensor overlaps(const std::vector<RunLengthMask>& detections,
                       const std::vector<RunLengthMask>& truths, const std::vector<bool>& crowd) {
  const auto boxes_of = [](const std::vector<RunLengthMask>& masks) {
    std::vector<Box> boxes;
    for (const auto& mask : masks) boxes.push_back(box_of(mask));
    return boxes;
  };
  const auto detection_boxes = boxes_of(detections);
  const auto truth_boxes = boxes_of(truths);
  return overlap_table(detections, truths, crowd, [&](size_t d, size_t g) {
    check_same_size(detections[d], truths[g]);
    // Masks whose boxes do not meet need no walk.
    if (overlap_of(detection_boxes[d], truth_boxes[g], false) == 0) return 0.0;
    int64_t both = 0;
    int64_t any = 0;
    walk_both(detections[d], truths[g], [&](bool a, bool b, int64_t length) {
      if (a && b) both += length;
      if (a || b) any += length;
    });
    if (both == 0) return 0.0;
    // Of a crowd any part may be found: the detection's own area is the measure.
    return static_cast<double>(both) / static_cast<double>(crowd[g] ? area_of(detections[d]) : any);
  });
}

torch::Tensor overlaps(const std::vector<Box>& detections, const std::vector<Box>& truths,
                       const std::vector<bool>& crowd) {
  return overlap_table(detections, truths, crowd, [&](size_t d, size_t g) {
    return overlap_of(detections[d], truths[g], crowd[g]);
  });
}

}  // namespace ibot::metrics
