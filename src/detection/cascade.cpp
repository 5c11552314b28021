#include "ibot/detection/cascade.h"

#include <string>

#include "ibot/boxes/assignment.h"
#include "ibot/boxes/losses.h"
#include "ibot/boxes/roi_align.h"

namespace ibot::detection {
namespace {

// Cells of a region that the box heads and the mask heads look at; masks have twice as many.
constexpr std::array<int64_t, 2> kBoxCells{7, 7};
constexpr std::array<int64_t, 2> kMaskCells{14, 14};
constexpr int64_t kMaskSide = 28;
constexpr int64_t kFirstStride = 4;
constexpr double kBoxWeight = 10;  // of the overlap loss beside that of classes

/// Boxes as regions of image `image`: [R, 5].
torch::Tensor regions_of(const torch::Tensor& boxes, int64_t image) {
  return torch::cat({torch::full({boxes.size(0), 1}, image, boxes.options()), boxes}, 1);
}

/// Features in float32, in which regions are averaged.
torch::Tensor features_of(const std::vector<torch::Tensor>& levels, const torch::Tensor& regions,
                          std::array<int64_t, 2> cells) {
  std::vector<torch::Tensor> strided;
  // Stride 64, if it is there, is for proposals alone.
  for (size_t i = 0; i < 4; ++i) strided.push_back(levels.at(i).to(torch::kFloat));
  return boxes::pyramid_features(strided, regions, kFirstStride, cells);
}

/// The four columns of each row's class: [R, 4 classes] to [R, 4].
torch::Tensor of_class(const torch::Tensor& columns, const torch::Tensor& labels) {
  const auto rows = torch::arange(labels.numel(), labels.options());
  return columns.view({labels.numel(), -1, 4}).index({rows, labels});
}

/// The likeliest class but background.
torch::Tensor best_class(const torch::Tensor& scores) {
  return scores.slice(1, 0, scores.size(1) - 1).argmax(1);
}

template <class Head, class Make>
std::vector<Head> numbered_heads(torch::nn::Module& owner, const char* name, size_t count,
                                 const Make& make) {
  const auto list = owner.register_module(name, std::make_shared<torch::nn::Module>());
  std::vector<Head> heads;
  for (size_t i = 0; i < count; ++i) {
    heads.push_back(list->register_module(std::to_string(i), make()));
  }
  return heads;
}

boxes::Detected found_in(const torch::Tensor& boxes, const torch::Tensor& scores,
                         const PredictionOptions& options) {
  return options.soft
             ? boxes::detect_softly(boxes, scores, options.least_score, *options.soft, options.most)
             : boxes::detect(boxes, scores, options.least_score, options.threshold, options.most);
}

}  // namespace

/// The regions of one image, positive ones first.
///
///   truth     [P]  whose object each positive one is
///   is_truth  [P]  whether it is an object's own box
struct CascadeImpl::Sampled {
  torch::Tensor boxes;
  torch::Tensor labels;
  torch::Tensor truth;
  torch::Tensor is_truth;
};

CascadeImpl::CascadeImpl(const DetectionOptions& options)
    : options_(options),
      box_heads_(numbered_heads<BoxHead>(
          *this, "bbox_head", options.stages.size(),
          [&] { return BoxHead(options.channels, options.hidden, options.classes); })),
      mask_heads_(numbered_heads<MaskHead>(*this, "mask_head", options.stages.size(), [&] {
        return MaskHead(options.channels, options.classes);
      })) {}

CascadeImpl::Sampled CascadeImpl::sampled(const torch::Tensor& proposals, ImageTruth& truth,
                                          const StageOptions& stage) {
  const int64_t objects = truth.boxes.size(0);
  // Objects' own boxes become candidates, the first ones, assigned to themselves.
  const auto assigned =
      boxes::with_truths(boxes::assign(proposals, truth.boxes,
                                       {.positive = stage.threshold, .negative = stage.threshold}),
                         objects);
  const auto drawn = boxes::sample(
      assigned.truth, {options_.regions_sampled, options_.regions_positive}, truth.draw);
  const auto device = proposals.device();
  const auto positive = drawn.positive.to(device);
  const auto chosen = torch::cat({positive, drawn.negative.to(device)});
  const auto of_objects = assigned.truth.index_select(0, positive) - 1;
  // Background is the last class.
  const auto background =
      torch::full({drawn.negative.numel()}, options_.classes, assigned.truth.options());
  return {torch::cat({truth.boxes, proposals}).index_select(0, chosen),
          torch::cat({truth.labels.index_select(0, of_objects), background}), of_objects,
          positive < objects};
}

std::vector<StagePass> CascadeImpl::train_pass(const std::vector<torch::Tensor>& levels,
                                               std::vector<torch::Tensor> proposals,
                                               std::vector<ImageTruth>& truths,
                                               const dist::Group& group) {
  std::vector<StagePass> passes;
  // Each stage samples anew from the boxes that the one before has moved.
  for (size_t stage = 0; stage < options_.stages.size(); ++stage) {
    std::vector<Sampled> samples;
    for (size_t i = 0; i < truths.size(); ++i) {
      samples.push_back(sampled(proposals[i], truths[i], options_.stages[stage]));
    }
    passes.push_back(run_stage(stage, levels, samples, truths, group));
    if (stage + 1 == options_.stages.size()) break;
    proposals = refined(passes.back(), options_.stages[stage], samples, truths);
  }
  return passes;
}

StagePass CascadeImpl::run_stage(size_t number, const std::vector<torch::Tensor>& levels,
                                 const std::vector<Sampled>& samples,
                                 const std::vector<ImageTruth>& truths, const dist::Group& group) {
  const auto& stage = options_.stages[number];
  std::vector<torch::Tensor> regions, labels, wanted, masks;
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto& [boxes, label, truth, is_truth] = samples[i];
    regions.push_back(regions_of(boxes, static_cast<int64_t>(i)));
    labels.push_back(label);
    wanted.push_back(truths[i].boxes.index_select(0, truth));
    // Masks are many and large: they stay on the host.
    masks.push_back(
        boxes::mask_targets(truths[i].masks, boxes.slice(0, 0, truth.numel()), truth, kMaskSide)
            .to(boxes.device()));
  }
  StagePass pass{.regions = torch::cat(regions),
                 .labels = torch::cat(labels),
                 .box_targets = torch::cat(wanted),
                 .mask_targets = torch::cat(masks)};
  pass.features = features_of(levels, pass.regions, kBoxCells);
  // Regions of all images in one pass: batch normalization is over all of them and all ranks.
  pass.boxes = box_heads_[number]->forward(pass.features, group);
  const auto positive = (pass.labels < options_.classes).nonzero().view({-1});
  pass.mask_logits = mask_heads_[number]->forward(
      features_of(levels, pass.regions.index_select(0, positive), kMaskCells));
  const auto per_rank = [&](int64_t count) {
    return divisor(static_cast<double>(count), group, options_.synced_losses, pass.labels.device());
  };
  // Box losses too are divided by all regions, background included.
  const auto regions_count = per_rank(pass.labels.numel());
  const auto class_loss =
      at::cross_entropy_loss(pass.boxes.scores, pass.labels, {}, at::Reduction::Sum);
  const auto mask_loss =
      boxes::mask_loss(pass.mask_logits, pass.mask_targets, pass.labels.index_select(0, positive));
  // A mean over this rank's masks; of all ranks' where these count as one batch.
  const auto mask_share =
      static_cast<double>(positive.numel()) / per_rank(positive.numel()).clamp_min(1e-6);
  const auto name = concat("s", number, '_');
  pass.terms = {{name + "cls", stage.weight * class_loss / regions_count},
                {name + "box", stage.weight * box_loss(pass, stage, positive) / regions_count},
                {name + "mask", stage.weight * mask_loss * mask_share}};
  pass.accuracy =
      100 * pass.boxes.scores.detach().argmax(1).eq(pass.labels).to(torch::kFloat).mean();
  return pass;
}

