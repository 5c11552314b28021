// Shared state of a Group of several ranks: backend, watch and the stores that they use.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "dist/watch.h"
#include "ibot/dist/group.h"

namespace ibot::dist {

/// `stores` are only kept alive here.
class GroupState {
 public:
  GroupState(c10::intrusive_ptr<c10d::Backend> backend, torch::Device device,
             std::unique_ptr<Watch> watch, std::vector<c10::intrusive_ptr<c10d::Store>> stores);
  ~GroupState();

  c10d::Backend& backend() { return *backend_; }
  torch::Device device() const { return device_; }

  /// Throws PeerError when a rank is known to be lost.
  void check();
  /// Starts a collective. This and wait() throw PeerError, naming the rank at fault, when it fails.
  c10::intrusive_ptr<c10d::Work> start(
      const std::function<c10::intrusive_ptr<c10d::Work>(c10d::Backend&)>& operation);
  void wait(c10d::Work& work);
  /// To be called when a result has reached the host: after a lost rank, GPU results are
  /// meaningless although no operation has thrown. Throws as check() does.
  void check_on_host(const torch::Tensor& result);
  void keep_step(bool value) { watch_->keep_step(value); }
  void report_failure(const std::string& message);

 private:
  [[noreturn]] void lose(const std::string& reason);

  std::vector<c10::intrusive_ptr<c10d::Store>> stores_;
  c10::intrusive_ptr<c10d::Backend> backend_;
  torch::Device device_;
  std::atomic<bool> lost_{false};
  std::unique_ptr<Watch> watch_;
};

/// The backend for a device, connected through `store`. Requires check_backend().
c10::intrusive_ptr<c10d::Backend> make_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                               int64_t rank, int64_t world, torch::Device device,
                                               const std::string& node_address);

}  // namespace ibot::dist
