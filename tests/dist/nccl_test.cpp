#include <gtest/gtest.h>

#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "dist/group_state.h"
#include "ibot/dist/rendezvous.h"
#include "support/test_device.h"

namespace ibot::dist {
namespace {

// Of one rank every result is its own value, and NCCL's kernels have run.
TEST(Nccl, OneRankReducesAndGathers) {
  const auto device = testing::test_device();
  if (!device.is_cuda()) GTEST_SKIP() << "needs IBOT_DEVICE=cuda";
  check_backend(torch::kCUDA);
  const auto backend = make_backend(c10::make_intrusive<c10d::HashStore>(), 0, 1, device, "");
  const auto expected = torch::arange(5, torch::kFloat);
  std::vector<torch::Tensor> own{expected.to(device)};
  backend->allreduce(own)->wait();
  EXPECT_TENSOR_EQUAL(own[0].cpu(), expected);
  std::vector<std::vector<torch::Tensor>> all{{torch::zeros_like(own[0])}};
  backend->allgather(all, own)->wait();
  EXPECT_TENSOR_EQUAL(all[0][0].cpu(), expected);
  backend->shutdown();
}

}  // namespace
}  // namespace ibot::dist
