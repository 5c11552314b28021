#include "ibot/eval/occlusion.h"

#include <algorithm>
#include <numeric>

#include "evaluation/robustness_tests.h"
#include "ibot/base/error.h"
#include "ibot/base/option_text.h"
#include "ibot/base/rng.h"
#include "ibot/data/image_folder.h"
#include "ibot/eval/line_chart.h"

namespace ibot::evaluation {
namespace {

// Every image passes the network dozens of times.
constexpr int64_t kOcclusionPart = 256;

// Images whose attention is held at once.
constexpr int64_t kAttended = 32;

constexpr int kShares = 10;  // 0.1, 0.2, ... 1.0 of the attention

/// Of an option that is in range.
mask::PatchGrid cells_of(const std::string& text) {
  const auto [rows, columns] = *eval::grid_of(text);
  return {rows, columns};
}

/// A random order of 0 to count - 1.
std::vector<int64_t> shuffled(int64_t count, Rng rng) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (auto end = order.size(); end > 1; --end) std::swap(order[end - 1], order[rng.index(end)]);
  return order;
}

/// Random orders of cells, of which the images of a set share one.
class CellOrders {
 public:
  CellOrders(const eval::RobustnessOptions& options, int64_t images)
      : seed_(static_cast<uint64_t>(options.seed)), set_(static_cast<size_t>(images)) {
    const auto order = shuffled(images, Rng(seed_, 0, 0, kOrder));
    for (size_t place = 0; place < order.size(); ++place) {
      // The reference draws once a batch of a shuffled loader: sets of images as such batches would
      // be.
      set_[static_cast<size_t>(order[place])] = place / static_cast<size_t>(options.set_images);
    }
  }

  /// Of the `count` images from `first` on, under setting number `setting`: [count, cells].
  torch::Tensor of(int64_t first, int64_t count, uint64_t setting, int64_t cells) const {
    std::vector<torch::Tensor> orders;
    for (int64_t image = first; image < first + count; ++image) {
      // Stream 0 has dealt the images to sets.
      const Rng rng(seed_, setting + 1, set_[static_cast<size_t>(image)], kOrder);
      orders.push_back(torch::tensor(shuffled(cells, rng), torch::kLong));
    }
    return torch::stack(orders);
  }

 private:
  uint64_t seed_;
  std::vector<uint64_t> set_;
};

/// Top-1 with cells dropped at random, with the foreground or the rest dropped, and with cells
/// shuffled, on the same images.
class OcclusionTest : public RobustnessTest {
 public:
  OcclusionTest(const RobustnessInputs& inputs, const std::vector<std::string>& parts)
      : inputs_(inputs), images_(std::make_shared<const data::ImageFolder>(inputs.folder)) {
    const auto has = [&](const char* part) {
      return std::find(parts.begin(), parts.end(), part) != parts.end();
    };
    random_ = has("occlusion");
    salient_ = has("saliency");
    shuffle_ = has("shuffle");
    IBOT_CHECK_AS(DataError, data::has_classes(*images_), inputs.folder.string(),
                  ": expected a folder a class, got images without classes");
    classes_ = torch::tensor(
        places_of(images_->class_names(), inputs.subject.classes, inputs.folder), torch::kLong);
    if (shuffle_) check_grids();
    if (salient_) check_saliency();
    orders_.emplace(inputs.options, images_->size());
    auto how = inputs.how;
    how.filter = data::Filter::kBilinear;
    const auto embed = [this](const torch::Tensor& pixels, int64_t first) {
      return numbers(batch::normalized(pixels, inputs_.how.normalization), first);
    };
    sets_.push_back({"occlusion", images_, {embed, identity(how), kOcclusionPart}, how});
  }

  void add_to(eval::Report& report, const std::vector<eval::FeatureBank>& banks) const override {
    const auto targets = classes_.index_select(0, banks.front().labels);
    const auto numbers = banks.front().features;
    int64_t column = 0;
    const auto top1 = [&] {
      return percent_of(numbers.select(1, column++).to(torch::kLong) == targets);
    };
    if (random_ || salient_) add_occlusion(report, top1, numbers, column);
    if (shuffle_) add_shuffle(report, top1);
  }

 private:
  void check_grids() const {
    const auto side = inputs_.how.crop_size;
    for (const auto& text : inputs_.options.shuffle_grids) {
      const auto grid = cells_of(text);
      check_option(side % grid.rows == 0 && side % grid.columns == 0, "robustness.shuffle_grids",
                   "expected grids that divide eval.crop_size ", side, ", got ", text);
    }
  }

  void check_saliency() const {
    const torch::NoGradGuard no_grad;
    const auto& saliency = inputs_.subject.saliency;
    const auto side = inputs_.how.crop_size;
    const auto image = torch::zeros({1, 3, side, side}, torch::TensorOptions(saliency.device));
    const auto heads = saliency.backbone->attended_patches(image).attention.size(1);
    check_option(inputs_.options.saliency_head < heads, "robustness.saliency_head",
                 "expected below the ", heads, " heads of the network, got ",
                 inputs_.options.saliency_head);
  }

  Identity identity(const ExtractionOptions& how) const {
    const auto& options = inputs_.options;
    auto identity = set_identity(inputs_, "occlusion", *images_, how);
    if (salient_) identity.add_hash("weights of saliency", inputs_.subject.saliency.hash);
    identity.add_keys({{"robustness.tests", concat(random_, salient_, shuffle_)},
                       {"robustness.drop_grid", option_text(options.drop_grid)},
                       {"robustness.shuffle_grids", option_text(options.shuffle_grids)},
                       {"robustness.saliency_head", option_text(options.saliency_head)},
                       {"robustness.set_images", option_text(options.set_images)},
                       {"robustness.seed", option_text(options.seed)}});
    return identity;
  }

