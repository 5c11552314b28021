// The only file that includes Gloo and NCCL headers; CMake defines USE_C10D_* where they exist.
#include <cstdlib>

#include "dist/group_state.h"
#include "ibot/base/error.h"
#include "ibot/dist/rendezvous.h"

#ifdef USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace ibot::dist {
namespace {

// Upper bound on one collective. It is long because a live rank may keep others waiting, as rank 0
// does while it evaluates; dead ranks are found by their heartbeat long before.
constexpr std::chrono::hours kLongestOperation{3};

#ifdef USE_C10D_GLOO
constexpr bool kHasGloo = true;

c10::intrusive_ptr<c10d::Backend> make_gloo(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                            int world, const std::string& node_address) {
  using c10d::ProcessGroupGloo;
  const auto options = ProcessGroupGloo::Options::create(kLongestOperation);
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  // Gloo's own default resolves the host name, which often is the loopback address.
  options->devices.push_back(interface != nullptr
                                 ? ProcessGroupGloo::createDeviceForInterface(interface)
                                 : ProcessGroupGloo::createDeviceForHostname(node_address));
  return c10::make_intrusive<ProcessGroupGloo>(store, rank, world, options);
}
#else
constexpr bool kHasGloo = false;

c10::intrusive_ptr<c10d::Backend> make_gloo(const c10::intrusive_ptr<c10d::Store>&, int, int,
                                            const std::string&) {
  return {};
}
#endif

#ifdef USE_C10D_NCCL
constexpr bool kHasNccl = true;

c10::intrusive_ptr<c10d::Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                            int world) {
  // NCCL's own handler would abort the process before the watch has named the rank at fault.
  ::setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", 0);
  const auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = kLongestOperation;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, world, options);
}
#else
constexpr bool kHasNccl = false;

c10::intrusive_ptr<c10d::Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>&, int, int) {
  return {};
}
#endif

}  // namespace

void check_backend(torch::DeviceType device) {
  IBOT_CHECK_AS(ConfigError, device != torch::kCPU || kHasGloo,
                "ranks: this build lacks Gloo, the backend of ranks on CPUs; install "
                "libgloo-dev and rebuild, or start one process");
  IBOT_CHECK_AS(ConfigError, device == torch::kCPU || kHasNccl,
                "ranks: this build lacks NCCL, the backend of ranks on GPUs; build with "
                "IBOT_CUDA where CMake finds nccl.h, or start one process");
}

c10::intrusive_ptr<c10d::Backend> make_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                               int64_t rank, int64_t world, torch::Device device,
                                               const std::string& node_address) {
  const auto own = static_cast<int>(rank), count = static_cast<int>(world);
  return device.is_cpu() ? make_gloo(store, own, count, node_address)
                         : make_nccl(store, own, count);
}

}  // namespace ibot::dist
