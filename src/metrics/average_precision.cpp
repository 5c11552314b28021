#include "ibot/metrics/average_precision.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "ibot/base/error.h"

namespace ibot::metrics {
namespace {

/// Recall 0, 0.01, … 1, as COCO's evaluation samples a curve.
constexpr size_t kRecalls = 101;

/// `count` values from first to last, as NumPy's linspace computes them.
template <size_t count>
std::array<double, count> spaced(double first, double last) {
  std::array<double, count> values;
  const double step = (last - first) / static_cast<double>(count - 1);
  // In NumPy's order of operations: overlaps are compared with these values.
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<double>(i) * step + first;
  values.back() = last;
  return values;
}

const std::array<double, kRecalls>& recall_points() {
  static const auto points = spaced<kRecalls>(0, 1);
  return points;
}

/// Numbers of the objects of one image and category.
struct Cell {
  std::vector<int64_t> truths;
  std::vector<int64_t> detections;
};

/// A cell of every image, in their ascending order.
using Column = std::vector<Cell>;

std::vector<int64_t> ascending(std::vector<int64_t> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::unordered_map<int64_t, size_t> places_of(const std::vector<int64_t>& ids) {
  std::unordered_map<int64_t, size_t> places;
  for (const int64_t id : ids) places.emplace(id, places.size());
  return places;
}

/// Distributes objects to cells: a column a category, or one column in which a cell has its objects
/// category by category.
class Columns {
 public:
  Columns(const std::vector<int64_t>& images, const std::vector<int64_t>& categories,
          bool by_category)
      : images_(places_of(images)),
        categories_(places_of(categories)),
        columns_(categories.size(), Column(images.size())),
        by_category_(by_category) {}

  template <class Object>
  void add(const std::vector<Object>& objects, std::vector<int64_t> Cell::*list) {
    for (size_t i = 0; i < objects.size(); ++i) {
      const auto image = images_.find(objects[i].image);
      const auto category = categories_.find(objects[i].category);
      if (image == images_.end() || category == categories_.end()) continue;
      (columns_[category->second][image->second].*list).push_back(static_cast<int64_t>(i));
    }
  }

  std::vector<Column> take() {
    if (!by_category_) {
      for (size_t category = 1; category < columns_.size(); ++category) append(category);
      columns_.resize(std::min<size_t>(columns_.size(), 1));
    }
    return std::move(columns_);
  }

 private:
  void append(size_t category) {
    const auto extend = [](std::vector<int64_t>& to, const std::vector<int64_t>& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    for (size_t image = 0; image < columns_.front().size(); ++image) {
      extend(columns_.front()[image].truths, columns_[category][image].truths);
      extend(columns_.front()[image].detections, columns_[category][image].detections);
    }
  }

  std::unordered_map<int64_t, size_t> images_;
  std::unordered_map<int64_t, size_t> categories_;
  std::vector<Column> columns_;
  bool by_category_;
};

/// What one image adds at one range of areas.
struct Judged {
  std::vector<Matches> at;  // each threshold
  int64_t to_find = 0;
};

/// One image's objects of one category, detections by descending score.
struct Scene {
  torch::Tensor overlap;
  std::vector<double> scores;
  std::vector<double> detection_areas;
  std::vector<double> truth_areas;
  std::vector<bool> crowd;
  std::vector<Judged> of_range;
};

class Judge {
 public:
  Judge(const std::vector<Truth>& truths, const std::vector<Detection>& detections,
        const AveragePrecisionOptions& options)
      : truths_(truths), detections_(detections), options_(options) {}

  Scene scene(Cell cell) const {
    const auto before = [&](int64_t a, int64_t b) {
      return detections_[a].score > detections_[b].score;
    };
    // Stable, as pycocotools: of equal scores the earlier in the file comes first.
    std::stable_sort(cell.detections.begin(), cell.detections.end(), before);
    // Judged once with the largest limit; smaller ones take the first of these.
    const auto most = static_cast<size_t>(options_.limits.back());
    if (cell.detections.size() > most) cell.detections.resize(most);
    Scene scene;
    for (const int64_t i : cell.truths) {
      scene.truth_areas.push_back(truths_[i].area);
      scene.crowd.push_back(truths_[i].crowd);
    }
    for (const int64_t i : cell.detections) {
      scene.scores.push_back(detections_[i].score);
      scene.detection_areas.push_back(detections_[i].area);
    }
    scene.overlap = options_.shape == Shape::kBox ? overlap_of<Box>(cell, scene.crowd)
                                                  : overlap_of<RunLengthMask>(cell, scene.crowd);
    for (const auto& range : area_ranges()) scene.of_range.push_back(judged(scene, range));
    return scene;
  }

 private:
  template <class Outline>
  torch::Tensor overlap_of(const Cell& cell, const std::vector<bool>& crowd) const {
    std::vector<Outline> found;
    std::vector<Outline> truth;
    for (const int64_t i : cell.detections) found.push_back(outline<Outline>(detections_[i]));
    for (const int64_t i : cell.truths) truth.push_back(outline<Outline>(truths_[i]));
    return overlaps(found, truth, crowd);
  }

  template <class Outline, class Object>
  static const Outline& outline(const Object& object) {
    if constexpr (std::is_same_v<Outline, Box>) {
      return object.box;
    } else {
      return object.mask;
    }
  }

  static Judged judged(const Scene& scene, const AreaRange& range) {
    Judged judged;
    for (size_t i = 0; i < scene.truth_areas.size(); ++i) {
      const double area = scene.truth_areas[i];
      // Both ends of a range belong to it: an area of 1024 is small and medium.
      judged.to_find += !scene.crowd[i] && area >= range.low && area <= range.high;
    }
    for (const double threshold : overlap_thresholds()) {
      judged.at.push_back(match(scene.overlap, scene.detection_areas, scene.truth_areas,
                                scene.crowd, range, threshold));
    }
    return judged;
  }

  const std::vector<Truth>& truths_;
  const std::vector<Detection>& detections_;
  const AveragePrecisionOptions& options_;
};

/// Precision at every recall point, and the final recall.
struct Curve {
  std::array<double, kRecalls> precision{};
  double recall = 0;
};

/// One detection's place among all of its category.
struct Place {
  size_t scene;
  size_t detection;
};

/// Detections of all images, at most `limit` an image, by descending score.
std::vector<Place> ranking(const std::vector<Scene>& scenes, int64_t limit) {
  std::vector<Place> places;
  for (size_t scene = 0; scene < scenes.size(); ++scene) {
    const auto count = std::min(scenes[scene].scores.size(), static_cast<size_t>(limit));
    for (size_t i = 0; i < count; ++i) places.push_back({scene, i});
  }
  const auto score = [&](const Place& place) {
    return scenes[place.scene].scores[place.detection];
  };
  std::stable_sort(places.begin(), places.end(),
                   [&](const auto& a, const auto& b) { return score(a) > score(b); });
  return places;
}

Curve curve(const std::vector<Scene>& scenes, const std::vector<Place>& places, size_t range,
            size_t threshold, int64_t to_find) {
  std::vector<double> recall;
  std::vector<double> precision;
  double right = 0;
  double wrong = 0;
  for (const auto& place : places) {
    const auto& matches = scenes[place.scene].of_range[range].at[threshold];
    // Ignored detections change neither count but keep a point of the curve, as in pycocotools.
    if (!matches.ignored[place.detection]) {
      (matches.truth[place.detection] ? right : wrong) += 1;
    }
    recall.push_back(right / static_cast<double>(to_find));
    // The epsilon of pycocotools (np.spacing(1)).
    precision.push_back(right / (right + wrong + std::numeric_limits<double>::epsilon()));
  }
  // The precision at a recall is the best at that recall or beyond.
  for (size_t i = precision.size(); i-- > 1;) {
    precision[i - 1] = std::max(precision[i - 1], precision[i]);
  }
  Curve curve{.recall = recall.empty() ? 0 : recall.back()};
  for (size_t r = 0; r < kRecalls; ++r) {
    // Recall points beyond the final recall have precision 0.
    const auto at = std::lower_bound(recall.begin(), recall.end(), recall_points()[r]);
    if (at != recall.end()) curve.precision[r] = precision[at - recall.begin()];
  }
  return curve;
}

void accumulate(const std::vector<Scene>& scenes, int64_t column, AveragePrecision& result) {
  auto precision = result.precision.accessor<double, 5>();
  auto recall = result.recall.accessor<double, 4>();
  for (size_t limit = 0; limit < result.limits.size(); ++limit) {
    const auto places = ranking(scenes, result.limits[limit]);
    for (size_t range = 0; range < area_ranges().size(); ++range) {
      int64_t to_find = 0;
      for (const auto& scene : scenes) to_find += scene.of_range[range].to_find;
      // Stays -1: left out of means.
      if (to_find == 0) continue;
      for (size_t t = 0; t < overlap_thresholds().size(); ++t) {
        const auto found = curve(scenes, places, range, t, to_find);
        recall[t][column][range][limit] = found.recall;
        for (size_t r = 0; r < kRecalls; ++r) {
          precision[t][r][column][range][limit] = found.precision[r];
        }
      }
    }
  }
}

/// Of the values that are defined; -1 where none is.
double mean_of(const torch::Tensor& values) {
  const auto defined = values.masked_select(values.gt(-1));
  return defined.numel() > 0 ? defined.mean().item<double>() : -1;
}

}  // namespace

const std::array<AreaRange, 4>& area_ranges() {
  static const std::array<AreaRange, 4> ranges{{{"all", 0, 1e10},
                                                {"small", 0, 32.0 * 32},
                                                {"medium", 32.0 * 32, 96.0 * 96},
                                                {"large", 96.0 * 96, 1e10}}};
  return ranges;
}

const std::array<double, 10>& overlap_thresholds() {
  static const auto thresholds = spaced<10>(0.5, 0.95);
  return thresholds;
}

Matches match(const torch::Tensor& overlap, const std::vector<double>& detection_areas,
              const std::vector<double>& truth_areas, const std::vector<bool>& crowd,
              const AreaRange& range, double threshold) {
  const auto outside = [&](double area) { return area < range.low || area > range.high; };
  const auto is_ignored = [&](int64_t truth) {
    return crowd[truth] || outside(truth_areas[truth]);
  };
  const auto table = overlap.accessor<double, 2>();
  std::vector<int64_t> order(truth_areas.size());
  std::iota(order.begin(), order.end(), 0);
  // Objects that count come before ignored ones.
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return !is_ignored(a) && is_ignored(b); });
  std::vector<bool> taken(truth_areas.size());
  Matches matches;
  for (size_t d = 0; d < detection_areas.size(); ++d) {
    // As pycocotools: a perfect overlap passes a threshold of 1.
    double best = std::min(threshold, 1 - 1e-10);
    std::optional<int64_t> match;
    for (const int64_t truth : order) {
      if (taken[truth] && !crowd[truth]) continue;
      // A match that counts is not given up for an ignored object.
      if (match && !is_ignored(*match) && is_ignored(truth)) break;
      // Of equal overlaps the later object wins.
      if (table[static_cast<int64_t>(d)][truth] < best) continue;
      best = table[static_cast<int64_t>(d)][truth];
      match = truth;
    }
    if (match) taken[*match] = true;
    matches.truth.push_back(match);
    // A detection of no object is ignored where its own area is out of range.
    matches.ignored.push_back(match ? is_ignored(*match) : outside(detection_areas[d]));
  }
  return matches;
}

AveragePrecision average_precision(const std::vector<Truth>& truths,
                                   const std::vector<Detection>& detections,
                                   const std::vector<int64_t>& images,
                                   const std::vector<int64_t>& categories,
                                   const AveragePrecisionOptions& options) {
  IBOT_CHECK(!options.limits.empty() && options.limits.front() > 0 &&
                 std::is_sorted(options.limits.begin(), options.limits.end()),
             "average precision: expected ascending limits above 0");
  const auto known = ascending(categories);
  Columns columns(ascending(images), known, options.by_category);
  columns.add(truths, &Cell::truths);
  columns.add(detections, &Cell::detections);
  const auto cells = columns.take();
  const auto count = static_cast<int64_t>(cells.size());
  const auto limits = static_cast<int64_t>(options.limits.size());
  const auto ranges = static_cast<int64_t>(area_ranges().size());
  const auto thresholds = static_cast<int64_t>(overlap_thresholds().size());
  AveragePrecision result{
      .categories = options.by_category ? known : std::vector<int64_t>(count, -1),
      .limits = options.limits,
      .precision = torch::full({thresholds, static_cast<int64_t>(kRecalls), count, ranges, limits},
                               -1, torch::kDouble),
      .recall = torch::full({thresholds, count, ranges, limits}, -1, torch::kDouble)};
  const Judge judge(truths, detections, options);
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t column = begin; column < end; ++column) {
      std::vector<Scene> scenes;
      for (const auto& cell : cells[column]) {
        if (cell.truths.empty() && cell.detections.empty()) continue;
        scenes.push_back(judge.scene(cell));
      }
      accumulate(scenes, column, result);
    }
  });
  return result;
}