  torch::Tensor numbers(const torch::Tensor& images, int64_t first) const {
    std::vector<torch::Tensor> columns;
    if (random_) add_random(images, first, columns);
    if (salient_) add_salient(images, columns);
    if (shuffle_) {
      // Apart from the numbers of the tenths.
      uint64_t setting = 100;
      for (const auto& text : inputs_.options.shuffle_grids) {
        const auto grid = cells_of(text);
        const auto order = orders_->of(first, images.size(0), setting++, grid.size());
        columns.push_back(predicted(inputs_, eval::shuffled_cells(images, grid, order)));
      }
    }
    return torch::cat(columns, 1);
  }

  void add_random(const torch::Tensor& images, int64_t first,
                  std::vector<torch::Tensor>& columns) const {
    const mask::PatchGrid grid{inputs_.options.drop_grid, inputs_.options.drop_grid};
    const auto counts = eval::tenths_of(grid.size());
    for (size_t tenth = 0; tenth < counts.size(); ++tenth) {
      const auto order = orders_->of(first, images.size(0), tenth, grid.size());
      const auto blank = torch::zeros_like(order, torch::kBool)
                             .scatter_(1, order.narrow(1, 0, counts[tenth]), true);
      columns.push_back(predicted(inputs_, eval::blanked_cells(images, grid, blank)));
    }
  }

  void add_salient(const torch::Tensor& images, std::vector<torch::Tensor>& columns) const {
    const auto& backbone = *inputs_.subject.saliency.backbone;
    const auto grid = backbone.grid(images.size(2), images.size(3));
    const auto attention = saliency_of(images);  // [B, N]
    std::vector<torch::Tensor> others, lost;
    for (int step = 1; step <= kShares; ++step) {
      const auto foreground = eval::most_attended(attention, step / 10.0);
      columns.push_back(predicted(inputs_, eval::blanked_cells(images, grid, foreground)));
      // Columns: all salient ones, all others, then the shares that were dropped.
      others.push_back(
          predicted(inputs_, eval::blanked_cells(images, grid, foreground.logical_not())));
      lost.push_back(foreground.to(torch::kFloat).mean(1, true));
    }
    columns.insert(columns.end(), others.begin(), others.end());
    columns.insert(columns.end(), lost.begin(), lost.end());
  }

  torch::Tensor saliency_of(const torch::Tensor& images) const {
    std::vector<torch::Tensor> parts;
    for (const auto& part : images.split(kAttended)) {
      parts.push_back(inputs_.subject.saliency.backbone->attended_patches(part).attention.select(
          1, inputs_.options.saliency_head));
    }
    return torch::cat(parts);
  }

  template <class Top1>
  void add_occlusion(eval::Report& report, const Top1& top1, const torch::Tensor& numbers,
                     int64_t& column) const {
    eval::LineChart chart{
        "Occlusion", "share of the image that is dropped", "top-1 in percent", {}};
    if (random_) {
      eval::Curve curve{"random", {}, {}};
      for (int tenth = 0; tenth < 10; ++tenth) {
        add(report, curve, concat("occlusion_random_", tenth / 10.0), tenth / 10.0, top1());
      }
      chart.curves.push_back(curve);
    }
    if (salient_) {
      eval::Curve salient{"salient", {}, {}}, others{"non-salient", {}, {}};
      const auto first_lost = column + 2 * kShares;
      for (auto* curve : {&salient, &others}) {
        for (int step = 1; step <= kShares; ++step) {
          const auto dropped =
              numbers.select(1, first_lost + step - 1).to(torch::kDouble).mean().item<double>();
          const double lost = curve == &salient ? dropped : 1.0 - dropped;
          const auto name = concat(curve == &salient ? "salient_" : "non_salient_", step / 10.0);
          add(report, *curve, "occlusion_" + name, lost, top1());
          report.metrics["information_loss_" + name] = lost;
        }
        chart.curves.push_back(*curve);
      }
      // Past the shares, which are no predictions.
      column += kShares;
    }
    report.figures.push_back({"Top-1 under occlusion", "image/svg+xml", eval::to_svg(chart)});
  }

  template <class Top1>
  void add_shuffle(eval::Report& report, const Top1& top1) const {
    eval::Curve curve{"shuffled", {}, {}};
    for (const auto& text : inputs_.options.shuffle_grids) {
      const auto cells = cells_of(text).size();
      add(report, curve, "shuffle_" + text, static_cast<double>(cells), top1());
    }
    report.figures.push_back(
        {"Top-1 with shuffled cells", "image/svg+xml",
         eval::to_svg({"Shuffled cells", "cells", "top-1 in percent", {curve}})});
  }

  static void add(eval::Report& report, eval::Curve& curve, const std::string& name, double x,
                  double top1) {
    curve.x.push_back(x);
    curve.y.push_back(top1);
    report.metrics[name] = top1;
    add_line(report, name, top1);
  }

  RobustnessInputs inputs_;
  std::shared_ptr<const data::ImageFolder> images_;
  torch::Tensor classes_;  // of the classifier, by the number of the folder
  bool random_ = false;
  bool salient_ = false;
  bool shuffle_ = false;
  std::optional<CellOrders> orders_;
};

}  // namespace

std::unique_ptr<RobustnessTest> occlusion_test(const RobustnessInputs& inputs,
                                               const std::vector<std::string>& parts) {
  return std::make_unique<OcclusionTest>(inputs, parts);
}

}  // namespace ibot::evaluation
