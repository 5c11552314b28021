#include "support/device_double.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ibot/nn/autocast_scope.h"
#include "support/expect_tensor.h"

// What the double has to do for its tests to mean something.
namespace ibot::testing {
namespace {

using Crossings = std::vector<std::string>;

torch::TensorOptions on_double() { return torch::TensorOptions().device(device_double()); }

TEST(DeviceDouble, ComputesWhatTheCpuDoes) {
  const auto x = torch::randn({5, 7}), w = torch::randn({3, 7});
  const auto expected = torch::gelu(torch::linear(x, w)).softmax(-1);
  const auto actual =
      torch::gelu(torch::linear(x.to(device_double()), w.to(device_double()))).softmax(-1);
  EXPECT_EQ(actual.device(), device_double());
  EXPECT_TENSOR_EQUAL(actual.to(torch::kCPU), expected);
}

TEST(DeviceDouble, DifferentiatesAndUpdatesInPlace) {
  const auto host = torch::randn({4, 4});
  auto leaf = host.to(device_double()).set_requires_grad(true);
  leaf.mm(leaf).square().sum().backward();
  auto expected = host.clone().set_requires_grad(true);
  expected.mm(expected).square().sum().backward();
  EXPECT_TENSOR_NEAR(leaf.grad().to(torch::kCPU), expected.grad());
  const torch::NoGradGuard no_grad;
  leaf.narrow(0, 1, 2).add_(1.0);
  EXPECT_TENSOR_EQUAL(leaf.to(torch::kCPU).narrow(0, 1, 2), host.narrow(0, 1, 2) + 1.0);
}

TEST(DeviceDouble, RefusesTensorsOfSeveralDevices) {
  const auto here = torch::ones({4, 4}), there = torch::ones({4, 4}, on_double());
  EXPECT_THROW(here + there, c10::Error);
  EXPECT_THROW(there.mm(here), c10::Error);
  EXPECT_THROW(torch::addmm(there, here, there), c10::Error);
  EXPECT_THROW(there.index_select(0, torch::tensor({1, 2})), c10::Error);
  EXPECT_THROW(there.index({torch::tensor({1, 2})}), c10::Error);
  EXPECT_NO_THROW(there * torch::tensor(2.0));  // a scalar of the host may come along
}

TEST(DeviceDoubleDeathTest, TheHostCannotReadItsMemory) {
  const auto there = torch::ones({4}, on_double());
  EXPECT_DEATH(
      {
        volatile float value = *there.const_data_ptr<float>();
        (void)value;
      },
      "");
}

TEST(DeviceDouble, FreshMemoryIsNotANumber) {
  EXPECT_TRUE(torch::empty({3}, on_double()).isnan().all().to(torch::kCPU).item<bool>());
}

template <class Work>
Crossings crossings_of(Work&& work) {
  const DeviceWatch watch;
  work();
  return watch.crossings();
}

TEST(DeviceDouble, CountsWhatCrossesAndWhatWaits) {
  const auto here = torch::ones({4}), there = here.to(device_double());
  EXPECT_EQ(crossings_of([&] { there * 2 + torch::arange(4, on_double()); }), Crossings{});
  EXPECT_EQ(crossings_of([&] { here.to(device_double(), /*non_blocking=*/true); }),
            Crossings{"copy to device, without waiting"});
  EXPECT_EQ(crossings_of([&] { there.to(torch::kCPU); }), Crossings{"copy to host"});
  EXPECT_EQ(crossings_of([&] { torch::tensor({1, 2}, on_double()); }), Crossings{"copy to device"});
  EXPECT_EQ(crossings_of([&] { there.sum().item<float>(); }),
            Crossings{"aten::_local_scalar_dense"});
  EXPECT_EQ(crossings_of([&] { there.nonzero(); }), Crossings{"aten::nonzero"});
  EXPECT_NE(crossings_of([&] { there.index({there > 3}); }), Crossings{});
}

TEST(DeviceDouble, AutocastChoosesAsOnAGpu) {
  const auto x = torch::ones({2, 3}, on_double()), w = torch::ones({4, 3}, on_double());
  for (const auto dtype : {torch::kHalf, torch::kBFloat16}) {
    const nn::AutocastScope autocast(device_double().type(), dtype);
    const auto product = torch::linear(x, w);
    EXPECT_EQ(product.scalar_type(), dtype);
    EXPECT_EQ(torch::layer_norm(product, {4}).scalar_type(), torch::kFloat);
    EXPECT_EQ(product.softmax(-1).scalar_type(), torch::kFloat);
  }
  EXPECT_EQ(torch::linear(x, w).scalar_type(), torch::kFloat);
}

}  // namespace
}  // namespace ibot::testing
