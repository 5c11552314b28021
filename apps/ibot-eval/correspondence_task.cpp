#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>

#include "common/identity.h"
#include "common/progress.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot-eval/features.h"
#include "ibot-eval/pictures.h"
#include "ibot-eval/task.h"
#include "ibot/batch/normalization.h"
#include "ibot/eval/attention_picture.h"
#include "ibot/eval/correspondence.h"
#include "ibot/image/augment.h"

namespace ibot::apps {
namespace {

using eval::Pairs;

// Pairs that pass the network together.
constexpr int64_t kBatch = 16;

/// Samples of the first and of the second view.
struct Pair {
  int64_t first = 0;
  int64_t second = 0;
};

/// Neighbors of a class, or of the order, two by two; one that is left over has no pair.
std::vector<Pair> pairs_of(const data::Dataset& images, const std::vector<int64_t>& samples,
                           Pairs kind) {
  std::vector<Pair> pairs;
  std::map<int64_t, int64_t> waiting;  // by class
  for (const auto sample : samples) {
    if (kind == Pairs::kInstance) {
      pairs.push_back({sample, sample});
      continue;
    }
    const auto group = kind == Pairs::kClass ? images.label(sample) : 0;
    const auto other = waiting.find(group);
    if (other == waiting.end()) {
      waiting[group] = sample;
    } else {
      pairs.push_back({other->second, sample});
      waiting.erase(other);
    }
  }
  return pairs;
}

/// As analysis/correspondence of the reference cuts and colors its crops.
data::AugmentOptions view_options(int64_t side) {
  data::AugmentOptions options;
  options.global_size = side;
  options.global_scale = {0.4, 1.0};
  options.blur_prob_first = 0.0;
  return options;
}

/// Images of both views and where they lie in the images that they were cut from.
///
///   image    [B, 3, H, W]   uint8
///   corners  [B, 4]         as eval::patch_centers takes them; undefined of different images
struct Views {
  torch::Tensor image[2];
  torch::Tensor corners[2];
};

class CorrespondenceTask {
 public:
  explicit CorrespondenceTask(const TaskRequest& request)
      : request_(request),
        options_(request.weights.config.correspondence),
        side_(request.weights.config.run.eval.crop_size),
        subject_(subject_of(request)),
        grid_(subject_.backbone->grid(side_, side_)),
        images_(open_pictures(request.data)) {
    if (options_.drawings > 0) {
      attention_ = attending_subject(request, "correspondence", "correspondence.attention_weights",
                                     options_.attention_weights);
    }
    IBOT_CHECK_AS(RequestError, options_.pairs != Pairs::kClass || data::has_classes(*images_),
                  request.data.string(),
                  ": expected a folder a class for pairs of a class, got images without classes");
  }

  eval::Report run() {
    const auto chosen = chosen_images(images_->size(), options_.images, options_.seed);
    auto pairs = pairs_of(*images_, chosen, options_.pairs);
    IBOT_CHECK_AS(RequestError, !pairs.empty(), request_.data.string(),
                  ": expected pairs of images, found none");
    // Without true matches there is nothing to count.
    const auto total = options_.pairs == Pairs::kInstance
                           ? static_cast<int64_t>(pairs.size())
                           : std::min(static_cast<int64_t>(pairs.size()), options_.drawings);
    Progress progress(
        {.label = "correspondence", .unit = "pairs", .total = total, .item = "pairs"});
    for (int64_t first = 0; first < total; first += kBatch) {
      if (stop_requested()) return {};
      take({pairs.begin() + first, pairs.begin() + std::min(first + kBatch, total)});
      progress.update(done_, note());
    }
    progress.finish();
    return finished();
  }

 private:
  void take(const std::vector<Pair>& pairs) {
    const torch::NoGradGuard no_grad;
    const auto views = views_of(pairs);
    const auto& augment = request_.weights.config.run.augment;
    torch::Tensor input[2], tokens[2];
    for (int i = 0; i < 2; ++i) {
      input[i] = batch::normalized(views.image[i].to(request_.device), augment.normalization);
      tokens[i] = subject_.backbone->forward(input[i]).patch_tokens;
    }
    const auto match = eval::matched_patch(tokens[0], tokens[1]).to(torch::kCPU);
    torch::Tensor overlap;
    if (views.corners[0].defined()) overlap = count_right(views, match);
    draw(pairs, input, match, overlap);
    done_ += static_cast<int64_t>(pairs.size());
  }

  Views views_of(const std::vector<Pair>& pairs) const {
    std::vector<torch::Tensor> images[2], corners[2];
    for (const auto& pair : pairs) {
      for (int i = 0; i < 2; ++i) {
        const auto sample = i == 0 ? pair.first : pair.second;
        const auto image = decoded(*images_, sample, request_);
        if (options_.pairs == Pairs::kInstance) {
          images[i].push_back(crop_of(image, sample, i, corners[i]));
        } else {
          images[i].push_back(resized(image, side_, side_));
        }
      }
    }
    Views views{{torch::stack(images[0]), torch::stack(images[1])}, {}};
    for (int i = 0; i < 2 && !corners[i].empty(); ++i) {
      views.corners[i] = torch::stack(corners[i]);
    }
    return views;
  }

