#include "ibot/detection/proposals.h"

#include <algorithm>

#include "detection/layers.h"
#include "ibot/boxes/assignment.h"
#include "ibot/boxes/losses.h"
#include "ibot/boxes/nms.h"

namespace ibot::detection {
namespace {

/// Proposals' differences are not scaled, unlike those of the cascade.
constexpr boxes::Deviations kDeviations{1, 1, 1, 1};
constexpr double kBeta = 1.0 / 9.0;  // where the loss of differences becomes linear
constexpr double kInitDeviation = 0.01;
const boxes::AssignmentOptions kAssignment{.positive = 0.7, .negative = 0.3, .low_quality = 0.3};

/// A map of one image in the order row, column, anchor: [C, H, W] to [anchors, width].
torch::Tensor by_anchor(const torch::Tensor& map, int64_t width) {
  return map.to(torch::kFloat).permute({1, 2, 0}).reshape({-1, width});
}

/// All levels of one image below each other: [A, width].
torch::Tensor all_anchors(const std::vector<torch::Tensor>& maps, int64_t image, int64_t width) {
  std::vector<torch::Tensor> rows;
  for (const auto& map : maps) rows.push_back(by_anchor(map[image], width));
  return torch::cat(rows);
}

/// At least 1, as mmdetection counts.
double counted(const torch::Tensor& numbers) {
  return static_cast<double>(std::max<int64_t>(numbers.numel(), 1));
}

}  // namespace

ProposalHeadImpl::ProposalHeadImpl(const DetectionOptions& options)
    : options_(options),
      conv_(register_module("rpn_conv", conv(options.channels, options.channels, 3))),
      objectness_(register_module(
          "rpn_cls", conv(options.channels, static_cast<int64_t>(anchors_.ratios.size()), 1))),
      differences_(register_module(
          "rpn_reg", conv(options.channels, 4 * static_cast<int64_t>(anchors_.ratios.size()), 1))) {
}

ProposalMaps ProposalHeadImpl::forward(const std::vector<torch::Tensor>& levels) {
  ProposalMaps maps;
  for (const auto& level : levels) {
    const auto hidden = conv_->forward(level).relu();  // [B, channels, H, W]
    maps.objectness.push_back(objectness_->forward(hidden));
    maps.differences.push_back(differences_->forward(hidden));
  }
  return maps;
}

std::vector<torch::Tensor> ProposalHeadImpl::anchors_of(const ProposalMaps& maps) const {
  std::vector<torch::Tensor> anchors;
  for (size_t i = 0; i < maps.objectness.size(); ++i) {
    const auto& map = maps.objectness[i];
    anchors.push_back(
        boxes::level_anchors(map.size(2), map.size(3), anchors_.strides.at(i), anchors_)
            .to(map.device()));
  }
  return anchors;
}

AnchorTargets ProposalHeadImpl::targets(const ProposalMaps& maps, ImageTruth& truth,
                                        boxes::ImageSize padded) const {
  const torch::NoGradGuard no_grad;
  const auto levels = anchors_of(maps);
  std::vector<torch::Tensor> usable;
  for (size_t i = 0; i < levels.size(); ++i) {
    const auto& map = maps.objectness[i];
    usable.push_back(boxes::usable_anchors(levels[i].cpu(), map.size(2), map.size(3),
                                           anchors_.strides[i], truth.size, padded));
  }
  const auto numbers = torch::cat(usable).nonzero().view({-1});  // on the host
  // Anchors that leave the image take no part in assignment: an object's best anchor is usable.
  const auto anchors = torch::cat(levels).index_select(0, numbers.to(truth.boxes.device()));
  const auto assigned = boxes::assign(anchors, truth.boxes, kAssignment);
  const auto sampled = boxes::sample(
      assigned.truth, {options_.anchors_sampled, options_.anchors_positive}, truth.draw);
  const auto device = truth.boxes.device();
  const auto positive = sampled.positive.to(device);
  const auto objects = assigned.truth.index_select(0, positive) - 1;
  // From numbers among the usable anchors to numbers among all.
  return {numbers.index_select(0, sampled.positive).to(device),
          numbers.index_select(0, sampled.negative).to(device),
          boxes::encode(anchors.index_select(0, positive), truth.boxes.index_select(0, objects),
                        kDeviations)};
}

Terms ProposalHeadImpl::loss(const ProposalMaps& maps, const std::vector<AnchorTargets>& targets,
                             const dist::Group& group) const {
  const auto device = maps.objectness.front().device();
  auto object_loss = torch::zeros({}, torch::TensorOptions(torch::kFloat).device(device));
  auto box_loss = torch::zeros_like(object_loss);
  double count = 0;
  for (size_t i = 0; i < targets.size(); ++i) {
    const auto& [positive, negative, wanted] = targets[i];
    const auto image = static_cast<int64_t>(i);
    const auto logits = all_anchors(maps.objectness, image, 1)
                            .view({-1})
                            .index_select(0, torch::cat({positive, negative}));
    const auto is_object = torch::cat({torch::ones({positive.numel()}, logits.options()),
                                       torch::zeros({negative.numel()}, logits.options())});
    const auto found = all_anchors(maps.differences, image, 4).index_select(0, positive);
    object_loss =
        object_loss + boxes::objectness_loss(logits, is_object, torch::ones_like(logits), 1);
    box_loss = box_loss + boxes::smooth_l1_loss(found, wanted, torch::ones_like(found), kBeta, 1);
    count += counted(positive) + counted(negative);
  }
  const auto total = divisor(count, group, options_.synced_losses, device);
  return {{"rpn_cls", object_loss / total}, {"rpn_box", box_loss / total}};
}

Proposals ProposalHeadImpl::propose(const ProposalMaps& maps, int64_t image, boxes::ImageSize size,
                                    const ProposalOptions& options) const {
  const torch::NoGradGuard no_grad;
  const auto anchors = anchors_of(maps);
  std::vector<torch::Tensor> candidates, scores, levels;
  for (size_t i = 0; i < anchors.size(); ++i) {
    const auto score = by_anchor(maps.objectness[i][image], 1).view({-1}).sigmoid();
    // Before decoding and suppression, which are then cheap.
    const auto [best, chosen] =
        score.topk(std::min(options.per_level, score.numel()), 0, /*largest=*/true, true);
    const auto found = by_anchor(maps.differences[i][image], 4).index_select(0, chosen);
    candidates.push_back(
        boxes::decode(anchors[i].index_select(0, chosen), found, kDeviations, size));
    scores.push_back(best);
    levels.push_back(torch::full_like(chosen, static_cast<int64_t>(i)));
  }
  const auto all = torch::cat(candidates);
  const auto all_scores = torch::cat(scores);
  // Levels do not suppress each other.
  const auto kept = boxes::grouped_nms(all, all_scores, torch::cat(levels), options.threshold)
                        .slice(0, 0, options.most);
  return {all.index_select(0, kept), all_scores.index_select(0, kept)};
}

void ProposalHeadImpl::initialize_(at::Generator generator) {
  for (auto layer : {conv_, objectness_, differences_}) {
    init_normal_(layer->weight, layer->bias, kInitDeviation, generator);
  }
}

}  // namespace ibot::detection
