// Options of end-to-end training on labels.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/image/filter_options.h"
#include "ibot/optim/optim_options.h"
#include "ibot/optim/schedule_options.h"
#include "ibot/train/run_options.h"

namespace ibot {
namespace eval {

/// How the learning rate moves: optim::CosineSchedule or optim::EpochSchedule.
enum class LrSchedule { kStep, kEpoch };

/// Position embeddings of a ViT: those of the weights, which learn; sines and cosines, or none,
/// which do not.
enum class Positions { kLearned, kSinusoid, kNone };

/// Defaults: fine-tuning on ImageNet with ViT-B. See semi_supervised_defaults, transfer_defaults.
struct FineTuneOptions {
  // What affects results.
  int64_t epochs = 100;
  int64_t batch_size = 128;
  int64_t accumulation = 1;
  int64_t repeats = 1;
  double lr = 1e-3;
  double lr_batch = 0;
  double min_lr = 1e-6;
  double warmup_lr = 0.0;
  LrSchedule schedule = LrSchedule::kStep;
  optim::LrCurve lr_curve = optim::LrCurve::kCosine;
  int64_t warmup_epochs = 20;
  int64_t warmup_steps = 0;
  double decay_epochs = 30;
  double decay_rate = 0.1;
  std::vector<double> lr_noise;
  double lr_noise_limit = 0.67;
  double layer_decay = 0.65;
  double weight_decay = 0.05;
  double weight_decay_end = 0.05;
  bool decay_positions = false;
  bool decay_bias_tables = true;
  Positions positions = Positions::kLearned;
  bool rel_pos_bias = false;
  double drop_path = 0.2;
  double dropout = 0.0;
  double attention_dropout = 0.0;
  double clip_grad = 0.0;
  optim::OptimizerKind optimizer = optim::OptimizerKind::kAdamW;
  double momentum = 0.9;
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;
  double ema = 0.0;
  bool test_ema = false;
  int64_t head_layers = 0;
  double head_scale = 0.001;
  data::Filter test_filter = data::Filter::kBilinear;
  double test_crop_ratio = 0.875;
  int64_t seed = 0;

  // What affects speed, and what is told.
  int64_t test_every_epochs = 1;

  train::RunOptions run;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("epochs", epochs, "passes over the data that the schedules span");
    field("batch_size", batch_size, "images a forward pass");
    field("accumulation", accumulation, "forward passes whose gradients make one step");
    field("repeats", repeats, "appearances of an image in an epoch, of fewer images; 1: each once");
    field("lr", lr, "peak learning rate of the head");
    field("lr_batch", lr_batch, "images a step that lr is for, scaled with the step's; 0: any");
    field("min_lr", min_lr, "learning rate at the end of its cosine schedule; not scaled");
    field("warmup_lr", warmup_lr, "learning rate that the warm-up begins with");
    field("schedule", schedule,
          "step: cosine after the warm-up, moving every step | epoch: every "
          "epoch, one epoch late, the cosine spanning the warm-up");
    field("lr_curve", lr_curve,
          "how the learning rate falls, with schedule epoch: cosine | tanh | step; with schedule "
          "step: cosine");
    field("warmup_epochs", warmup_epochs, "epochs over which the learning rate rises");
    field("warmup_steps", warmup_steps, "steps instead of epochs, for schedule step; 0: epochs");
    field("decay_epochs", decay_epochs, "epochs between two steps down of lr_curve step");
    field("decay_rate", decay_rate, "factor of the learning rate at a step down of lr_curve step");
    field("lr_noise", lr_noise,
          "share of the epochs from which the learning rate is noisy, with schedule epoch, and a "
          "second one until which; []: none");
    field("lr_noise_limit", lr_noise_limit, "largest relative deviation of a noisy learning rate");
    field("layer_decay", layer_decay, "factor of the learning rate from a layer to the one below");
    field("weight_decay", weight_decay,
          "weight decay at the first step (biases and 1-D tensors: none)");
    field("weight_decay_end", weight_decay_end, "weight decay at the end of its cosine schedule");
    field("decay_positions", decay_positions, "weight decay of class token and positions as well");
    field("decay_bias_tables", decay_bias_tables, "weight decay of biases of attention as well");
    field("positions", positions,
          "position embeddings of vit: learned, from the weights | sinusoid, fixed | none");
    field("rel_pos_bias", rel_pos_bias,
          "learnt bias of vit's attention by the offset between patches, from 0 where the weights "
          "have none");
    field("drop_path", drop_path, "stochastic depth of the last block, rising from 0");
    field("dropout", dropout,
          "share dropped of tokens with positions, and of what attention and MLP give");
    field("attention_dropout", attention_dropout, "share of attention weights dropped");
    field("clip_grad", clip_grad, "largest L2 norm of the whole gradient; 0: no limit");
    field("optimizer", optimizer, "adamw | adam | sgd | nesterov | lars");
    field("momentum", momentum, "of sgd, nesterov and lars");
    field("betas", betas, "decay of the two moments of AdamW and Adam");
    field("eps", eps, "added to the square root of the second moment of AdamW and Adam");
    field("ema", ema, "weight of a moving average of the network in itself a step; 0: none");
    field("test_ema", test_ema, "test the moving average as well");
    field("head_layers", head_layers,
          "layers of the projection head kept below the classifier, "
          "0 to 3; 3 keeps its prototypes too");
    field("head_scale", head_scale, "factor of the classifier's initial weights");
    field("test_filter", test_filter, "of resizing test images: bilinear | bicubic | lanczos");
    field("test_crop_ratio", test_crop_ratio, "side of the test crop over the resized short side");
    field("test_every_epochs", test_every_epochs, "epochs between tests; the last one always",
          Effect::kNone);
    field("seed", seed, "of the head, sample order, images, mixing and drop path");
    run.fields(field);
  }

