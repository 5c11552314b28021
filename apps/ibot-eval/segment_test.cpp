#include "ibot-eval/segment_test.h"

#include "common/output_folder.h"
#include "common/progress.h"
#include "ibot-eval/pictures.h"
#include "ibot/data/index_map.h"
#include "ibot/eval/segment_tuner.h"
#include "ibot/io/file.h"
#include "ibot/loading/segmentation_loader.h"

namespace ibot::apps {
namespace {

constexpr double kOverlay = 0.5;  // share of the class colors

void write_bytes(const std::filesystem::path& file, const std::vector<uint8_t>& bytes) {
  io::write_file(file, std::string(bytes.begin(), bytes.end()));
}

/// The image under the colors of its labels: [3, H, W], uint8.
torch::Tensor overlay_of(const torch::Tensor& image, const torch::Tensor& labels) {
  // Number 0 of the palette is black, the background's.
  const auto colors = data::index_colors()
                          .index_select(0, (labels.to(torch::kLong) + 1).clamp_max(255).flatten())
                          .view({labels.size(0), labels.size(1), 3})
                          .permute({2, 0, 1});
  return image.to(torch::kFloat).lerp(colors.to(torch::kFloat), kOverlay).to(torch::kByte);
}

/// What is written of the predictions.
class Pictures {
 public:
  Pictures(const TaskRequest& request, const data::SegmentationSet& set,
           std::vector<eval::Figure>* figures)
      : options_(request.weights.config.segment),
        set_(set),
        predictions_(request.output / "predictions"),
        overlays_(request.output / "overlays"),
        figures_(figures) {
    if (request.output.empty()) return;
    writes_predictions_ = options_.save_predictions;
    shown_ = options_.overlays < 0 ? set.size() : options_.overlays;
    if (writes_predictions_) prepare_folder(predictions_);
    if (shown_ > 0) prepare_folder(overlays_);
  }

  bool shows(int64_t sample) const { return sample < shown_; }
  bool shows_any() const { return shown_ > 0; }

  void write(const data::SegmentationSample& sample, const torch::Tensor& labels) const {
    const auto stem = std::filesystem::path(set_.images.path(sample.sample)).stem().string();
    if (writes_predictions_) {
      // With the values that a label map of this set has.
      const auto values = set_.zero_is_ignored ? labels + 1 : labels;
      write_bytes(predictions_ / (stem + ".png"), data::index_png(values.to(torch::kByte)));
    }
    if (!shows(sample.sample)) return;
    const auto picture = overlay_of(sample.original, labels);
    write_bytes(overlays_ / (stem + ".png"), data::color_png(picture));
    if (figures_ == nullptr || static_cast<int64_t>(figures_->size()) >= kShownPictures) return;
    figures_->push_back(figure_of(stem, picture.permute({1, 2, 0}).contiguous()));
  }

 private:
  const eval::SegmentOptions& options_;
  const data::SegmentationSet& set_;
  std::filesystem::path predictions_;
  std::filesystem::path overlays_;
  std::vector<eval::Figure>* figures_;
  bool writes_predictions_ = false;
  int64_t shown_ = 0;
};

data::SegmentationTestOptions loader_options(const TaskRequest& request,
                                             const data::SegmentationSet& set) {
  const auto& config = request.weights.config;
  const auto& group = request.group;
  return {.transform = config.segment.transform,
          .decode = config.run.data.decode,
          .ratios = config.segment.test_ratios,
          .begin = set.size() * group.rank() / group.size(),
          .end = set.size() * (group.rank() + 1) / group.size(),
          .workers = config.run.data.workers,
          .prefetch = config.run.data.prefetch_batches};
}

}  // namespace

metrics::SegmentationScores test_segmentor(const TaskRequest& request,
                                           const data::SegmentationSet& set,
                                           segmentation::Segmentor& network, bool writes,
                                           std::vector<eval::Figure>* figures) {
  const auto& config = request.weights.config;
  const auto& options = config.segment;
  std::optional<Pictures> pictures;
  if (writes) pictures.emplace(request, set, figures);
  auto loading = loader_options(request, set);
  loading.keeps_original = pictures && pictures->shows_any();
  data::SegmentationTestLoader loader(set, loading);
  const auto pixels_of = eval::pixel_network(network, options.run.precision, request.device);
  metrics::SegmentationTotals totals(set.classes);
  std::optional<Progress> progress;
  if (request.group.rank() == 0) {
    progress.emplace(ProgressOptions{
        .label = "test", .unit = "images", .total = loading.end - loading.begin, .item = "images"});
  }
  while (const auto sample = loader.next()) {
    const auto labels =
        eval::predict_labels(pixels_of, sample->versions, sample->label.sizes(), options,
                             config.run.augment.normalization, request.device);
    totals.add(labels, sample->label);
    if (pictures) pictures->write(*sample, labels);
    if (progress) progress->update(sample->sample + 1 - loading.begin);
  }
  if (progress) progress->finish();
  const auto all = totals.totals().clone();
  request.group.all_reduce_(all, dist::Reduction::kSum);
  metrics::SegmentationTotals joint(set.classes);
  joint.add_totals(all);
  return joint.scores();
}

}  // namespace ibot::apps