torch::Tensor CascadeImpl::box_loss(const StagePass& pass, const StageOptions& stage,
                                    const torch::Tensor& positive) const {
  // 0 with a graph: the head's parameters have a gradient on every rank.
  if (positive.numel() == 0) return pass.boxes.differences.sum() * 0;
  const auto proposals = pass.regions.slice(1, 1).index_select(0, positive);
  const auto differences = of_class(pass.boxes.differences.index_select(0, positive),
                                    pass.labels.index_select(0, positive));
  // Not clipped to the image, as in mmdetection: a clipped side has no gradient.
  const auto found = boxes::decode(proposals, differences, stage.deviations);
  return kBoxWeight * boxes::generalized_iou_loss(found, pass.box_targets,
                                                  torch::ones_like(found.select(1, 0)), 1);
}

std::vector<torch::Tensor> CascadeImpl::refined(const StagePass& pass, const StageOptions& stage,
                                                const std::vector<Sampled>& samples,
                                                const std::vector<ImageTruth>& truths) const {
  const torch::NoGradGuard no_grad;
  // Background has no columns of its own: it moves as its likeliest class would.
  const auto labels =
      torch::where(pass.labels == options_.classes, best_class(pass.boxes.scores), pass.labels);
  const auto differences = of_class(pass.boxes.differences.detach(), labels);
  std::vector<torch::Tensor> proposals;
  int64_t first = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto& [boxes, label, truth, is_truth] = samples[i];
    const auto moved = boxes::decode(boxes, differences.slice(0, first, first + label.numel()),
                                     stage.deviations, truths[i].size);
    // Objects' own boxes are added anew in the next stage.
    const auto stays =
        torch::cat({is_truth.logical_not(),
                    torch::ones({label.numel() - is_truth.numel()}, is_truth.options())});
    proposals.push_back(moved.index_select(0, stays.nonzero().view({-1})));
    first += label.numel();
  }
  return proposals;
}

