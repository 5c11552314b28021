// The ranks of one job and their collective operations.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "ibot/base/error.h"

namespace ibot::dist {

/// Another rank died, stopped, failed or never joined; the message names it.
class PeerError : public Error {
 public:
  using Error::Error;
};

enum class Reduction { kSum, kMean, kMax };

class GroupState;

/// An all-reduce in flight. Its tensor must not be read or written until wait() returns.
class Pending {
 public:
  Pending() = default;  // nothing in flight
  /// On a GPU only the current stream waits; the host continues.
  void wait();

 private:
  friend class Group;
  struct Work;
  explicit Pending(std::shared_ptr<Work> work) : work_(std::move(work)) {}
  std::shared_ptr<Work> work_;
};

/// A handle to the ranks of a job; copies refer to the same group. All ranks issue the same calls
/// in the same order, with tensors of equal shape and dtype, on any device. In a group of one,
/// calls do nothing, so callers need not ask whether a run is distributed. Throws PeerError when a
/// rank is lost; the group is unusable afterwards.
class Group {
 public:
  Group() = default;  // of one
  explicit Group(std::shared_ptr<GroupState> state) : state_(std::move(state)) {}

  int64_t rank() const;
  int64_t size() const;

  void all_reduce_(const torch::Tensor& tensor, Reduction reduction) const;
  /// `tensor` must be on the group's device.
  Pending start_all_reduce_(const torch::Tensor& tensor, Reduction reduction) const;
  /// [...] of each rank → [size, ...]
  torch::Tensor all_gather(const torch::Tensor& tensor) const;
  /// Overwrites `tensor` with the values of rank `root`.
  void broadcast_(const torch::Tensor& tensor, int64_t root) const;
  /// Returns once every rank has called it.
  void barrier() const;
  /// Logical or over ranks.
  bool any(bool value) const;

  /// Scope in which all ranks do the same work in about the same time: a rank that keeps the others
  /// waiting for longer than ConnectOptions::stall_timeout then counts as lost although its
  /// heartbeat continues. At most one at a time.
  class InStep {
   public:
    explicit InStep(const Group& group);
    ~InStep();
    InStep(const InStep&) = delete;
    InStep& operator=(const InStep&) = delete;

   private:
    std::shared_ptr<GroupState> state_;
  };

  /// Throws PeerError if a rank is known to be lost.
  void check() const;
  /// Tells the other ranks why this one is about to exit; their PeerError repeats the message.
  void report_failure(const std::string& message) const;

 private:
  std::shared_ptr<GroupState> state_;
};

/// Differentiable sum over ranks: its gradient is summed over ranks as well.
torch::Tensor all_reduce_sum(const torch::Tensor& tensor, const Group& group);

}  // namespace ibot::dist
