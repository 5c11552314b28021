// Images whose brightness is their class, and a classifier that learns them in moments.
#pragma once

#include <cstdint>
#include <optional>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/labeled_batch.h"
#include "ibot/eval/classifier.h"
#include "ibot/eval/fine_tune_options.h"

namespace ibot::eval {

constexpr int64_t kSize = 8;
constexpr int64_t kBatch = 4;
constexpr int64_t kStepsPerEpoch = 3;

inline ClassifierOptions tiny_classifier() {
  ClassifierOptions options;
  options.backbone.arch = "vit_tiny";
  options.backbone.image_size = kSize;
  options.backbone.patch_size = 4;
  options.backbone.embed_dim = 16;
  options.backbone.depth = {2};
  options.backbone.heads = {2};
  options.backbone.drop_path = 0.2;
  options.projection = {.prototypes = 12, .hidden_dim = 10, .bottleneck_dim = 6};
  options.classes = 3;
  return options;
}

inline ClassifierOptions tiny_swin() {
  auto options = tiny_classifier();
  options.backbone.arch = "swin_tiny";
  options.backbone.window_size = 2;
  options.backbone.embed_dim = 8;
  options.backbone.depth = {1, 1};
  options.backbone.heads = {2, 2};
  return options;
}

inline FineTuneOptions tiny_options() {
  FineTuneOptions options;
  options.epochs = 4;
  options.batch_size = kBatch;
  options.lr = 1e-2;
  options.warmup_epochs = 1;
  options.run.precision = optim::Precision::kFp32;
  options.run.log_every_steps = 2;
  return options;
}

/// Batch i is a pure function of i: class c has brightness 60 c + 40, with some noise.
class LevelSource : public batch::BatchSource<batch::LabeledBatch> {
 public:
  explicit LevelSource(int64_t first, int64_t size = kBatch) : next_(first), size_(size) {}

  std::optional<batch::LabeledBatch> next() override {
    const auto number = next_++;
    const auto label = (torch::arange(size_) + number) % 3;
    const auto noise = torch::arange(size_ * 3 * kSize * kSize).mul(number * 2 + 7).remainder(23);
    const auto image =
        noise.view({size_, 3, kSize, kSize}) + label.view({size_, 1, 1, 1}) * 60 + 40;
    return batch::LabeledBatch{image.to(torch::kByte), label, torch::arange(size_)};
  }

 private:
  int64_t next_;
  int64_t size_;
};

/// The first `count` batches of a LevelSource.
class FewBatches : public batch::BatchSource<batch::LabeledBatch> {
 public:
  explicit FewBatches(int64_t count) : left_(count) {}
  std::optional<batch::LabeledBatch> next() override {
    return left_-- > 0 ? source_.next() : std::nullopt;
  }

 private:
  LevelSource source_{1000};
  int64_t left_;
};

inline Accuracy test_on_levels(Classifier& classifier) {
  FewBatches batches(3);
  return test_classifier(classifier, batches, {}, torch::kCPU, optim::Precision::kFp32);
}

}  // namespace ibot::eval
