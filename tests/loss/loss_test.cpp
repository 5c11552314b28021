#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/loss/centering.h"
#include "ibot/loss/class_loss.h"
#include "ibot/loss/ibot_loss.h"
#include "ibot/loss/koleo_loss.h"
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

// Two prototypes, scores log 2 apart: odds of 2 once, of 4 at half the temperature.
TEST(PatchTargets, SharpenedOnesAreTheSoftmaxAlone) {
  const auto logits = torch::tensor({{static_cast<float>(std::log(2.0)), 0.f}});
  EXPECT_TENSOR_NEAR(sharpened_probabilities(logits, 1.0), torch::tensor({{2.f / 3.f, 1.f / 3.f}}));
  EXPECT_TENSOR_NEAR(sharpened_probabilities(logits, 0.5), torch::tensor({{0.8f, 0.2f}}));
}

TEST(PatchTargets, HardOnesAreTheLargestCenteredScore) {
  const auto logits = torch::tensor({{3.f, 2.f, 0.f}, {3.f, 0.f, 1.f}, {1.f, 0.f, 0.f}});
  const auto center = torch::tensor({2.f, 0.f, 0.f}).view({1, 1, 3});
  // Centered: (1, 2, 0), (1, 0, 1) and (-1, 0, 0); of equals the first.
  EXPECT_TENSOR_EQUAL(most_likely(logits, center),
                      torch::tensor({{0.f, 1.f, 0.f}, {1.f, 0.f, 0.f}, {0.f, 1.f, 0.f}}));
}

/// A loss with centers that are not zero, and scores for 2 global views of 3 images.
struct PatchCase {
  static constexpr int64_t kViews = 6, kPatches = 7, kPrototypes = 5;

  explicit PatchCase(PatchTarget target) {
    torch::manual_seed(0);
    loss = IbotLoss(LossOptions{.patch_target = target}, kPrototypes, kPrototypes);
    for (auto& buffer : loss->named_buffers()) buffer.value().uniform_(-0.2, 0.2);
    center = loss->named_buffers()["center2"].flatten().to(torch::kDouble);
    teacher = torch::randn({kPatches, kPrototypes}) / 5;
    student = torch::randn({kPatches, kPrototypes}) / 5;
    weight = torch::rand({kPatches});
    classes = torch::randn({kViews, kPrototypes}) / 5;
  }

  torch::Tensor patch_term(const torch::Tensor& scores) {
    return loss->forward({classes, scores}, {classes, teacher, teacher.mean(0)}, {weight, kViews},
                         2, {0.05, 0.07})["patch"];
  }

  /// The target of one patch by the definition, in double precision.
  std::vector<double> target(int64_t patch, PatchTarget kind) const {
    std::vector<double> scores(kPrototypes);
    double sum = 0.0;
    for (int64_t k = 0; k < kPrototypes; ++k) {
      const double center_k = kind == PatchTarget::kSharpened ? 0.0 : center[k].item<double>();
      scores[k] = std::exp((teacher[patch][k].item<double>() - center_k) / 0.07);
      sum += scores[k];
    }
    const auto largest = std::max_element(scores.begin(), scores.end()) - scores.begin();
    for (int64_t k = 0; k < kPrototypes; ++k) {
      scores[k] = kind == PatchTarget::kHard ? static_cast<double>(k == largest) : scores[k] / sum;
    }
    return scores;
  }

  /// The term in loops, in double precision.
  double by_definition(PatchTarget kind) const {
    double total = 0.0;
    for (int64_t m = 0; m < kPatches; ++m) {
      double sum = 0.0;
      for (int64_t k = 0; k < kPrototypes; ++k) {
        sum += std::exp(student[m][k].item<double>() / 0.1);
      }
      const auto probabilities = target(m, kind);
      for (int64_t k = 0; k < kPrototypes; ++k) {
        const double log_p = student[m][k].item<double>() / 0.1 - std::log(sum);
        total -= weight[m].item<double>() * probabilities[k] * log_p;
      }
    }
    return total / kViews;
  }

  IbotLoss loss{nullptr};
  torch::Tensor center, teacher, student, weight, classes;
};

TEST(PatchTargets, EachGivesTheTermOfItsDefinition) {
  for (const auto& [kind, name] : EnumNames<PatchTarget>::values) {
    PatchCase example(kind);
    const double expected = example.by_definition(kind);
    EXPECT_NEAR(example.patch_term(example.student).item<double>(), expected, 1e-5 * expected)
        << name;
  }
}

