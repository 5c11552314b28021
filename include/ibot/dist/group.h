// The ranks of one job, and what they do together.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "ibot/base/error.h"

namespace ibot::dist {

/// Another rank died, stopped, failed or did not come. The message names it.
class PeerError : public Error {
 public:
  using Error::Error;
};

enum class Reduction { kSum, kMean, kMax };

class GroupState;

/// A reduction under way. Its tensor must be left alone until wait() returns.
class Pending {
 public:
  Pending() = default;  // nothing is under way
  /// On a GPU the current stream waits, not the host.
  void wait();

 private:
  friend class Group;
  struct Work;
  explicit Pending(std::shared_ptr<Work> work) : work_(std::move(work)) {}
  std::shared_ptr<Work> work_;
};

/// A handle on the ranks of a job; copies are the same group. Every rank makes the same calls in
/// the same order, with tensors of the same shape and type, on any device. A group of one does
/// nothing, so that callers never ask whether a run is distributed. Throws PeerError where a rank
/// is lost; the group is then of no more use.
class Group {
 public:
  Group() = default;  // of one
  explicit Group(std::shared_ptr<GroupState> state) : state_(std::move(state)) {}

  int64_t rank() const;
  int64_t size() const;

  void all_reduce_(const torch::Tensor& tensor, Reduction reduction) const;
  /// `tensor` lies on the group's device.
  Pending start_all_reduce_(const torch::Tensor& tensor, Reduction reduction) const;
  /// [...] of each rank → [size, ...]
  torch::Tensor all_gather(const torch::Tensor& tensor) const;
  /// The values of rank `root` for all.
  void broadcast_(const torch::Tensor& tensor, int64_t root) const;
  /// Returns when every rank has called it.
  void barrier() const;
  /// Whether `value` holds on any rank.
  bool any(bool value) const;

  /// While one lives, this rank does nothing but what all ranks do, each in about the same time: if
  /// it keeps the others waiting for longer than ConnectOptions::stall_timeout, it counts as lost
  /// although it lives. One at a time.
  class InStep {
   public:
    explicit InStep(const Group& group);
    ~InStep();
    InStep(const InStep&) = delete;
    InStep& operator=(const InStep&) = delete;

   private:
    std::shared_ptr<GroupState> state_;
  };

  /// Throws PeerError when a rank is known to be lost.
  void check() const;
  /// Tells the other ranks why this one is about to end; their PeerError repeats it.
  void report_failure(const std::string& message) const;

 private:
  std::shared_ptr<GroupState> state_;
};

/// Sum over ranks, of which a gradient is again the sum over ranks.
torch::Tensor all_reduce_sum(const torch::Tensor& tensor, const Group& group);

}  // namespace ibot::dist
