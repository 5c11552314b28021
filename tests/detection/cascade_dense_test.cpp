#include <gtest/gtest.h>

#include "ibot/boxes/roi_align.h"
#include "ibot/detection/detector.h"
#include "ibot/metrics/run_length.h"
#include "ibot/models/load_state.h"
#include "ibot/models/network.h"
#include "support/golden.h"

namespace ibot::detection {
namespace {

using ::ibot::testing::near;
using ::ibot::testing::Tolerance;

/// The reference's detector with its weights; all candidates are sampled, so that nothing is
/// random.
class CascadeDense : public ::testing::Test {
 protected:
  CascadeDense() : detector_(backbone_options(), detection_options()) {
    std::map<std::string, torch::Tensor> own;
    for (const auto& [name, tensor] : models::named_state(*detector_)) own.emplace(name, tensor);
    auto stored = golden_.tensors("weights");
    for (const auto& [name, tensor] : own) {
      if (name.ends_with("num_batches_tracked")) stored.emplace(name, tensor);
    }
    models::load_state_(own, stored);
  }

  dense::DenseOptions backbone_options() const {
    dense::DenseOptions options;
    options.backbone.arch = "vit_small";
    options.backbone.embed_dim = config_["dim"];
    options.backbone.depth = {config_["depth"].get<int64_t>()};
    options.backbone.heads = {config_["heads"].get<int64_t>()};
    options.backbone.drop_path = 0;
    options.taps = config_["taps"].get<std::vector<int64_t>>();
    options.out_with_norm = false;
    options.position_rule = dense::PositionRule::kGrid;
    options.positions = {config_["grid"][0], config_["grid"][1]};
    return options;
  }

  static ProposalOptions proposals(const testing::ReadJson& given) {
    return {.per_level = given["nms_pre"], .most = given["keep"], .threshold = given["iou"]};
  }

  DetectionOptions detection_options() const {
    DetectionOptions options;
    options.classes = config_["K"];
    options.channels = config_["ch"];
    options.hidden = config_["fc"];
    options.train_proposals = proposals(config_["rpn_proposal_train"]);
    options.test_proposals = proposals(config_["rpn_proposal_test"]);
    options.anchors_sampled = options.regions_sampled = 1 << 30;
    const auto weights = config_["loss_weights"].get<std::vector<double>>();
    for (size_t i = 0; i < weights.size(); ++i) options.stages.at(i).weight = weights[i];
    return options;
  }

  boxes::ImageSize padded() const { return {config_["pad"][0], config_["pad"][1]}; }
  boxes::ImageSize image_size(size_t image) const {
    return {config_["imgs"][image][0], config_["imgs"][image][1]};
  }
  torch::Tensor images() const { return (tensor("image").to(torch::kFloat) - 128) / 64; }

  std::vector<ImageTruth> truths() const {
    std::vector<ImageTruth> truths;
    for (size_t i = 0; i < config_["imgs"].size(); ++i) {
      const auto size = image_size(i);
      std::vector<torch::Tensor> masks;
      for (const auto& text : golden_.json["gt_masks"][i].elements()) {
        masks.push_back(mask_from(text, size));
      }
      truths.push_back({.size = size,
                        .boxes = tensor(concat("gt", i, ".boxes")),
                        .labels = tensor(concat("gt", i, ".labels")),
                        .masks = torch::stack(masks)});
    }
    return truths;
  }

  /// The case does not say whether masks have the padded size.
  torch::Tensor mask_from(const std::string& text, boxes::ImageSize size) const {
    try {
      return metrics::decode_runs(metrics::runs_from_text(text, padded().height, padded().width));
    } catch (const DataError&) {
      return metrics::decode_runs(metrics::runs_from_text(text, size.height, size.width));
    }
  }

  torch::Tensor tensor(const std::string& name) const { return tensors_.at(name); }
  void compare(const torch::Tensor& actual, const std::string& name) const {
    EXPECT_TRUE(near(actual, tensor(name), golden_.tolerance())) << name;
  }
  void compare_exactly(const torch::Tensor& actual, const std::string& name) const {
    EXPECT_TRUE(torch::equal(actual.to(torch::kLong), tensor(name).to(torch::kLong))) << name;
  }

