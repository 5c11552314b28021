// A computation by LibTorch's operators, and code of our own for some devices in its place.
#pragma once

#include <torch/types.h>

#include <array>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

namespace ibot::kernels {

/// Which code a kernel runs on each type of device.
class Choice {
 public:
  explicit Choice(std::string name) : name_(std::move(name)) {}
  virtual ~Choice() = default;
  Choice(const Choice&) = delete;
  Choice& operator=(const Choice&) = delete;

  const std::string& name() const { return name_; }
  virtual bool has_own(torch::DeviceType device) const = 0;
  /// Own code, unless there is none or use_fallback was called.
  bool runs_own(torch::DeviceType device) const;
  /// For the rest of the process.
  void use_fallback(torch::DeviceType device);

 private:
  static constexpr size_t kDevices = static_cast<size_t>(c10::COMPILE_TIME_MAX_DEVICE_TYPES);
  std::string name_;
  std::array<std::atomic<bool>, kDevices> off_{};
};

/// Fallbacks alone on this thread while it lives.
class FallbacksOnly {
 public:
  FallbacksOnly();
  ~FallbacksOnly();
  FallbacksOnly(const FallbacksOnly&) = delete;
  FallbacksOnly& operator=(const FallbacksOnly&) = delete;

 private:
  bool was_;
};

/// The functions of one kernel. The fallback takes every input; own code may take fewer, and its
/// caller asks for it for those alone.
template <class Function>
class Kernel final : public Choice {
 public:
  /// Own code by type of device; null: none.
  using Own = std::vector<std::pair<torch::DeviceType, Function*>>;

  Kernel(std::string name, Function* fallback, Own own)
      : Choice(std::move(name)), fallback_(fallback), own_(std::move(own)) {}

  bool has_own(torch::DeviceType device) const override { return own_on(device) != nullptr; }
  Function* on(torch::Device device) const {
    return runs_own(device.type()) ? own_on(device.type()) : fallback_;
  }

 private:
  Function* own_on(torch::DeviceType device) const {
    for (const auto& [type, function] : own_) {
      if (type == device) return function;
    }
    return nullptr;
  }

  Function* fallback_;
  Own own_;
};

}  // namespace ibot::kernels
