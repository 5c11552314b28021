// Options of training and testing a detector.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/coco/view_options.h"
#include "ibot/train/run_options.h"

namespace ibot {
namespace eval {

/// How overlapping detections of a class are thinned out: removed, or their scores lowered.
enum class Suppression { kHard, kSoftNaive, kSoftLinear, kSoftGaussian };

/// Defaults: Cascade Mask R-CNN on COCO with ViT-S.
struct DetectOptions {
  // What affects results.
  int64_t epochs = 12;
  int64_t batch_size = 2;
  double lr = 1e-4;
  std::vector<int64_t> decay_epochs{8, 11};
  double decay_rate = 0.1;
  int64_t warmup_steps = 500;
  double warmup_ratio = 1e-3;
  double weight_decay = 0.05;
  double layer_decay = 0.8;
  double clip_grad = 0.0;
  double drop_path = 0.1;
  std::vector<int64_t> taps;
  std::vector<int64_t> position_size{800, 1008};
  coco::ViewOptions view;
  int64_t channels = 256;
  int64_t hidden = 1024;
  int64_t train_proposals = 2000;
  int64_t test_proposals = 1000;
  int64_t anchors_sampled = 256;
  int64_t regions_sampled = 512;
  bool synced_losses = false;
  std::vector<int64_t> test_size{800, 1333};
  double least_score = 0.05;
  double nms_threshold = 0.5;
  Suppression suppression = Suppression::kHard;
  int64_t seed = 0;

  // What affects speed, memory, and what is read, kept or told.
  std::string train_images = "train2017";
  std::string train_annotations = "annotations/instances_train2017.json";
  std::string val_images = "val2017";
  std::string val_annotations = "annotations/instances_val2017.json";
  int64_t max_detections = 100;
  int64_t drawings = 0;
  int64_t test_every_epochs = 1;

  train::RunOptions run{.log_every_steps = 50};

  template <class Visitor>
  void fields(Visitor&& field) {
    field("train_images", train_images, "folder of the training images below --data",
          Effect::kNone);
    field("train_annotations", train_annotations, "their annotations, in COCO's format",
          Effect::kNone);
    field("val_images", val_images, "folder of the test images below --data", Effect::kNone);
    field("val_annotations", val_annotations, "their annotations", Effect::kNone);
    field("epochs", epochs, "passes over the training images");
    field("batch_size", batch_size, "images per rank and step");
    field("lr", lr, "learning rate of neck and heads, for the batch of all ranks");
    field("decay_epochs", decay_epochs, "epochs, from 0, at whose start the learning rate falls");
    field("decay_rate", decay_rate, "factor of the learning rate at each of them");
    field("warmup_steps", warmup_steps, "steps over which the learning rate rises");
    field("warmup_ratio", warmup_ratio, "share of the learning rate that the warm-up begins with");
    field("weight_decay", weight_decay, "weight decay; biases and 1-D tensors of vit have none");
    field("layer_decay", layer_decay,
          "factor of the learning rate from a layer of vit to the one below; swin has none");
    field("clip_grad", clip_grad, "largest L2 norm of the whole gradient; 0: no limit");
    field("drop_path", drop_path, "stochastic depth of the last block, rising from 0");
    field("taps", taps,
          "blocks of vit, from 0, whose outputs are read; []: after a third, half, two thirds and "
          "all of the depth");
    field("position_size", position_size,
          "height and width in pixels for which vit's positions are stored; [0, 0]: those of the "
          "weights");
    view.fields(field);
    field("channels", channels, "width of the feature pyramid and of the heads' convolutions");
    field("hidden", hidden, "width of the box heads' fully connected layer");
    field("train_proposals", train_proposals, "proposals per image in training");
    field("test_proposals", test_proposals, "proposals per image in tests");
    field("anchors_sampled", anchors_sampled, "anchors per image that proposals are trained on");
    field("regions_sampled", regions_sampled, "regions per image that each stage is trained on");
    field("synced_losses", synced_losses,
          "divide losses by what all ranks sampled, so that ranks equal one with a larger batch; "
          "mmdetection divides by what each rank sampled");
    field("test_size", test_size, "largest short and long side of test images in pixels");
    field("least_score", least_score, "lowest score of a detection");
    field("nms_threshold", nms_threshold,
          "overlap from which on detections of a class are thinned out");
    field("suppression", suppression,
          "of overlapping detections: hard, remove | soft_naive | soft_linear | soft_gaussian, "
          "lower their scores");
    field("max_detections", max_detections, "detections per image");
    field("drawings", drawings, "test images drawn with their detections, in OUT/drawings",
          Effect::kNone);
    field("test_every_epochs", test_every_epochs, "epochs between tests; the last one always",
          Effect::kNone);
    field("seed", seed, "of initial weights, order, views, samples and drop path");
    run.fields(field);
  }

  void validate() const {
    run.validate();
    view.validate();
    for (const auto& [key, value] : {std::pair{"epochs", epochs},
                                     {"batch_size", batch_size},
                                     {"channels", channels},
                                     {"hidden", hidden},
                                     {"train_proposals", train_proposals},
                                     {"test_proposals", test_proposals},
                                     {"anchors_sampled", anchors_sampled},
                                     {"regions_sampled", regions_sampled},
                                     {"max_detections", max_detections},
                                     {"test_every_epochs", test_every_epochs}}) {
      check_option(value > 0, key, "expected above 0, got ", value);
    }
    for (const auto& [key, value] :
         {std::pair{"warmup_steps", warmup_steps}, {"drawings", drawings}, {"seed", seed}}) {
      check_option(value >= 0, key, "expected 0 or more, got ", value);
    }
    for (const auto& [key, value] : {std::pair{"lr", lr}, {"decay_rate", decay_rate}}) {
      check_option(value > 0, key, "expected above 0, got ", value);
    }
    for (const auto& [key, value] :
         {std::pair{"weight_decay", weight_decay}, {"clip_grad", clip_grad}}) {
      check_option(value >= 0, key, "expected 0 or more, got ", value);
    }
    for (const auto& [key, value] : {std::pair{"warmup_ratio", warmup_ratio},
                                     {"least_score", least_score},
                                     {"nms_threshold", nms_threshold}}) {
      check_option(value >= 0 && value <= 1, key, "expected [0, 1], got ", value);
    }
    check_option(drop_path >= 0 && drop_path < 1, "drop_path", "expected [0, 1), got ", drop_path);
    check_option(layer_decay > 0 && layer_decay <= 1, "layer_decay", "expected (0, 1], got ",
                 layer_decay);
    check_option(taps.empty() || taps.size() == 4, "taps", "expected four blocks or [], got ",
                 taps.size());
    check_option(position_size.size() == 2 && position_size[0] >= 0 &&
                     (position_size[0] > 0) == (position_size[1] > 0),
                 "position_size", "expected height and width above 0, or [0, 0]");
    check_option(test_size.size() == 2 && test_size[0] > 0 && test_size[1] >= test_size[0],
                 "test_size", "expected the short side before the long one, both above 0");
  }
};

}  // namespace eval

template <>
struct EnumNames<eval::Suppression> {
  static constexpr std::array<std::pair<eval::Suppression, std::string_view>, 4> values{
      {{eval::Suppression::kHard, "hard"},
       {eval::Suppression::kSoftNaive, "soft_naive"},
       {eval::Suppression::kSoftLinear, "soft_linear"},
       {eval::Suppression::kSoftGaussian, "soft_gaussian"}}};
};

}  // namespace ibot
