// The ablations of the paper's appendices B and E: what each compares, and that each trains.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "ibot/batch/synthetic_source.h"
#include "ibot/train/step.h"
#include "support/expect_tensor.h"
#include "support/tiny.h"

namespace ibot::train {
namespace {

using batch::MultiCropBatch;
using mask::MaskViews;
using mask::PatchPairing;
using testing::near;

constexpr int64_t kBatchImages = 3, kGlobals = 2, kLocals = 2;

/// One variant of the patch term: what is masked and what is compared.
struct Variant {
  const char* name;
  MaskViews views = MaskViews::kGlobal;
  PatchPairing pairs = PatchPairing::kMasked;
};

constexpr std::array<Variant, 5> kVariants{
    {{"default"},
     {"first global crop", MaskViews::kFirstGlobal},
     {"local crops", MaskViews::kAll},
     {"by position", MaskViews::kGlobal, PatchPairing::kPosition},
     {"by feature", MaskViews::kGlobal, PatchPairing::kFeature}}};

MultiCropBatch batch_of(const Variant& variant, uint64_t seed = 0) {
  const double ratio = variant.pairs == PatchPairing::kMasked ? 0.5 : 0.0;
  batch::SyntheticSource source({.images = kBatchImages,
                                 .global_crops = kGlobals,
                                 .global_size = 16,
                                 .local_crops = kLocals,
                                 .local_size = 8,
                                 .mask = {.shape = mask::MaskShape::kRandom,
                                          .ratio = {ratio},
                                          .ratio_var = {0.0},
                                          .views = variant.views,
                                          .pairs = variant.pairs},
                                 .grid = {4, 4},
                                 .local_grid = {2, 2},
                                 .seed = seed});
  return batch::prepared(*source.next(), torch::kCPU, {});
}

/// Patches of one image's crop: what the teacher or the student makes of them.
struct Crop {
  torch::Tensor features;  // [N, D], of the backbone
  torch::Tensor scores;    // [N, K']
};

/// Every image's crop on its own, through the whole head.
std::vector<Crop> crops_of(models::Network& network, const torch::Tensor& images,
                           const torch::Tensor& mask = {}) {
  std::vector<Crop> crops;
  for (int64_t i = 0; i < images.size(0); ++i) {
    const auto tokens = network.backbone->forward(images.narrow(0, i, 1),
                                                  mask.defined() ? mask.narrow(0, i, 1) : mask);
    const auto patches = tokens.patch_tokens[0];
    crops.push_back({patches, network.head->patch_logits(network.head->trunk(patches))});
  }
  return crops;
}

/// -Σ_k softmax(teacher / 0.05)_k log softmax(student / 0.1)_k
torch::Tensor cross_entropy(const torch::Tensor& student, const torch::Tensor& teacher) {
  return -((teacher.detach() / 0.05).softmax(-1) * (student / 0.1).log_softmax(-1)).sum();
}

double cosine(const torch::Tensor& a, const torch::Tensor& b) {
  double product = 0.0, aa = 0.0, bb = 0.0;
  for (int64_t i = 0; i < a.size(0); ++i) {
    const double x = a[i].item<double>(), y = b[i].item<double>();
    product += x * y, aa += x * x, bb += y * y;
  }
  return product / std::sqrt(aa * bb);
}

int64_t most_similar(const torch::Tensor& patch, const torch::Tensor& others) {
  int64_t best = 0;
  for (int64_t i = 1; i < others.size(0); ++i) {
    if (cosine(patch, others[i]) > cosine(patch, others[best])) best = i;
  }
  return best;
}

/// The term of one view: the mean over those of its patches for which `target` names a score.
torch::Tensor view_term(const Crop& student,
                        const std::function<torch::Tensor(int64_t patch)>& target) {
  auto sum = torch::zeros({});
  int64_t count = 0;
  for (int64_t patch = 0; patch < student.scores.size(0); ++patch) {
    const auto scores = target(patch);
    if (!scores.defined()) continue;
    sum = sum + cross_entropy(student.scores[patch], scores);
    ++count;
  }
  return count > 0 ? sum / count : sum;
}

torch::Tensor masked_term(StudentTeacher& networks, const torch::Tensor& crops,
                          const torch::Tensor& mask) {
  const auto student = crops_of(networks.student(), crops, mask);
  const auto teacher = crops_of(networks.teacher(), crops);
  auto sum = torch::zeros({});
  for (size_t view = 0; view < student.size(); ++view) {
    sum = sum + view_term(student[view], [&](int64_t patch) {
            const bool masked = mask[static_cast<int64_t>(view)][patch].item<bool>();
            return masked ? teacher[view].scores[patch] : torch::Tensor();
          });
  }
  return sum;
}

/// Of the other crop's patches the one that `batch` pairs with this one; -1 for none.
int64_t paired_by_position(const MultiCropBatch& batch, size_t view, int64_t patch,
                           int64_t patches) {
  const auto& pairs = batch.pairs;
  for (int64_t i = 0; i < pairs.student.size(0); ++i) {
    if (pairs.student[i].item<int64_t>() != static_cast<int64_t>(view) * patches + patch) continue;
    return pairs.teacher[i].item<int64_t>() % patches;
  }
  return -1;
}

torch::Tensor dense_term(StudentTeacher& networks, const MultiCropBatch& batch,
                         PatchPairing pairing) {
  const auto student = crops_of(networks.student(), batch.global, batch.mask);
  const auto teacher = crops_of(networks.teacher(), batch.global);
  auto sum = torch::zeros({});
  for (size_t view = 0; view < student.size(); ++view) {
    const auto& other = teacher[(view + kBatchImages) % student.size()];
    sum = sum + view_term(student[view], [&](int64_t patch) {
            const int64_t match =
                pairing == PatchPairing::kFeature
                    ? most_similar(teacher[view].features[patch], other.features)
                    : paired_by_position(batch, view, patch, other.scores.size(0));
            return match >= 0 ? other.scores[match] : torch::Tensor();
          });
  }
  return sum / static_cast<double>(student.size());
}

/// The patch term by its definition: image by image, patch by patch.
torch::Tensor patch_term(StudentTeacher& networks, const MultiCropBatch& batch,
                         const Variant& variant) {
  if (variant.pairs != PatchPairing::kMasked) return dense_term(networks, batch, variant.pairs);
  auto sum = masked_term(networks, batch.global, batch.mask);
  auto views = batch.mask.size(0);
  if (variant.views == MaskViews::kAll) {
    sum = sum + masked_term(networks, batch.local, batch.local_mask);
    views += batch.local_mask.size(0);
  }
  return sum / static_cast<double>(views);
}

std::map<std::string, torch::Tensor> gradients(models::Network& network) {
  std::map<std::string, torch::Tensor> values;
  for (const auto& parameter : network.named_parameters()) {
    const auto& grad = parameter.value().grad();
    if (grad.defined()) values[parameter.key()] = grad.clone();
  }
  return values;
}

/// Networks that differ from each other, so that student and teacher cannot be mistaken.
std::shared_ptr<StudentTeacher> unequal_networks(models::HeadOptions head) {
  auto options = testing::tiny_step_options();
  options.backbone.drop_path = 0.0;
  auto networks = std::make_shared<StudentTeacher>(options.backbone, head, 0);
  const StudentTeacher other(options.backbone, head, 1);
  models::copy_values_(other.teacher(), networks->teacher());
  return networks;
}

TEST(Variants, TermAndGradientsAreThoseOfTheDefinition) {
  for (const auto& variant : kVariants) {
    SCOPED_TRACE(variant.name);
    const auto head = testing::tiny_step_options().head;
    const auto networks = unequal_networks(head);
    loss::IbotLoss loss(loss::LossOptions{.weight_cls = 0.0}, head.prototypes,
                        head.patch_prototypes);
    const auto batch = batch_of(variant);
    auto& student = networks->student();
    const auto actual = loss->forward(
        networks->student_forward(batch), networks->teacher_forward(batch),
        {batch.pairs.weight, batch.pairs.views}, kGlobals, {.cls = 0.05, .patch = 0.05});
    actual["patch"].backward();
    const auto actual_gradients = gradients(student);
    student.zero_grad();
    const auto expected = patch_term(*networks, batch, variant);
    expected.backward();
    EXPECT_GT(expected.item<float>(), 0.0f);
    EXPECT_TENSOR_NEAR(actual["patch"], expected);
    for (const auto& [name, gradient] : gradients(student)) {
      EXPECT_TRUE(near(actual_gradients.at(name), gradient, {1e-3, 1e-5})) << name;
    }
  }
}

// What the centers follow: every patch that the teacher sees, of local crops where they are masked.
TEST(Variants, TheMeanIsOverAllPatchesOfTheTeacher) {
  for (const auto& variant : kVariants) {
    SCOPED_TRACE(variant.name);
    const auto networks = unequal_networks(testing::tiny_step_options().head);
    const auto batch = batch_of(variant);
    std::vector<torch::Tensor> scores;
    for (const auto& crop : crops_of(networks->teacher(), batch.global)) {
      scores.push_back(crop.scores);
    }
    if (variant.views == MaskViews::kAll) {
      for (const auto& crop : crops_of(networks->teacher(), batch.local)) {
        scores.push_back(crop.scores);
      }
    }
    EXPECT_TENSOR_NEAR(networks->teacher_forward(batch).patch_mean, torch::cat(scores).mean(0));
  }
}

TEST(Variants, SimilarPatchesAreFoundAcrossTheTwoCrops) {
  torch::manual_seed(0);
  const auto patches = torch::randn({4, 6, 3});  // 2 crops of 2 images
  const auto found = most_similar_patches(patches);
  ASSERT_EQ(found.size(0), 4 * 6);
  for (int64_t view = 0; view < 4; ++view) {
    const int64_t other = (view + 2) % 4;
    for (int64_t patch = 0; patch < 6; ++patch) {
      EXPECT_EQ(found[view * 6 + patch].item<int64_t>(),
                other * 6 + most_similar(patches[view][patch], patches[other]));
    }
  }
}

/// The losses of a student that learns one batch from a teacher and centers that stand still.
std::vector<double> learning(StepOptions options, const MultiCropBatch& batch) {
  options.backbone.drop_path = 0.0;
  options.loss.center_momentum = options.loss.center_momentum_patch = 1.0;
  TrainStep step(options, torch::kCPU);
  std::vector<double> losses;
  for (int i = 0; i < 15; ++i) {
    const StepInputs inputs{
        .step = i, .values = {.lr = 2e-4, .momentum_teacher = 1.0}, .temperatures = {0.1, 0.1}};
    losses.push_back(step.run(batch, inputs).loss.total.item<double>());
  }
  return losses;
}

TEST(Variants, EachLearns) {
  for (const auto& variant : kVariants) {
    for (const auto& [target, name] : EnumNames<loss::PatchTarget>::values) {
      SCOPED_TRACE(std::string(variant.name) + ", " + std::string(name));
      auto options = testing::tiny_step_options();
      options.loss.patch_target = target;
      const auto losses = learning(options, batch_of(variant));
      for (const double loss : losses) EXPECT_TRUE(std::isfinite(loss));
      EXPECT_LT(losses.back(), losses.front());
    }
  }
}

// Batch norm passes every token of a resolution; the rows that are compared are the same.
TEST(Variants, LearnWithAHeadThatMixesTokens) {
  for (const auto& variant : kVariants) {
    SCOPED_TRACE(variant.name);
    auto options = testing::tiny_step_options();
    options.head.norm = models::HeadNorm::kBatch;
    const auto losses = learning(options, batch_of(variant));
    EXPECT_LT(losses.back(), losses.front());
  }
}

// Heads shared in the paper's three ways, of which the options of the head tell.
TEST(Variants, LearnWithEachWayOfSharingHeads) {
  for (const auto& [shared, shared_teacher] :
       {std::pair{true, true}, {false, true}, {false, false}}) {
    auto options = testing::tiny_step_options();
    options.head.shared = shared;
    options.head.shared_teacher = shared_teacher;
    const auto losses = learning(options, batch_of(kVariants[0]));
    EXPECT_LT(losses.back(), losses.front()) << shared << shared_teacher;
  }
}

TEST(Variants, TrainInBrainFloat) {
  for (const auto& variant : kVariants) {
    SCOPED_TRACE(variant.name);
    auto options = testing::tiny_step_options();
    options.precision = Precision::kBf16;
    TrainStep step(options, torch::kCPU);
    const auto result =
        step.run(batch_of(variant), {.values = {.lr = 1e-3}, .temperatures = {0.1, 0.1}});
    EXPECT_TRUE(result.loss.total.isfinite().item<bool>());
    EXPECT_GT(result.loss["patch"].item<float>(), 0.0f);
  }
}

}  // namespace
}  // namespace ibot::train