TEST(PatchTargets, GradientsAreThoseOfFiniteDifferences) {
  for (const auto& [kind, name] : EnumNames<PatchTarget>::values) {
    PatchCase example(kind);
    auto scores = example.student.clone().set_requires_grad(true);
    example.patch_term(scores).backward();
    for (int64_t m = 0; m < PatchCase::kPatches; ++m) {
      for (int64_t k = 0; k < PatchCase::kPrototypes; ++k) {
        PatchCase fresh(kind);  // the center has moved in the other one
        constexpr double kStep = 1e-3;
        fresh.student[m][k] += kStep;
        const double above = fresh.by_definition(kind);
        fresh.student[m][k] -= 2 * kStep;
        const double below = fresh.by_definition(kind);
        EXPECT_NEAR(scores.grad()[m][k].item<double>(), (above - below) / (2 * kStep), 1e-4)
            << name;
      }
    }
  }
}

// The center follows the teacher whatever the targets, so that checkpoints hold the same.
TEST(PatchTargets, TheCenterMovesInAllOnceTold) {
  for (const auto& [kind, name] : EnumNames<PatchTarget>::values) {
    PatchCase example(kind);
    example.patch_term(example.student);
    const auto center = [&] { return example.loss->named_buffers()["center2"].flatten(); };
    EXPECT_TENSOR_NEAR(center(), example.center);
    example.loss->move_centers_(example.classes.mean(0), example.teacher.mean(0));
    EXPECT_TENSOR_NEAR(center(),
                       example.center * 0.9 + example.teacher.mean(0).to(torch::kDouble) * 0.1);
  }
}

// Of three tokens 0°, 60° and 180° apart the nearest others lie 1, 1 and √3 away, whatever their
// lengths; a view of two opposite ones has 2 and 2.
TEST(KoleoLoss, IsTheMeanLogDistanceToTheNearestOfTheView) {
  const float s = std::sqrt(3.f) / 2;
  const auto three = torch::tensor({{2.f, 0.f}, {0.5f, s}, {-3.f, 0.f}});
  EXPECT_NEAR(koleo_loss(three, 1).item<double>(), -std::log(std::sqrt(3.0)) / 3, 1e-6);
  const auto two_views = torch::tensor({{1.f, 0.f}, {-1.f, 0.f}, {1.f, 0.f}, {0.5f, s}});
  EXPECT_NEAR(koleo_loss(two_views, 2).item<double>(), -std::log(2.0) - std::log(1.0), 1e-6);
  EXPECT_THROW(koleo_loss(two_views, 4), ConfigError);
}

TEST(KoleoLoss, PushesTokensApartAndStaysFiniteWhereTheyAreTheSame) {
  torch::manual_seed(0);
  auto tokens = torch::randn({8, 4}, torch::kDouble).to(torch::kFloat).set_requires_grad(true);
  koleo_loss(tokens, 2).backward();
  for (int64_t i = 0; i < tokens.size(0); ++i) {
    constexpr double kStep = 1e-2;
    auto moved = tokens.detach().clone();
    moved[i] += kStep * torch::tensor({1.f, 0.f, 0.f, 0.f});
    const double above = koleo_loss(moved, 2).item<double>();
    moved[i] -= 2 * kStep * torch::tensor({1.f, 0.f, 0.f, 0.f});
    const double below = koleo_loss(moved, 2).item<double>();
    EXPECT_NEAR(tokens.grad()[i][0].item<double>(), (above - below) / (2 * kStep), 1e-2) << i;
  }
  auto same = torch::ones({4, 3}).set_requires_grad(true);
  koleo_loss(same, 2).backward();
  EXPECT_TRUE(same.grad().isfinite().all().item<bool>());
}

// The named term appears where it has a weight, adds to the total, and sees the global views alone.
TEST(IbotLoss, TheKoleoTermIsListedWhereItHasAWeight) {
  PatchCase example(PatchTarget::kCentered);
  const auto tokens = torch::randn({PatchCase::kViews + 3, 4});
  const auto terms_of = [&](double weight) {
    IbotLoss loss(LossOptions{.weight_koleo = weight}, PatchCase::kPrototypes,
                  PatchCase::kPrototypes);
    const auto classes = torch::cat({example.classes, example.classes.narrow(0, 0, 3)});
    return loss->forward({classes, example.student, tokens},
                         {example.classes, example.teacher, example.teacher.mean(0)},
                         {example.weight, PatchCase::kViews}, 2, {0.05, 0.07});
  };
  const auto without = terms_of(0.0), with = terms_of(0.5);
  EXPECT_EQ(without.terms.size(), 2u);
  ASSERT_EQ(with.terms.size(), 3u);
  EXPECT_EQ(with.terms[2].name, "koleo");
  EXPECT_TENSOR_NEAR(with["koleo"], koleo_loss(tokens.narrow(0, 0, 6), 2) * 0.5);
  EXPECT_TENSOR_NEAR(with.total, without.total + with["koleo"]);
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