int64_t AveragePrecision::common_limit() const {
  // pycocotools' AP is over 100 detections wherever that is one of the limits.
  const auto hundred = std::find(limits.begin(), limits.end(), 100);
  return (hundred == limits.end() ? std::prev(limits.end()) : hundred) - limits.begin();
}

std::array<double, 12> AveragePrecision::summary() const {
  IBOT_CHECK(limits.size() == 3, "average precision: expected three limits, got ", limits.size());
  const int64_t last = 2;
  const auto ap = [&](int64_t range, int64_t limit) {
    return mean_of(precision.select(4, limit).select(3, range));
  };
  const auto ap_at = [&](int64_t threshold) {
    return mean_of(precision.select(4, last).select(3, 0).select(0, threshold));
  };
  const auto ar = [&](int64_t range, int64_t limit) {
    return mean_of(recall.select(3, limit).select(2, range));
  };
  return {ap(0, common_limit()), ap_at(0),   ap_at(5), ap(1, last), ap(2, last),
          ap(3, last),           ar(0, 0),   ar(0, 1), ar(0, 2),    ar(1, last),
          ar(2, last),           ar(3, last)};
}

double AveragePrecision::category_ap(int64_t place) const {
  return mean_of(precision.select(4, common_limit()).select(3, 0).select(2, place));
}

}  // namespace ibot::metrics
