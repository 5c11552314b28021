// Gradient all-reduce overlapped with the backward pass.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "ibot/dist/compression_options.h"
#include "ibot/dist/group.h"

namespace ibot::dist {

/// Averages the gradients of `parameters` over the ranks of a group, in buckets. As soon as the
/// backward pass has produced all gradients of a bucket, they are copied into one buffer and its
/// all-reduce starts. Buckets are filled in reverse parameter order, the order of backward passes.
///
/// The backward pass must reach the same parameters on every rank. Parameters that it does not
/// reach keep an undefined gradient.
///
/// Source: Li et al. 2020, "PyTorch distributed"; torch `DistributedDataParallel`.
class GradSync {
 public:
  GradSync(std::vector<torch::Tensor> parameters, Group group, Compression compression,
           int64_t bucket_bytes = 25 << 20);
  ~GradSync();
  GradSync(const GradSync&) = delete;
  GradSync& operator=(const GradSync&) = delete;

  /// Announces the last backward pass before finish(). It accumulates onto the gradients of earlier
  /// micro-batches; the accumulated sums are averaged over ranks.
  void begin();
  /// Returns when all gradients hold their average over ranks.
  void finish();

 private:
  struct Bucket;
  struct Hook;

  void gradient_made(size_t bucket);
  void start_complete_buckets();
  void start(Bucket& bucket);
  void store_average(Bucket& bucket);

  Group group_;
  Compression compression_;
  std::vector<Bucket> buckets_;
  size_t next_ = 0;  // the first bucket that has not started
  bool active_ = false;
};

}  // namespace ibot::dist