  void compare_targets(const TrainPass& pass, int64_t image) const;
  void compare_stage(const StagePass& pass, size_t stage) const;
  void compare_loss(const torch::Tensor& term, const std::string& name) const {
    const double expected = golden_.json["losses"][name];
    const double rtol = golden_.json["tolerance"]["losses"]["rtol"];
    EXPECT_NEAR(term.item<double>(), expected, rtol * std::abs(expected)) << name;
  }
  void compare_gradients();

  const testing::GoldenCase golden_ = testing::dense_case("09_detector", "cascade");
  const testing::ReadJson config_ = golden_.json["config"];
  const std::map<std::string, torch::Tensor> tensors_ = golden_.tensors();
  Detector detector_;
};

/// Labels of all anchors, level by level: 0 object, 1 background; and those with a weight.
void CascadeDense::compare_targets(const TrainPass& pass, int64_t image) const {
  int64_t first = 0;
  const auto& targets = pass.targets[image];
  for (size_t level = 0; level < pass.maps.objectness.size(); ++level) {
    const int64_t count = pass.maps.objectness[level][image].numel();
    auto label = torch::ones({first + count}, torch::kLong);
    auto weight = torch::zeros({first + count}, torch::kLong);
    for (const auto& [numbers, value] : {std::pair{targets.positive, 0}, {targets.negative, 1}}) {
      const auto here = numbers.masked_select(numbers < first + count);
      label.index_fill_(0, here, value);
      weight.index_fill_(0, here, 1);
    }
    const auto weighted = weight.slice(0, first);
    const auto name = concat("rpn.target.label", level);
    EXPECT_TRUE(torch::equal(
        weighted, tensor(concat("rpn.target.label_weight", level))[image].to(torch::kLong)))
        << name;
    EXPECT_TRUE(torch::equal(label.slice(0, first), tensor(name)[image].to(torch::kLong))) << name;
    first += count;
  }
}

void CascadeDense::compare_stage(const StagePass& pass, size_t stage) const {
  const auto name = concat('s', stage, '.');
  SCOPED_TRACE(name);
  compare(pass.regions, name + "rois");
  compare_exactly(pass.labels, name + "labels");
  const auto positive = (pass.labels < config_["K"].get<int64_t>()).nonzero().view({-1});
  EXPECT_TRUE(near(pass.box_targets, tensor(name + "box_targets").index_select(0, positive),
                   golden_.tolerance()));
  compare(pass.boxes.scores, name + "cls_score");
  compare(pass.boxes.differences, name + "box_pred");
  compare(pass.features.sum({2, 3}), name + "roi_features_sum");
  compare_exactly(pass.mask_targets, name + "mask_targets");
  compare(pass.mask_logits.mean({2, 3}), name + "mask_pred_mean");
  compare(pass.mask_logits[0], name + "mask_pred_first");
  compare_loss(pass.accuracy, name + "acc");
  const char* const terms[] = {"loss_cls", "loss_bbox", "loss_mask"};
  for (size_t i = 0; i < pass.terms.size(); ++i) {
    compare_loss(pass.terms[i].second, name + terms[i]);
  }
  const auto& counts = golden_.json["stages"][stage];
  for (size_t image = 0; image < 2; ++image) {
    const auto of_image = pass.regions.select(1, 0) == static_cast<int64_t>(image);
    const auto is_positive = pass.labels < config_["K"].get<int64_t>();
    EXPECT_EQ(of_image.logical_and(is_positive).sum().item<int64_t>(),
              counts["positives"][image].get<int64_t>());
    EXPECT_EQ(of_image.logical_and(is_positive.logical_not()).sum().item<int64_t>(),
              counts["negatives"][image].get<int64_t>());
  }
}

void CascadeDense::compare_gradients() {
  double largest_norm = 0;
  for (const auto& [name, norm] : golden_.json["gradient_norms"].items()) {
    largest_norm = std::max(largest_norm, norm.get<double>());
  }
  std::map<std::string, torch::Tensor> found;
  for (const auto& parameter : detector_->named_parameters()) {
    found[parameter.key()] =
        parameter.value().grad().defined() ? parameter.value().grad() : torch::zeros({1});
  }
  for (const auto& [name, norm] : golden_.json["gradient_norms"].items()) {
    const double expected = norm.get<double>();
    EXPECT_NEAR(found.at(name).norm().item<double>(), expected,
                0.01 * expected + 1e-3 * largest_norm)
        << name;
  }
  for (const auto& [name, expected] : tensors_) {
    if (!name.starts_with("grad.")) continue;
    const double largest = expected.abs().max().item<double>();
    if (largest < 1e-6 * largest_norm) continue;  // 0 in exact arithmetic
    EXPECT_TRUE(near(found.at(name.substr(5)), expected, Tolerance{0.01, 2e-3 * largest + 1e-9}))
        << name;
  }
}

TEST_F(CascadeDense, ATrainingPassIsTheSame) {
  detector_->train();
  auto levels = detector_->levels(images());
  for (size_t i = 0; i < levels.size(); ++i) {
    compare(levels[i], concat("fpn", i));
    // What follows starts from the stored values; gradients still reach the backbone.
    levels[i] = levels[i] + (tensor(concat("fpn", i)) - levels[i]).detach();
  }
  auto truth = truths();
  const auto pass = detector_->train_pass(levels, truth, padded());
  for (size_t i = 0; i < levels.size(); ++i) {
    compare(pass.maps.objectness[i], concat("rpn.cls", i));
    compare(pass.maps.differences[i], concat("rpn.reg", i));
  }
  std::vector<torch::Tensor> positive, differences;
  for (int64_t image = 0; image < 2; ++image) {
    compare_targets(pass, image);
    const auto& targets = pass.targets[image];
    positive.push_back(
        torch::stack({torch::full_like(targets.positive, image), targets.positive}, 1));
    differences.push_back(targets.differences);
    const auto& proposals = pass.proposals[image];
    compare(torch::cat({proposals.boxes, proposals.scores.unsqueeze(1)}, 1),
            concat("rpn.proposals", image));
  }
  compare_exactly(torch::cat(positive), "rpn.target.positive_index");
  compare(torch::cat(differences), "rpn.target.positive_delta");
  for (size_t stage = 0; stage < pass.stages.size(); ++stage) {
    compare_stage(pass.stages[stage], stage);
  }
  const auto terms = pass.terms();
  compare_loss(terms[0].second, "loss_rpn_cls");
  compare_loss(terms[1].second, "loss_rpn_bbox");
  auto loss = torch::zeros({});
  for (const auto& [name, term] : terms) loss = loss + term;
  compare_loss(loss, "loss");
  loss.backward();
  compare_gradients();
}

TEST_F(CascadeDense, APredictionIsTheSame) {
  detector_->eval();
  const torch::NoGradGuard no_grad;
  const auto& test = golden_.json["test"];
  const auto factors = torch::tensor(test["scale_factor"].get<std::vector<float>>());
  const ImageScale scale{0, image_size(0), factors};
  const auto levels = detector_->levels(images().slice(0, 0, 1));
  const auto proposals = detector_->propose(levels, scale);
  compare(torch::cat({proposals.boxes, proposals.scores.unsqueeze(1)}, 1), "test.proposals");
  const auto found = detector_->predict(levels, scale,
                                        {.least_score = config_["test"]["score"],
                                         .threshold = config_["test"]["iou"],
                                         .most = config_["test"]["keep"]});
  for (size_t i = 0; i < found.regions.size(); ++i) {
    compare(found.regions[i], concat("test.s", i, ".rois"));
  }
  compare(found.logits, "test.mean_logits");
  compare(found.differences, "test.last_box_pred");
  compare(torch::cat({found.found.boxes, found.found.scores.unsqueeze(1)}, 1), "test.detections");
  compare_exactly(found.found.labels, "test.labels");
  compare(found.masks.mean({1, 2}), "test.mask_probability_mean");
  const int64_t height = test["original_size"][0];
  const int64_t width = test["original_size"][1];
  const auto pasted = boxes::paste(found.masks, found.found.boxes, height, width)
                          .ge(config_["test"]["mask_threshold"].get<double>());
  for (int64_t i = 0; i < pasted.size(0); ++i) {
    const auto expected = metrics::decode_runs(
        metrics::runs_from_text(test["masks"][i].get<std::string>(), height, width));
    EXPECT_NEAR(pasted[i].sum().item<double>(), test["mask_areas"][i].get<double>(), 3) << i;
    EXPECT_LE(pasted[i].ne(expected.to(torch::kBool)).sum().item<int64_t>(), 3) << i;
  }
}

}  // namespace
}  // namespace ibot::detection
