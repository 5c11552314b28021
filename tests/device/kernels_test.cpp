#include <gtest/gtest.h>

#include "ibot/kernels/table.h"
#include "support/device_double.h"

// The check at the start of a run, on a device that is not the CPU.
namespace ibot::testing {
namespace {

torch::Tensor doubled(const torch::Tensor& x) { return x * 2; }
torch::Tensor doubled_wrongly(const torch::Tensor& x) { return x * 2.5; }

/// Right on the CPU and wrong on the double.
kernels::TableRow wrong_on_double() {
  static kernels::Kernel<decltype(doubled)> kernel(
      "doubled", doubled, {{torch::kCPU, doubled}, {device_double().type(), doubled_wrongly}});
  return {
      kernel,
      {torch::kFloat, torch::kBFloat16},
      [](const kernels::Trial& trial) -> kernels::Subject {
        const auto ones = torch::ones({3}, torch::TensorOptions(trial.device).dtype(trial.type));
        return {[=]() -> std::vector<torch::Tensor> { return {kernel.on(trial.device)(ones)}; }};
      },
      1,
      1};
}

TEST(KernelsOnDouble, AWrongKernelIsSwitchedOffThereAlone) {
  const std::vector rows{wrong_on_double()};
  EXPECT_TRUE(kernels::check(torch::kCPU, rows).empty());
  const auto wrong = kernels::check(device_double(), rows);
  ASSERT_EQ(wrong.size(), 1U);
  EXPECT_EQ(wrong[0].kernel, "doubled");
  EXPECT_EQ(wrong[0].type, torch::kFloat);
  EXPECT_DOUBLE_EQ(wrong[0].found, 0.25);
  EXPECT_FALSE(rows[0].choice.runs_own(device_double().type()));
  EXPECT_TRUE(rows[0].choice.runs_own(torch::kCPU));
}

// What has no own code there runs its fallback, on the device's tensors alone.
TEST(KernelsOnDouble, FallbacksAreThoseOfTheCpu) {
  for (const auto& row : kernels::table()) {
    for (const auto type : row.types) {
      const auto results = [&](torch::Device device) {
        const kernels::FallbacksOnly fallbacks;
        const auto subject = row.subject({.device = device, .type = type, .rows = 9, .width = 21});
        subject.prepare();
        return subject.run();
      };
      const auto here = results(torch::kCPU), there = results(device_double());
      for (size_t i = 0; i < here.size(); ++i) {
        EXPECT_TRUE(torch::allclose(there[i].cpu().to(torch::kFloat), here[i].to(torch::kFloat),
                                    1e-3, 1e-3))
            << row.choice.name() << " " << type << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace ibot::testing
