#include "ibot/detection/detector.h"

#include <algorithm>

namespace ibot::detection {
namespace {

std::array<int64_t, 4> widths_of(const dense::DenseBackbone& backbone) {
  const auto widths = backbone.embed_dims();
  IBOT_CHECK(widths.size() == 4, "detector: expected a backbone of four maps, got ", widths.size());
  return {widths[0], widths[1], widths[2], widths[3]};
}

}  // namespace

Terms TrainPass::terms() const {
  Terms all = proposal_terms;
  for (const auto& stage : stages) all.insert(all.end(), stage.terms.begin(), stage.terms.end());
  return all;
}

DetectorImpl::DetectorImpl(const dense::DenseOptions& backbone, DetectionOptions options)
    : options_(std::move(options)),
      backbone_(register_module("backbone", dense::build_backbone(backbone))) {
  // After the backbone: it knows the widths of its maps.
  options_.inputs = widths_of(*backbone_);
  neck_ = register_module("neck", FeaturePyramid(options_.inputs, options_.channels));
  proposal_head_ = register_module("rpn_head", ProposalHead(options_));
  cascade_ = register_module("roi_head", Cascade(options_));
}

std::vector<torch::Tensor> DetectorImpl::levels(const torch::Tensor& images) {
  return neck_->forward(backbone_->forward(images));
}

TrainPass DetectorImpl::train_pass(const std::vector<torch::Tensor>& levels,
                                   std::vector<ImageTruth>& truths, boxes::ImageSize padded) {
  // Proposals carry no gradient: the cascade trains the pyramid through its regions' features
  // alone.
  TrainPass pass{.maps = proposal_head_->forward(levels)};
  std::vector<torch::Tensor> proposals;
  for (size_t i = 0; i < truths.size(); ++i) {
    pass.targets.push_back(proposal_head_->targets(pass.maps, truths[i], padded));
    pass.proposals.push_back(proposal_head_->propose(pass.maps, static_cast<int64_t>(i),
                                                     truths[i].size, options_.train_proposals));
    proposals.push_back(pass.proposals.back().boxes);
  }
  pass.proposal_terms = proposal_head_->loss(pass.maps, pass.targets, group_);
  pass.stages = cascade_->train_pass(levels, std::move(proposals), truths, group_);
  return pass;
}

Proposals DetectorImpl::propose(const std::vector<torch::Tensor>& levels, const ImageScale& scale) {
  const torch::NoGradGuard no_grad;
  return proposal_head_->propose(proposal_head_->forward(levels), scale.image, scale.size,
                                 options_.test_proposals);
}

CascadePrediction DetectorImpl::predict(const std::vector<torch::Tensor>& levels,
                                        const ImageScale& scale, const PredictionOptions& options) {
  return cascade_->predict(levels, propose(levels, scale).boxes, scale, options);
}

void DetectorImpl::initialize_(at::Generator generator) {
  dense::initialize_(*backbone_, generator);
  neck_->initialize_(generator);
  proposal_head_->initialize_(generator);
  cascade_->initialize_(generator);
}

void DetectorImpl::set_group(const dist::Group& group) {
  group_ = group;
  backbone_->set_group(group);
}

}  // namespace ibot::detection
