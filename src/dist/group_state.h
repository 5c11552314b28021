// What stands behind a Group of several ranks.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "dist/watch.h"
#include "ibot/dist/group.h"

namespace ibot::dist {

/// `keep_alive` holds the stores that backend and watch use.
class GroupState {
 public:
  GroupState(c10::intrusive_ptr<c10d::Backend> backend, torch::Device device,
             std::unique_ptr<Watch> watch, std::vector<c10::intrusive_ptr<c10d::Store>> stores);
  ~GroupState();

  c10d::Backend& backend() { return *backend_; }
  torch::Device device() const { return device_; }

  /// Throws PeerError when a rank is known to be lost.
  void check();
  /// Starts an operation; this and the next throw PeerError, which names the rank at fault, when it
  /// fails.
  c10::intrusive_ptr<c10d::Work> start(
      const std::function<c10::intrusive_ptr<c10d::Work>(c10d::Backend&)>& operation);
  void wait(c10d::Work& work);
  /// The results on a GPU have reached the host: of a group that has lost a rank they are worth
  /// nothing, and this throws as check() does.
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

/// The backend for a device over `store`; check_backend has found it.
c10::intrusive_ptr<c10d::Backend> make_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                               int64_t rank, int64_t world, torch::Device device,
                                               const std::string& node_address);

}  // namespace ibot::dist
