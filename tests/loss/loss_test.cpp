#include <gtest/gtest.h>

#include <cmath>

#include "ibot/base/error.h"
#include "ibot/loss/centering.h"
#include "ibot/loss/class_loss.h"
#include "ibot/loss/ibot_loss.h"
#include "ibot/loss/patch_loss.h"
#include "support/expect_tensor.h"

namespace ibot::loss {
namespace {

// A student without preference pays ln K for every pair, whatever the targets.
TEST(ClassLoss, UniformStudentPaysLogK) {
  const auto target = torch::rand({2 * 3, 8}).softmax(-1);
  EXPECT_TENSOR_NEAR(class_loss(torch::zeros({5 * 3, 8}), target, 2, 0.1),
                     torch::tensor(static_cast<float>(std::log(8.0))));
}

// Two images of one prototype each: views that agree with the *other* global view are right.
TEST(ClassLoss, PairsOfOneViewWithItselfDoNotCount) {
  const auto a = torch::tensor({1.f, 0.f});
  const auto b = torch::tensor({0.f, 1.f});
  const auto target = torch::stack({a, b});            // view 0 is a, view 1 is b
  const auto crossed = torch::stack({b, a}) * 1000.0;  // each student view says what the other is
  EXPECT_NEAR(class_loss(crossed, target, 2, 1.0).item<float>(), 0.0, 1e-6);
  EXPECT_NEAR(class_loss(target * 1000.0, target, 2, 1.0).item<float>(), 1000.0, 1e-3);
}

TEST(ClassLoss, RefusesViewsOfUnequalSize) {
  EXPECT_THROW(class_loss(torch::zeros({5, 4}), torch::zeros({4, 4}), 2, 0.1), Error);
  EXPECT_THROW(class_loss(torch::zeros({4, 5}), torch::zeros({4, 4}), 2, 0.1), Error);
}

// One view of two masked patches, one of none: (ln K + ln K) / 2 for the first, 0 for the second.
TEST(PatchLoss, ViewsWithoutMaskCountAsZero) {
  const auto target = torch::rand({2, 4}).softmax(-1);
  const auto loss = patch_loss(torch::zeros({2, 4}), target, torch::full({2}, 0.5f), 2, 0.1);
  EXPECT_NEAR(loss.item<float>(), std::log(4.0) / 2.0, 1e-6);
}

TEST(PatchLoss, NothingMaskedIsZeroWithAZeroGradient) {
  auto student = torch::zeros({0, 4}).set_requires_grad(true);
  const auto loss = patch_loss(student, torch::zeros({0, 4}), torch::zeros({0}), 2, 0.1);
  EXPECT_EQ(loss.item<float>(), 0.0);
  loss.backward();
  EXPECT_EQ(student.grad().numel(), 0);
}

TEST(Centering, MovesByOneMinusMomentum) {
  auto center = torch::tensor({{1.f, 2.f}});
  update_center_(center, torch::tensor({3.f, 0.f}), 0.9);
  EXPECT_TENSOR_NEAR(center, torch::tensor({{1.2f, 1.8f}}));
}

TEST(Centering, AnOverflowedStepLeavesTheCenter) {
  auto center = torch::tensor({{1.f, 2.f}});
  update_center_(center, torch::tensor({INFINITY, 0.f}), 0.9);
  EXPECT_TENSOR_EQUAL(center, torch::tensor({{1.f, 2.f}}));
}

TEST(TeacherTemperatures, ARunShorterThanTheRampEndsWithinIt) {
  LossOptions options;
  options.warmup_teacher_temp_epochs = 30;
  const auto early = teacher_temperatures(options, 0, 1);
  EXPECT_NEAR(early.cls, 0.04 + 0.03 / 29.0, 1e-12);
  EXPECT_NEAR(teacher_temperatures(options, 10, 9).patch, 0.04, 1e-12);
  EXPECT_NEAR(teacher_temperatures(options, 10, 39).patch, 0.07, 1e-12);
}

}  // namespace
}  // namespace ibot::loss