  void validate() const {
    run.validate();
    for (const auto& [key, value] : {std::pair{"epochs", epochs},
                                     {"batch_size", batch_size},
                                     {"accumulation", accumulation},
                                     {"repeats", repeats},
                                     {"test_every_epochs", test_every_epochs}}) {
      check_option(value > 0, key, "expected above 0, got ", value);
    }
    for (const auto& [key, value] : {std::pair{"lr", lr},
                                     {"decay_epochs", decay_epochs},
                                     {"decay_rate", decay_rate},
                                     {"lr_noise_limit", lr_noise_limit}}) {
      check_option(value > 0, key, "expected above 0, got ", value);
    }
    for (const auto& [key, value] : {std::pair{"lr_batch", lr_batch},
                                     {"min_lr", min_lr},
                                     {"warmup_lr", warmup_lr},
                                     {"weight_decay", weight_decay},
                                     {"weight_decay_end", weight_decay_end},
                                     {"clip_grad", clip_grad}}) {
      check_option(value >= 0, key, "expected 0 or more, got ", value);
    }
    for (const auto& [key, value] : {std::pair{"warmup_epochs", warmup_epochs},
                                     {"warmup_steps", warmup_steps},
                                     {"seed", seed}}) {
      check_option(value >= 0, key, "expected 0 or more, got ", value);
    }
    for (const auto& [key, value] : {std::pair{"drop_path", drop_path},
                                     {"dropout", dropout},
                                     {"attention_dropout", attention_dropout},
                                     {"momentum", momentum},
                                     {"ema", ema}}) {
      check_option(value >= 0 && value < 1, key, "expected [0, 1), got ", value);
    }
    for (const auto& [key, value] : {std::pair{"layer_decay", layer_decay},
                                     {"head_scale", head_scale},
                                     {"test_crop_ratio", test_crop_ratio}}) {
      check_option(value > 0 && value <= 1, key, "expected (0, 1], got ", value);
    }
    check_option(!test_ema || ema > 0, "test_ema", "expected false without ema, got true");
    check_option(head_layers >= 0 && head_layers <= 3, "head_layers", "expected 0 to 3, got ",
                 head_layers);
    optim::validate_moments(betas, eps);
    validate_curve();
  }

  /// The other curves, and noise, are those of timm's schedulers, which move with epochs.
  void validate_curve() const {
    const bool by_epochs = schedule == LrSchedule::kEpoch;
    check_option(by_epochs || lr_curve == optim::LrCurve::kCosine, "lr_curve",
                 "expected cosine with schedule step, got ", enum_name(lr_curve));
    check_option(by_epochs || lr_noise.empty(), "lr_noise", "expected [] with schedule step, got ",
                 lr_noise.size(), " numbers");
    check_option(lr_noise.size() <= 2, "lr_noise", "expected at most two numbers, got ",
                 lr_noise.size());
    for (const double share : lr_noise) {
      check_option(share >= 0 && share <= 1, "lr_noise", "expected numbers in [0, 1], got ", share);
    }
    check_option(lr_noise.size() < 2 || lr_noise[0] < lr_noise[1], "lr_noise",
                 "expected the second number above the first");
  }
};

/// Transfer to a smaller data set: the schedule moves with epochs, no layer decay, every image
/// three times in a row.
inline FineTuneOptions transfer_defaults() {
  FineTuneOptions options;
  options.epochs = 1000;
  options.batch_size = 96;
  options.repeats = 3;
  options.lr = 7.5e-6;
  options.lr_batch = 512;
  options.min_lr = 1e-5;
  options.warmup_lr = 1e-6;
  options.schedule = LrSchedule::kEpoch;
  options.warmup_epochs = 5;
  options.layer_decay = 1.0;
  options.decay_positions = true;
  options.drop_path = 0.1;
  options.ema = 0.99996;
  options.head_scale = 1.0;
  options.test_filter = data::Filter::kBicubic;
  return options;
}

/// A few labels of the data set that was pre-trained on, from the first layer of the projection
/// head.
inline FineTuneOptions semi_supervised_defaults() {
  FineTuneOptions options = transfer_defaults();
  options.batch_size = 128;
  options.lr = 5e-6;
  options.head_layers = 1;
  return options;
}

}  // namespace eval

template <>
struct EnumNames<eval::Positions> {
  static constexpr std::array<std::pair<eval::Positions, std::string_view>, 3> values{
      {{eval::Positions::kLearned, "learned"},
       {eval::Positions::kSinusoid, "sinusoid"},
       {eval::Positions::kNone, "none"}}};
};

template <>
struct EnumNames<eval::LrSchedule> {
  static constexpr std::array<std::pair<eval::LrSchedule, std::string_view>, 2> values{
      {{eval::LrSchedule::kStep, "step"}, {eval::LrSchedule::kEpoch, "epoch"}}};
};

}  // namespace ibot
