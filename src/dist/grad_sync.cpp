#include "ibot/dist/grad_sync.h"

#include <ATen/ops/_foreach_copy.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

namespace ibot::dist {
namespace {

torch::ScalarType type_of(Compression compression) {
  switch (compression) {
    case Compression::kFp16:
      return torch::kHalf;
    case Compression::kBf16:
      return torch::kBFloat16;
    case Compression::kNone:
      break;
  }
  return torch::kFloat;
}

}  // namespace

struct GradSync::Bucket {
  std::vector<torch::Tensor> parameters;
  size_t missing = 0;  // gradients still to be produced by this backward pass
  torch::Tensor flat;
  Pending pending;
};

// Runs after accumulation, so the sum over several micro-batches is reduced once.
struct GradSync::Hook : torch::autograd::PostAccumulateGradHook {
  Hook(GradSync& owner, size_t index) : sync(owner), bucket(index) {}
  void operator()(const torch::autograd::Variable&) override { sync.gradient_made(bucket); }

  GradSync& sync;
  const size_t bucket;
};

GradSync::GradSync(std::vector<torch::Tensor> parameters, Group group, Compression compression,
                   int64_t bucket_bytes)
    : group_(std::move(group)), compression_(compression) {
  if (group_.size() == 1) return;
  int64_t bytes = bucket_bytes;  // full: the first parameter opens a bucket
  // In reverse order: the backward pass produces the gradients of the last layers first.
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    if (bytes >= bucket_bytes) {
      buckets_.emplace_back();
      bytes = 0;
    }
    bytes += static_cast<int64_t>(parameter->nbytes());
    buckets_.back().parameters.push_back(*parameter);
    torch::autograd::impl::set_post_acc_grad_hooks(
        *parameter, std::make_unique<Hook>(*this, buckets_.size() - 1));
  }
}

GradSync::~GradSync() {
  for (auto& bucket : buckets_) {
    for (auto& parameter : bucket.parameters) {
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
    }
  }
}

void GradSync::begin() {
  for (auto& bucket : buckets_) bucket.missing = bucket.parameters.size();
  next_ = 0;
  active_ = true;
}

void GradSync::gradient_made(size_t bucket) {
  if (!active_) return;
  --buckets_[bucket].missing;
  start_complete_buckets();
}

// In bucket order only: collectives match by the order of their calls, which must be equal on all
// ranks, while gradients may become ready in different orders.
void GradSync::start_complete_buckets() {
  while (next_ < buckets_.size() && buckets_[next_].missing == 0) start(buckets_[next_++]);
}

void GradSync::start(Bucket& bucket) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> parts;
  for (const auto& parameter : bucket.parameters) {
    if (parameter.grad().defined()) parts.push_back(parameter.grad().flatten());
  }
  if (parts.empty()) return;
  bucket.flat = torch::cat(parts);  // [sum of numel]
  // Divided before the cast: half precision must hold the range of the average, not of the sum.
  bucket.flat.div_(static_cast<double>(group_.size()));
  if (compression_ != Compression::kNone) bucket.flat = bucket.flat.to(type_of(compression_));
  bucket.pending = group_.start_all_reduce_(bucket.flat, Reduction::kSum);
}

void GradSync::finish() {
  // Buckets with parameters that the backward pass did not reach.
  while (next_ < buckets_.size()) start(buckets_[next_++]);
  for (auto& bucket : buckets_) store_average(bucket);
  active_ = false;
}

void GradSync::store_average(Bucket& bucket) {
  if (!bucket.flat.defined()) return;
  const torch::NoGradGuard no_grad;
  bucket.pending.wait();
  std::vector<torch::Tensor> gradients, averages;
  int64_t first = 0;
  for (const auto& parameter : bucket.parameters) {
    if (!parameter.grad().defined()) continue;
    gradients.push_back(parameter.grad());
    averages.push_back(bucket.flat.narrow(0, first, parameter.numel()).view(parameter.sizes()));
    first += parameter.numel();
  }
  // One kernel per bucket instead of one per parameter; also casts back to float32.
  at::_foreach_copy_(gradients, averages);
  bucket.flat.reset();
}

}  // namespace ibot::dist
