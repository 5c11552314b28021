// The smallest detector, and images of squares for it.
#pragma once

#include <vector>

#include "ibot/base/rng.h"
#include "ibot/eval/detect_step.h"

namespace ibot::testing {

inline models::BackboneOptions tiny_detector_backbone() {
  models::BackboneOptions backbone;
  backbone.patch_size = 16;
  backbone.image_size = 64;
  backbone.embed_dim = 16;
  backbone.depth = {4};
  backbone.heads = {2};
  return backbone;
}

inline eval::DetectOptions tiny_detect_options() {
  eval::DetectOptions options;
  options.batch_size = 2;
  options.lr = 1e-3;
  options.warmup_steps = 0;
  options.drop_path = 0.2;
  options.position_size = {0, 0};
  options.channels = 8;
  options.hidden = 16;
  options.train_proposals = 40;
  options.test_proposals = 20;
  options.anchors_sampled = 32;
  options.regions_sampled = 24;
  options.run.precision = optim::Precision::kFp32;
  return options;
}

/// Image `id` with one to three objects; a function of its number.
inline void add_detection_image(batch::DetectionBatch& batch, int64_t place, int64_t id) {
  Rng rng(7, 0, static_cast<uint64_t>(id), 0);
  auto& image = batch.image;
  for (int64_t i = 0; i < 3; ++i) image[place][i].fill_(rng.integer(60, 200));
  std::vector<torch::Tensor> boxes, masks;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i <= id % 3; ++i) {
    const int64_t side = rng.integer(20, 36);
    const int64_t left = rng.integer(0, 63 - side);
    const int64_t top = rng.integer(0, 63 - side);
    const auto label = rng.integer(0, 2);
    auto mask = torch::zeros({64, 64}, torch::kByte);
    mask.narrow(0, top, side).narrow(1, left, side).fill_(1);
    image[place][label].masked_fill_(mask.ne(0), 255);
    boxes.push_back(torch::tensor({left, top, left + side, top + side}, torch::kFloat));
    masks.push_back(mask);
    labels.push_back(label);
  }
  batch.boxes.push_back(torch::stack(boxes));
  batch.masks.push_back(torch::stack(masks));
  batch.labels.push_back(torch::tensor(labels, torch::kLong));
  batch.sample_id[place] = id;
}

inline batch::DetectionBatch detection_batch(const std::vector<int64_t>& ids) {
  const auto count = static_cast<int64_t>(ids.size());
  batch::DetectionBatch batch;
  batch.image = torch::empty({count, 3, 64, 64}, torch::kByte);
  batch.size = torch::full({count, 2}, 64, torch::kLong);
  batch.sample_id = torch::empty({count}, torch::kLong);
  for (int64_t i = 0; i < count; ++i) add_detection_image(batch, i, ids[i]);
  return batch;
}

}  // namespace ibot::testing
