#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <set>

#include "ibot/mask/patch_mask.h"
#include "support/golden.h"

namespace ibot::mask {
namespace {

using testing::ReadJson;

// Three times the reference's own number, so that most of a difference is its sampling error.
constexpr int64_t kSamples = 60000;

MaskOptions options_of(const ReadJson& config) {
  const auto list = [](const ReadJson& value) {
    return value.is_array() ? value.get<std::vector<double>>() : std::vector<double>{value};
  };
  MaskOptions options;
  EXPECT_TRUE(parse_enum(config["pred_shape"].get<std::string>(), options.shape));
  options.ratio = list(config["pred_ratio"]);
  options.ratio_var = list(config["pred_ratio_var"]);
  options.start_epoch = config["pred_start_epoch"];
  testing::expect_built_in(config["pred_aspect_ratio"], std::vector{0.3, 1 / 0.3});
  options.validate();
  return options;
}

/// Shape of the masked region of one mask.
struct Region {
  int64_t components = 0, height = 0, width = 0, boundary = 0, count = 0;
  double fill() const { return static_cast<double>(count) / static_cast<double>(height * width); }
};

Region measure(const bool* mask, PatchGrid grid) {
  Region region;
  std::vector<char> seen(grid.size(), 0);
  int64_t top = grid.rows, bottom = -1, left = grid.columns, right = -1;
  const auto masked = [&](int64_t row, int64_t column) {
    return row >= 0 && row < grid.rows && column >= 0 && column < grid.columns &&
           mask[row * grid.columns + column];
  };
  const std::function<void(int64_t, int64_t)> flood = [&](int64_t row, int64_t column) {
    if (!masked(row, column) || seen[row * grid.columns + column]) return;
    seen[row * grid.columns + column] = 1;
    for (const auto& [dr, dc] : {std::pair{1, 0}, {-1, 0}, {0, 1}, {0, -1}}) {
      flood(row + dr, column + dc);
      // Between a masked patch and an unmasked one; the border of the image does not count.
      const bool inside =
          row + dr >= 0 && row + dr < grid.rows && column + dc >= 0 && column + dc < grid.columns;
      region.boundary += inside && !masked(row + dr, column + dc);
    }
  };
  for (int64_t row = 0; row < grid.rows; ++row) {
    for (int64_t column = 0; column < grid.columns; ++column) {
      if (!masked(row, column)) continue;
      ++region.count;
      top = std::min(top, row);
      bottom = std::max(bottom, row);
      left = std::min(left, column);
      right = std::max(right, column);
      if (!seen[row * grid.columns + column]) {
        ++region.components;
        flood(row, column);
      }
    }
  }
  region.height = bottom - top + 1;
  region.width = right - left + 1;
  return region;
}

/// Statistics of many masks, as the case file has them.
struct Statistics {
  int64_t samples = 0, empty = 0, asked_for_none = 0;
  double ratio = 0, asked = 0;
  std::vector<double> heat;
  std::vector<double> ratios;
  double components = 0, height = 0, width = 0, fill = 0, boundary = 0;
};

Statistics draw(const MaskOptions& options, PatchGrid grid, int64_t epoch, int64_t samples) {
  Statistics statistics;
  statistics.samples = samples;
  statistics.heat.assign(grid.size(), 0.0);
  for (int64_t sample = 0; sample < samples; ++sample) {
    Rng rng(11, static_cast<uint64_t>(epoch), static_cast<uint64_t>(sample), kMask);
    const double ratio = sample_ratio(options, epoch, rng);
    const auto mask = sample_mask(options.shape, ratio, grid, rng);
    statistics.asked += ratio;
    statistics.asked_for_none += ratio == 0;
    const bool* cells = mask.data_ptr<bool>();
    for (int64_t i = 0; i < grid.size(); ++i) statistics.heat[i] += cells[i];
    const auto region = measure(cells, grid);
    const double target = ratio * static_cast<double>(grid.size());
    EXPECT_LE(static_cast<double>(region.count), target + 1e-9);
    if (options.shape == MaskShape::kRandom) {
      EXPECT_EQ(region.count, static_cast<int64_t>(target));
    }
    statistics.ratios.push_back(static_cast<double>(region.count) /
                                static_cast<double>(grid.size()));
    statistics.ratio += statistics.ratios.back();
    if (region.count == 0) {
      ++statistics.empty;
      continue;
    }
    statistics.components += static_cast<double>(region.components);
    statistics.height += static_cast<double>(region.height);
    statistics.width += static_cast<double>(region.width);
    statistics.fill += region.fill();
    statistics.boundary += static_cast<double>(region.boundary) / static_cast<double>(region.count);
  }
  std::sort(statistics.ratios.begin(), statistics.ratios.end());
  return statistics;
}

void compare(const Statistics& drawn, const ReadJson& json, PatchGrid grid) {
  const auto samples = static_cast<double>(drawn.samples);
  EXPECT_NEAR(static_cast<double>(drawn.empty) / samples, json["p_empty"], 0.02);
  EXPECT_NEAR(drawn.ratio / samples, json["mean_ratio"], 0.008);
  const auto asked = json["requested_ratio"];
  EXPECT_NEAR(static_cast<double>(drawn.asked_for_none) / samples, asked["p_zero"], 0.02);
  EXPECT_NEAR(drawn.asked / samples, asked["mean"], 0.008);
  for (int64_t row = 0; row < grid.rows; ++row) {
    for (int64_t column = 0; column < grid.columns; ++column) {
      EXPECT_NEAR(drawn.heat[row * grid.columns + column] / samples,
                  json["heatmap_mean_per_cell"][row][column], 0.02)
          << row << ", " << column;
    }
  }
  const auto masked = samples - static_cast<double>(drawn.empty);
  if (masked == 0) return;
  EXPECT_NEAR(drawn.ratio / masked, json["mean_ratio_nonempty"], 0.008);
  const auto expect_mean = [&](double sum, const char* name) {
    const double expected = json[name]["mean"];
    EXPECT_NEAR(sum / masked, expected, 0.04 * expected) << name;
  };
  expect_mean(drawn.components, "components_4conn");
  expect_mean(drawn.height, "bbox_height");
  expect_mean(drawn.width, "bbox_width");
  expect_mean(drawn.fill, "bbox_fill");
  expect_mean(drawn.boundary, "boundary_per_masked_patch");
  // The distribution function of the count, which unlike its quantiles is steady where two modes
  // meet.
  const auto histogram = json["count_histogram_all"].get<std::vector<double>>();
  const double total = std::accumulate(histogram.begin(), histogram.end(), 0.0);
  double ours = 0, theirs = 0, distance = 0;
  size_t next = 0;
  for (size_t count = 0; count < histogram.size(); ++count) {
    const double limit = (static_cast<double>(count) + 0.5) / static_cast<double>(grid.size());
    while (next < drawn.ratios.size() && drawn.ratios[next] < limit) ++next;
    ours = static_cast<double>(next) / samples;
    theirs += histogram[count] / total;
    distance = std::max(distance, std::abs(ours - theirs));
  }
  // Kolmogorov-Smirnov distance of two samples that agree, exceeded once in a thousand.
  const double reference_samples = json["samples"];
  EXPECT_LT(distance, 1.95 * std::sqrt(1.0 / samples + 1.0 / reference_samples));
}

TEST(PatchMaskGolden, StatisticsMatchTheReference) {
  for (const auto& golden : testing::golden_cases("07_masking")) {
    if (!golden.json.contains("config")) continue;  // the algorithm in words
    SCOPED_TRACE(golden.name);
    const auto config = golden.json["config"];
    const PatchGrid grid{config["H"], config["W"]};
    const int64_t epoch = config["epoch"].is_null() ? 1 << 20 : config["epoch"].get<int64_t>();
    compare(draw(options_of(config), grid, epoch, kSamples), golden.json, grid);
    std::set<std::string> spread{"suggested_checks", "samples", "count_histogram_all"};
    // Of every number the mean is compared, and of the count the whole distribution.
    spread.insert({"std_ratio", "ratio_quantiles_all", "ratio_quantiles_nonempty",
                   "requested_ratio/quantiles", "requested_minus_masked_patches"});
    for (const std::string name : {"components_4conn", "bbox_height", "bbox_width", "bbox_fill",
                                   "boundary_per_masked_patch"}) {
      spread.insert({name + "/quantiles", name + "/histogram"});
    }
    golden.json.expect_all_read(spread);
  }
}

}  // namespace
}  // namespace ibot::mask