torch::Tensor CascadeImpl::mask_probabilities(const std::vector<torch::Tensor>& levels,
                                              const torch::Tensor& regions,
                                              const torch::Tensor& labels) {
  const auto features = features_of(levels, regions, kMaskCells);
  const auto rows = torch::arange(labels.numel(), labels.options());
  auto sum = torch::zeros({labels.numel(), kMaskSide, kMaskSide}, features.options());
  for (auto& head : mask_heads_) {
    // Probabilities are averaged over the stages, not logits as for classes.
    sum = sum + head->forward(features).index({rows, labels}).sigmoid();
  }
  return sum / static_cast<double>(mask_heads_.size());
}

CascadePrediction CascadeImpl::predict(const std::vector<torch::Tensor>& levels,
                                       const torch::Tensor& proposals, const ImageScale& scale,
                                       const PredictionOptions& options) {
  const torch::NoGradGuard no_grad;
  CascadePrediction prediction;
  // [R, 4]; after the last stage [R, 4 classes].
  auto boxes = proposals;
  for (size_t stage = 0; stage < box_heads_.size(); ++stage) {
    const auto regions = regions_of(boxes, scale.image);
    const auto [scores, differences] =
        box_heads_[stage]->forward(features_of(levels, regions, kBoxCells), {});
    prediction.regions.push_back(regions);
    prediction.logits = stage == 0 ? scores : prediction.logits + scores;
    prediction.differences = differences;
    // Between stages a region moves as its likeliest class; the last stage keeps every class's box.
    const auto& deviations = options_.stages[stage].deviations;
    boxes = boxes::decode(
        boxes,
        stage + 1 < box_heads_.size() ? of_class(differences, best_class(scores)) : differences,
        deviations, scale.size);
  }
  prediction.logits = prediction.logits / static_cast<double>(box_heads_.size());
  // From pixels of the network's input to those of the original image.
  const auto original = (boxes.view({boxes.size(0), -1, 4}) / scale.factors).flatten(1);
  // The softmax of the mean logits, not the mean of softmaxes.
  prediction.found = found_in(original, prediction.logits.softmax(1), options);
  prediction.masks =
      mask_probabilities(levels, regions_of(prediction.found.boxes * scale.factors, scale.image),
                         prediction.found.labels);
  return prediction;
}

void CascadeImpl::initialize_(at::Generator generator) {
  for (auto& head : box_heads_) head->initialize_(generator);
  for (auto& head : mask_heads_) head->initialize_(generator);
}

}  // namespace ibot::detection
