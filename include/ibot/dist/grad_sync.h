// Gradients averaged over ranks while the backward pass goes on.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "ibot/dist/compression_options.h"
#include "ibot/dist/group.h"

namespace ibot::dist {

/// Averages the gradients of some parameters over the ranks of a group, in buckets: as soon as a
/// backward pass has made all gradients of a bucket they are copied together and their reduction
/// starts. Buckets are filled in the reverse of the parameters' order, in which backward passes
/// run.
///
/// Every rank's backward pass reaches the same parameters. Those that it does not reach keep no
/// gradient.
///
/// Source: Li et al. 2020, "PyTorch distributed"; torch `DistributedDataParallel`.
class GradSync {
 public:
  GradSync(std::vector<torch::Tensor> parameters, Group group, Compression compression,
           int64_t bucket_bytes = 25 << 20);
  ~GradSync();
  GradSync(const GradSync&) = delete;
  GradSync& operator=(const GradSync&) = delete;

  /// The next backward pass is the last one before finish(); gradients of earlier ones, which it
  /// adds to, are averaged with its own.
  void begin();
  /// Returns when all gradients are averages.
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