  torch::Tensor crop_of(const data::Image& image, int64_t sample, int view,
                        std::vector<torch::Tensor>& corners) const {
    auto pixels = torch::empty({3, side_, side_}, torch::kByte);
    data::ColumnPlanes planes;
    planes.assign(image);
    Rng rng(static_cast<uint64_t>(options_.seed), 0, static_cast<uint64_t>(sample),
            kCrop + static_cast<uint32_t>(view));
    const auto place =
        data::augmented_crop(planes, data::View::kFirstGlobal, view_options(side_), rng,
                             {pixels.mutable_data_ptr<uint8_t>(), side_, side_});
    const auto height = static_cast<double>(image.height());
    const auto width = static_cast<double>(image.width());
    const auto& box = place.box;
    double left = static_cast<double>(box.left) / width;
    double right = static_cast<double>(box.left + box.width) / width;
    if (place.flip) std::swap(left, right);
    corners.push_back(torch::tensor({static_cast<double>(box.top) / height, left,
                                     static_cast<double>(box.top + box.height) / height, right},
                                    torch::kDouble));
    return pixels;
  }

  /// Returns which patches of the first view overlap the second.
  torch::Tensor count_right(const Views& views, const torch::Tensor& match) {
    const auto centers1 = eval::patch_centers(views.corners[0], grid_);
    const auto centers2 = eval::patch_centers(views.corners[1], grid_);
    const auto half = static_cast<double>(models::token_pixels(subject_.options) / 2) /
                      static_cast<double>(side_);
    const auto overlap = eval::overlapping(centers1, centers2, half);
    const auto truth = eval::nearest_patch(centers1, centers2);
    right_ += eval::right_matches(match, truth, overlap, options_.radius, grid_.columns)
                  .sum()
                  .item<int64_t>();
    overlapping_ += overlap.sum().item<int64_t>();
    return overlap;
  }

  void draw(const std::vector<Pair>& pairs, const torch::Tensor (&input)[2],
            const torch::Tensor& match, const torch::Tensor& overlap) {
    if (done_ >= options_.drawings) return;
    const auto attention = attention_maps(input[0]);
    const auto count = std::min(options_.matches, grid_.size());
    const auto chosen = eval::most_attended_patches(attention, grid_, overlap, count);
    for (size_t i = 0; i < pairs.size(); ++i) {
      const auto number = done_ + static_cast<int64_t>(i);
      if (number >= options_.drawings) return;
      const auto row = static_cast<int64_t>(i);
      const auto picture =
          torch::cat({eval::in_own_range(input[0][row]), eval::in_own_range(input[1][row])}, 1);
      for (int64_t k = 0; k < count; ++k) {
        const auto patch = chosen[row][k].item<int64_t>();
        if (overlap.defined() && !overlap[row][patch].item<bool>()) continue;
        const auto other = match[row][patch].item<int64_t>();
        eval::draw_line_(picture, center_of(patch, 0), center_of(other, side_));
      }
      write_png(request_,
                concat(enum_name(options_.pairs), "_corresp", number, "_cls",
                       images_->label(pairs[i].first), "_nh0"),
                picture);
      if (number < kShownPictures) {
        figures_.push_back(figure_of(images_->path(pairs[i].first), picture));
      }
    }
  }

  torch::Tensor attention_maps(const torch::Tensor& images) const {
    const auto grid = attention_->backbone->grid(side_, side_);
    return attention_->backbone->attended_patches(images)
        .attention.unflatten(2, {grid.rows, grid.columns})
        .to(torch::kCPU);
  }

  eval::Point center_of(int64_t patch, int64_t left) const {
    const auto pixels = models::token_pixels(subject_.options);
    return {left + patch % grid_.columns * pixels + pixels / 2,
            patch / grid_.columns * pixels + pixels / 2};
  }

  double accuracy() const {
    return 100.0 * static_cast<double>(right_) / static_cast<double>(overlapping_);
  }

  std::string note() const {
    char text[32] = "";
    if (overlapping_ > 0) std::snprintf(text, sizeof(text), "accuracy %.2f", accuracy());
    return text;
  }

  eval::Report finished() {
    eval::Report report{.task = "correspondence",
                        .metrics = {{"pairs", static_cast<double>(done_)}},
                        .options = eval::option_values(options_)};
    if (overlapping_ > 0) report.metrics["accuracy"] = accuracy();
    report.metrics["drawings"] = static_cast<double>(std::min(done_, options_.drawings));
    report.options["crop_size"] = side_;
    Identity identity("correspondence", 1);
    identity.add_hash("weights", subject_.hash);
    identity.add_images(images_->content_hash());
    if (attention_) identity.add_hash("weights of the attention", attention_->hash);
    report.identity = identity.summary();
    report.figures = std::move(figures_);
    return report;
  }

  const TaskRequest& request_;
  const eval::CorrespondenceOptions& options_;
  int64_t side_;
  evaluation::Subject subject_;
  mask::PatchGrid grid_;
  std::unique_ptr<data::Dataset> images_;
  std::optional<evaluation::Subject> attention_;
  int64_t done_ = 0;
  int64_t right_ = 0;
  int64_t overlapping_ = 0;
  std::vector<eval::Figure> figures_;
};

}  // namespace

eval::Report run_correspondence(const TaskRequest& request) {
  check_picture_request(request, "correspondence");
  return CorrespondenceTask(request).run();
}

}  // namespace ibot::apps
