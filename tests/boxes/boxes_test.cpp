#include <gtest/gtest.h>

#include "ibot/boxes/anchors.h"
#include "ibot/boxes/assignment.h"
#include "ibot/boxes/coding.h"
#include "ibot/boxes/losses.h"
#include "ibot/boxes/nms.h"
#include "ibot/boxes/overlap.h"
#include "ibot/boxes/roi_align.h"
#include "support/golden.h"

namespace ibot::boxes {
namespace {

using ::ibot::testing::dense_case;
using ::ibot::testing::near;
using Values = std::vector<int64_t>;

Values values(const torch::Tensor& tensor) {
  const auto flat = tensor.to(torch::kLong).contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

ImageSize size_of(const testing::ReadJson& size) { return {size[0], size[1]}; }

class BoxesDense : public ::testing::Test {
 protected:
  torch::Tensor tensor(const std::string& name) const { return tensors_.at(name); }
  ::testing::AssertionResult is(const torch::Tensor& actual, const std::string& name) const {
    return near(actual, tensor(name), golden_.tolerance());
  }
  /// |a - b| <= 1e-3 max |b| + 1e-9, as gradients are compared.
  ::testing::AssertionResult is_gradient(const torch::Tensor& actual,
                                         const std::string& name) const {
    const double largest = tensor(name).abs().max().item<double>();
    return near(actual, tensor(name), {0, 1e-3 * largest + 1e-9});
  }
  torch::Tensor leaf(const std::string& name) const {
    return tensor(name).clone().requires_grad_();
  }
  double number(const char* loss, const char* key) const { return json_[loss][key].get<double>(); }

  const testing::GoldenCase golden_ = dense_case("01_boxes", "boxes");
  const testing::ReadJson& json_ = golden_.json;
  const std::map<std::string, torch::Tensor> tensors_ = golden_.tensors();
};

TEST_F(BoxesDense, OverlapsAreTheSame) {
  const auto a = tensor("overlap.a");
  const auto b = tensor("overlap.b");
  EXPECT_TRUE(is(iou(a, b), "overlap.iou"));
  EXPECT_TRUE(is(intersection_share(a, b), "overlap.iof"));
  EXPECT_TRUE(is(generalized_iou(a, b), "overlap.giou"));
  EXPECT_TRUE(is(paired_generalized_iou(a.slice(0, 0, b.size(0)), b), "overlap.aligned_giou"));
}

TEST_F(BoxesDense, CodingIsTheSame) {
  const auto proposals = tensor("delta.proposals");
  const auto image = size_of(json_["config"]["img"]);
  const ImageSize padded{json_["config"]["H"], json_["config"]["W"]};
  for (const auto& [stage, given] : json_["delta"]["stds"].items()) {
    SCOPED_TRACE(stage);
    const auto stds = given.get<Deviations>();
    const auto name = "delta." + stage;
    EXPECT_TRUE(is(encode(proposals, tensor("delta.targets"), stds), name + ".encoded"));
    const auto raw = tensor(name + ".raw");
    EXPECT_TRUE(is(decode(proposals, raw, stds), name + ".decoded"));
    // The case says of neither size that it is the one boxes are clipped to.
    EXPECT_TRUE(is(decode(proposals, raw, stds, image), name + ".decoded_clipped") ||
                is(decode(proposals, raw, stds, padded), name + ".decoded_clipped"));
  }
}

// The case does not say which deviations and which size it takes.
TEST_F(BoxesDense, CodingOfEachClassIsTheSame) {
  const auto proposals = tensor("delta.proposals");
  const auto raw = tensor("delta.per_class.raw");
  const std::array<ImageSize, 2> sizes{size_of(json_["config"]["img"]),
                                       {json_["config"]["H"], json_["config"]["W"]}};
  bool found = false;
  for (const auto& [stage, given] : json_["delta"]["stds"].items()) {
    for (const auto& size : sizes) {
      found = found || is(decode(proposals, raw, given.get<Deviations>(), size),
                          "delta.per_class.decoded_clipped");
    }
  }
  EXPECT_TRUE(found);
}

TEST_F(BoxesDense, AnchorsAreTheSame) {
  const auto& anchor = json_["anchor"];
  const AnchorOptions options;
  std::vector<torch::Tensor> usable;
  for (size_t level = 0; level < options.strides.size(); ++level) {
    SCOPED_TRACE(level);
    const int64_t stride = options.strides[level];
    const int64_t rows = anchor["feature_sizes"][level][0];
    const int64_t columns = anchor["feature_sizes"][level][1];
    EXPECT_TRUE(
        near(cell_anchors(stride, options), tensor("anchor.base")[level], golden_.tolerance()));
    const auto anchors = level_anchors(rows, columns, stride, options);
    EXPECT_EQ(anchors.size(0), anchor["counts"][level].get<int64_t>());
    const auto name = concat("anchor.level", level);
    EXPECT_TRUE(is(anchors.slice(0, 0, tensor(name).size(0)), name));
    usable.push_back(usable_anchors(anchors, rows, columns, stride, size_of(anchor["image"]),
                                    size_of(anchor["padded_image"])));
  }
  const auto all = torch::cat(usable);
  EXPECT_EQ(all.sum().item<int64_t>(), anchor["inside"].get<int64_t>());
  EXPECT_EQ(values(all), values(tensor("anchor.inside")));
}

TEST_F(BoxesDense, AnchorsAreAssignedToTheSameObjects) {
  const AnchorOptions options;
  std::vector<torch::Tensor> anchors;
  for (size_t level = 0; level < options.strides.size(); ++level) {
    const auto size = json_["anchor"]["feature_sizes"][level];
    anchors.push_back(level_anchors(size[0], size[1], options.strides[level], options));
  }
  const auto inside = tensor("anchor.inside").to(torch::kBool).nonzero().view({-1});
  const auto found =
      assign(torch::cat(anchors).index_select(0, inside), tensor("assign.gt"), {0.7, 0.3, 0.3});
  EXPECT_EQ(values(found.truth), values(tensor("assign.rpn.gt_inds")));
  EXPECT_TRUE(is(found.overlap, "assign.rpn.max_overlaps"));
  const auto& counts = json_["assign"]["rpn"];
  EXPECT_EQ((found.truth > 0).sum().item<int64_t>(), counts["positive"].get<int64_t>());
  EXPECT_EQ((found.truth == 0).sum().item<int64_t>(), counts["negative"].get<int64_t>());
  EXPECT_EQ((found.truth < 0).sum().item<int64_t>(), counts["ignored"].get<int64_t>());
}

TEST_F(BoxesDense, ProposalsAreAssignedAndSampledAlike) {
  const auto truths = tensor("assign.gt");
  const auto proposals = tensor("assign.proposals");
  const auto labels = tensor("assign.gt_labels");
  const auto candidates = torch::cat({truths, proposals});
  for (int64_t stage = 0; stage < 3; ++stage) {
    SCOPED_TRACE(stage);
    const auto name = concat("stage", stage);
    const double threshold = 0.5 + 0.1 * static_cast<double>(stage);
    const auto found = assign(proposals, truths, {threshold, threshold, {}});
    EXPECT_EQ(values(found.truth), values(tensor("assign." + name + ".gt_inds")));
    EXPECT_EQ(values(labels_of(found, labels)), values(tensor("assign." + name + ".labels")));
    const auto& counts = json_["assign"][name];
    EXPECT_EQ((found.truth > 0).sum().item<int64_t>(), counts["positive"].get<int64_t>());
    const auto all = with_truths(found, truths.size(0));
    Rng rng(1, 2, 3, 4);
    const auto drawn = sample(all.truth, {512, 0.25}, rng);
    EXPECT_EQ(drawn.positive.numel(), counts["sampled_positive"].get<int64_t>());
    EXPECT_EQ(drawn.negative.numel(), counts["sampled_negative"].get<int64_t>());
    EXPECT_TRUE(is(candidates.index_select(0, torch::cat({drawn.positive, drawn.negative})),
                   "sample." + name + ".boxes"));
    EXPECT_EQ(values(all.truth.index_select(0, drawn.positive) - 1),
              values(tensor("sample." + name + ".pos_gt_inds")));
    EXPECT_EQ(values(drawn.positive < truths.size(0)),
              values(tensor("sample." + name + ".pos_is_gt")));
  }
  const auto none = assign(proposals, truths.slice(0, 0, 0), {0.5, 0.5, {}});
  EXPECT_EQ(none.truth.eq(0).all().item<bool>(),
            json_["assign"]["without_ground_truth"]["all_negative"].get<bool>());
  EXPECT_TRUE(labels_of(none, labels.slice(0, 0, 0))
                  .eq(json_["assign"]["without_ground_truth"]["labels"].get<int64_t>())
                  .all()
                  .item<bool>());
}

TEST_F(BoxesDense, SamplesHaveTheSameSizes) {
  for (const auto& given : json_["sampler_counts"].elements()) {
    SCOPED_TRACE(given.raw().dump());
    const auto truth =
        torch::cat({torch::ones({given["candidates_positive"].get<int64_t>()}, torch::kLong),
                    torch::zeros({given["candidates_negative"].get<int64_t>()}, torch::kLong)});
    Rng rng(7, 0, 0, 0);
    const auto drawn =
        sample(truth, {given["num"].get<int64_t>(), given["pos_fraction"].get<double>()}, rng);
    EXPECT_EQ(drawn.positive.numel(), given["positive"].get<int64_t>());
    EXPECT_EQ(drawn.negative.numel(), given["negative"].get<int64_t>());
    EXPECT_TRUE(truth.index_select(0, drawn.positive).eq(1).all().item<bool>());
    EXPECT_TRUE(truth.index_select(0, drawn.negative).eq(0).all().item<bool>());
    const auto ascending = values(drawn.negative);
    EXPECT_TRUE(std::is_sorted(ascending.begin(), ascending.end()));
    EXPECT_EQ(std::adjacent_find(ascending.begin(), ascending.end()), ascending.end());
  }
}

TEST_F(BoxesDense, SuppressionKeepsTheSameBoxes) {
  const auto boxes = tensor("nms.boxes");
  const auto scores = tensor("nms.scores");
  int64_t seen = 0;
  for (const auto& [name, kept] : tensors_) {
    const auto threshold = [&](const std::string& start) {
      return std::stod(name.substr(start.size()));
    };
    if (name.starts_with("nms.keep_")) {
      EXPECT_EQ(values(nms(boxes, scores, threshold("nms.keep_"))), values(kept)) << name;
    } else if (name.starts_with("nms.batched_keep_")) {
      EXPECT_EQ(
          values(grouped_nms(boxes, scores, tensor("nms.labels"), threshold("nms.batched_keep_"))),
          values(kept))
          << name;
    } else if (name.starts_with("nms.tie_keep_")) {
      EXPECT_EQ(values(nms(tensor("nms.tie_boxes"), tensor("nms.tie_scores"),
                           threshold("nms.tie_keep_"))),
                values(kept))
          << name;
    } else if (name.starts_with("multiclass.labels_max")) {
      const auto most = name.substr(std::string("multiclass.labels_max").size());
      const auto found = detect(tensor("multiclass.boxes"), tensor("multiclass.scores"), 0.05, 0.5,
                                std::stoll(most));
      EXPECT_EQ(values(found.labels), values(kept)) << name;
      EXPECT_TRUE(is(torch::cat({found.boxes, found.scores.unsqueeze(1)}, 1),
                     "multiclass.dets_max" + most));
    } else {
      continue;
    }
    ++seen;
  }
  EXPECT_GE(seen, 4);
}

TEST_F(BoxesDense, SoftSuppressionLowersTheSameScores) {
  for (const auto& [name, softening] : {std::pair{"naive", Softening::kNaive},
                                        {"linear", Softening::kLinear},
                                        {"gaussian", Softening::kGaussian}}) {
    SCOPED_TRACE(name);
    const auto found =
        soft_nms(tensor("nms.boxes"), tensor("nms.scores"), {softening, 0.3, 0.5, 0.05});
    const auto start = concat("soft_nms.", name);
    EXPECT_EQ(values(found.kept), values(tensor(start + ".keep")));
    EXPECT_TRUE(is(
        torch::cat({tensor("nms.boxes").index_select(0, found.kept), found.scores.unsqueeze(1)}, 1),
        start + ".dets"));
  }
}

TEST_F(BoxesDense, LossesAndGradientsAreTheSame) {
  const auto loss_is = [&](const char* name, const torch::Tensor& loss, double weight = 1) {
    const double expected = number(name, "loss");
    EXPECT_NEAR(weight * loss.item<double>(), expected, 1e-4 * std::abs(expected) + 1e-5) << name;
    (weight * loss).backward();
  };
  auto boxes = leaf("loss.giou.pred");
  loss_is(
      "loss_giou",
      generalized_iou_loss(boxes, tensor("loss.giou.target"), tensor("loss.giou.weight").mean(1),
                           number("loss_giou", "avg_factor")),
      number("loss_giou", "weight"));
  EXPECT_TRUE(is_gradient(boxes.grad(), "loss.giou.grad"));

  auto differences = leaf("loss.smooth_l1.pred");
  loss_is(
      "loss_smooth_l1",
      smooth_l1_loss(differences, tensor("loss.smooth_l1.target"), tensor("loss.smooth_l1.weight"),
                     number("loss_smooth_l1", "beta"), number("loss_smooth_l1", "avg_factor")));
  EXPECT_TRUE(is_gradient(differences.grad(), "loss.smooth_l1.grad"));

  auto logits = leaf("loss.rpn_cls.pred");
  loss_is("loss_rpn_cls",
          objectness_loss(logits.squeeze(1), tensor("loss.rpn_cls.label").eq(0),
                          tensor("loss.rpn_cls.weight"), number("loss_rpn_cls", "avg_factor")));
  EXPECT_TRUE(is_gradient(logits.grad(), "loss.rpn_cls.grad"));

  auto scores = leaf("loss.cls.pred");
  loss_is("loss_cls", at::cross_entropy_loss(scores, tensor("loss.cls.label")));
  EXPECT_TRUE(is_gradient(scores.grad(), "loss.cls.grad"));

  auto masks = leaf("loss.mask.pred");
  loss_is("loss_mask", mask_loss(masks, tensor("loss.mask.target"), tensor("loss.mask.label")));
  const double norm = number("loss_mask", "grad_norm");
  EXPECT_NEAR(masks.grad().norm().item<double>(), norm, 1e-3 * norm);
}

TEST_F(BoxesDense, RegionsTakeTheSameLevels) {
  EXPECT_EQ(values(level_of(tensor("levels.rois"), 4)), values(tensor("levels.level")));
}

TEST(Boxes, NothingToDetectIsNothingDetected) {
  const auto none = detect(torch::zeros({3, 8}), torch::zeros({3, 3}), 0.05, 0.5, 100);
  EXPECT_EQ(none.boxes.sizes(), (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(none.labels.numel(), 0);
  const auto features = roi_align(torch::rand({1, 2, 4, 4}), torch::zeros({0, 5}), {});
  EXPECT_EQ(features.sizes(), (std::vector<int64_t>{0, 2, 7, 7}));
  EXPECT_EQ(mask_loss(torch::zeros({0, 3, 28, 28}), torch::zeros({0, 28, 28}),
                      torch::zeros({0}, torch::kLong))
                .item<double>(),
            0);
}

class RoiAlignDense : public ::testing::Test {
 protected:
  torch::Tensor tensor(const std::string& name) const { return tensors_.at(name); }
  ::testing::AssertionResult is(const torch::Tensor& actual, const std::string& name) const {
    return near(actual, tensor(name), golden_.tolerance());
  }

  const testing::GoldenCase golden_ = dense_case("02_roi_align", "roi_align");
  const std::map<std::string, torch::Tensor> tensors_ = golden_.tensors();
};

TEST_F(RoiAlignDense, FeaturesAndGradientsAreTheSame) {
  const auto cases = golden_.json["cases"].elements();
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    const auto name = concat("case", i);
    auto features = tensor("feature").clone().requires_grad_();
    const auto output =
        roi_align(features, tensor(name + ".rois"),
                  {cases[i]["output"].get<std::array<int64_t, 2>>(),
                   cases[i]["scale"].get<double>(), cases[i]["sampling_ratio"].get<int64_t>()});
    EXPECT_TRUE(is(output, name + ".output"));
    output.backward(tensor(name + ".grad_output"));
    const auto expected = tensor(name + ".grad_feature");
    EXPECT_TRUE(
        near(features.grad(), expected, {0, 1e-3 * expected.abs().max().item<double>() + 1e-9}));
  }
}

TEST_F(RoiAlignDense, FeaturesOfAPyramidAreTheSame) {
  std::vector<torch::Tensor> features;
  while (tensors_.count(concat("levels.feature", features.size())) > 0) {
    features.push_back(tensor(concat("levels.feature", features.size())));
  }
  const auto regions = tensor("levels.rois");
  EXPECT_EQ(values(level_of(regions, static_cast<int64_t>(features.size()))),
            values(tensor("levels.level")));
  const auto expected = tensor("levels.output");
  EXPECT_TRUE(is(pyramid_features(features, regions, 4, {expected.size(2), expected.size(3)}),
                 "levels.output"));
}

TEST_F(RoiAlignDense, MaskTargetsAreTheSame) {
  const auto expected = tensor("mask.targets");
  const auto found = mask_targets(tensor("mask.bitmaps"), tensor("mask.proposals"),
                                  tensor("mask.gt_index"), expected.size(1));
  EXPECT_EQ(values(found), values(expected));
}

TEST_F(RoiAlignDense, PastedMasksAreTheSame) {
  const auto& paste_of = golden_.json["paste"];
  const auto soft = paste(tensor("paste.probabilities").squeeze(1), tensor("paste.boxes"),
                          paste_of["height"], paste_of["width"]);
  const auto first = tensor("paste.soft_first");
  EXPECT_TRUE(is(soft.slice(0, 0, first.size(0)), "paste.soft_first"));
  const auto differing = soft.ge(0.5).ne(tensor("paste.mask").ne(0));
  EXPECT_LE(differing.sum().item<int64_t>(),
            paste_of["pixels_within_1e5_of_threshold"].get<int64_t>());
}

}  // namespace
}  // namespace ibot::boxes
