// Options of training and testing a segmentor.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/data/segmentation_options.h"
#include "ibot/image/segmentation_options.h"
#include "ibot/optim/optim_options.h"
#include "ibot/segmentation/segmentor_options.h"
#include "ibot/train/run_options.h"

namespace ibot::eval {

/// Defaults: UPerNet on ADE20K with ViT-S/16.
struct SegmentOptions {
  // What affects results.
  segmentation::HeadKind head = segmentation::HeadKind::kUper;
  int64_t channels = 0;
  double auxiliary_weight = 0.4;
  std::vector<int64_t> taps;
  bool out_with_norm = true;
  double drop_path = 0.1;
  double dropout = 0.1;
  int64_t iterations = 160000;
  int64_t batch_size = 4;
  int64_t accumulation = 1;
  double lr = 3e-5;
  int64_t warmup_iterations = 1500;
  double warmup_ratio = 1e-6;
  double power = 1.0;
  double layer_decay = 0.9;
  double weight_decay = 0.05;
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;
  double clip_grad = 0.0;
  data::SegmentationSetOptions set;
  data::SegmentationTransformOptions transform;
  int64_t stride = 341;
  std::vector<double> test_ratios;
  bool test_flip = false;
  int64_t seed = 0;

  // What affects speed, memory, and what is read, kept or told.
  int64_t test_every_epochs = 0;
  int64_t window_batch = 4;
  bool save_predictions = false;
  int64_t overlays = 0;

  train::RunOptions run{.log_every_steps = 50, .save_every_steps = 1000};

  template <class Visitor>
  void fields(Visitor&& field) {
    field("head", head,
          "upernet, trained with the backbone and an auxiliary head | linear, one convolution on a "
          "frozen backbone");
    field("channels", channels, "channels within upernet; 0: the width of a ViT, 512 on Swin");
    field("auxiliary_weight", auxiliary_weight,
          "weight of the auxiliary head's loss; 0: no auxiliary head");
    field(
        "taps", taps,
        "four blocks of a ViT whose outputs are read, from 0; []: after a third, half, two thirds "
        "and all of them");
    field("out_with_norm", out_with_norm, "pass these outputs through the final norm of a ViT");
    field("drop_path", drop_path, "stochastic depth of the last block, rising from 0");
    field("dropout", dropout, "share of the channels dropped before a classifier");
    field("iterations", iterations, "forward and backward passes of the run");
    field("batch_size", batch_size, "images per rank and iteration");
    field("accumulation", accumulation, "iterations whose gradients make one update");
    field("lr", lr, "peak learning rate of the head");
    field("warmup_iterations", warmup_iterations, "iterations over which the learning rate rises");
    field("warmup_ratio", warmup_ratio, "share of the learning rate that the warm-up begins with");
    field("power", power, "of what is left of the run, which the learning rate falls with");
    field("layer_decay", layer_decay,
          "factor of the learning rate from a block to the one below; 1: none");
    field("weight_decay", weight_decay,
          "weight decay; on a ViT with upernet not of biases and 1-D tensors, on Swin not of norms "
          "and bias tables");
    field("betas", betas, "decay of the two moments of AdamW");
    field("eps", eps, "added to the square root of the second moment");
    field("clip_grad", clip_grad, "largest L2 norm of the whole gradient; 0: no limit");
    set.fields(field);
    transform.fields(field);
    field("stride", stride, "pixels from one test window to the next");
    field("test_ratios", test_ratios,
          "sizes of a test image relative to resize_short, averaged; []: resized once as for "
          "training, at factor 1");
    field("test_flip", test_flip, "average over mirrored test images too");
    field("test_every_epochs", test_every_epochs,
          "epochs between tests while training; 0: only at the end", Effect::kNone);
    field("window_batch", window_batch, "windows of a test image that are seen at once",
          Effect::kNone);
    field("save_predictions", save_predictions,
          "write the predicted label map of each test image to OUT/predictions", Effect::kNone);
    field("overlays", overlays,
          "write so many test images under their predicted labels to OUT/overlays; -1: all",
          Effect::kNone);
    field("seed", seed, "of heads, sample order, crops, colors, dropout and drop path");
    run.fields(field);
  }

  void validate() const {
    run.validate();
    set.validate();
    transform.validate();
    for (const auto& [key, value] : {std::pair{"iterations", iterations},
                                     {"batch_size", batch_size},
                                     {"accumulation", accumulation},
                                     {"stride", stride},
                                     {"window_batch", window_batch}}) {
      check_option(value > 0, key, "expected above 0, got ", value);
    }
    check_option(iterations % accumulation == 0, "iterations",
                 "expected a multiple of accumulation ", accumulation, ", got ", iterations);
    check_option(stride <= transform.crop_size, "stride", "expected at most crop_size ",
                 transform.crop_size, ", got ", stride, "; pixels between windows have no label");
    for (const auto& [key, value] : {std::pair{"channels", channels},
                                     {"warmup_iterations", warmup_iterations},
                                     {"test_every_epochs", test_every_epochs},
                                     {"seed", seed}}) {
      check_option(value >= 0, key, "expected 0 or more, got ", value);
    }
    for (const auto& [key, value] : {std::pair{"drop_path", drop_path}, {"dropout", dropout}}) {
      check_option(value >= 0 && value < 1, key, "expected [0, 1), got ", value);
    }
    for (const auto& [key, value] :
         {std::pair{"warmup_ratio", warmup_ratio}, {"layer_decay", layer_decay}}) {
      check_option(value > 0 && value <= 1, key, "expected (0, 1], got ", value);
    }
    for (const double ratio : test_ratios) {
      check_option(ratio > 0, "test_ratios", "expected numbers above 0, got ", ratio);
    }
    check_option(lr > 0, "lr", "expected above 0, got ", lr);
    check_option(power > 0, "power", "expected above 0, got ", power);
    check_option(weight_decay >= 0, "weight_decay", "expected 0 or more, got ", weight_decay);
    check_option(auxiliary_weight >= 0, "auxiliary_weight", "expected 0 or more, got ",
                 auxiliary_weight);
    check_option(clip_grad >= 0, "clip_grad", "expected 0 or more, got ", clip_grad);
    check_option(overlays >= -1, "overlays", "expected -1 or more, got ", overlays);
    optim::validate_moments(betas, eps);
  }
};

}  // namespace ibot::eval
