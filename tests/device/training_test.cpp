#include <gtest/gtest.h>

#include <functional>

#include "ibot/batch/normalization.h"
#include "ibot/eval/fine_tune_step.h"
#include "ibot/eval/linear_heads.h"
#include "ibot/train/step.h"
#include "ibot/train/trainer.h"
#include "support/device_double.h"
#include "support/expect_tensor.h"
#include "support/temporary_folder.h"
#include "support/tiny.h"

// What trains, on a device that is not the CPU: as on the CPU, and without a wait between a batch
// and the end of its step.
namespace ibot::testing {
namespace {

using State = std::map<std::string, torch::Tensor>;
using Crossings = std::vector<std::string>;

// A device takes other paths than the CPU: sums are of another order.
constexpr Tolerance kOtherOrder{.rtol = 1e-3, .atol = 2e-5};
// AdamW divides a gradient by its size. That of a bias which a softmax or a norm undoes is nothing
// but rounding, and moves it by whole steps; here 3 of 1e-3, either way.
constexpr Tolerance kBiases{.rtol = 1e-3, .atol = 6e-3};

void expect_near_state(const State& actual, const State& expected,
                       Tolerance tolerance = kOtherOrder, Tolerance biases = kOtherOrder) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : actual) {
    EXPECT_TRUE(near(tensor.detach(), expected.at(name).detach(),
                     name.ends_with("bias") ? biases : tolerance))
        << name;
  }
}

batch::MultiCropBatch batch_on(
    torch::Device device, int64_t step,
    const models::BackboneOptions& backbone = tiny_step_options().backbone) {
  return batch::prepared(tiny_batch(3, step, models::mask_grid(backbone, 16)), device, {});
}

train::StepInputs step_inputs(int64_t step) {
  return {.step = step,
          .values = {.lr = 1e-3, .weight_decay = 0.04, .momentum_teacher = 0.9},
          .temperatures = {.cls = 0.05, .patch = 0.06},
          .skip_nonfinite = true};
}

/// Options of a variant of pre-training, by name.
struct Variant {
  const char* name;
  std::function<void(train::StepOptions&)> change;
};

void PrintTo(const Variant& variant, std::ostream* stream) { *stream << variant.name; }

const Variant kVariants[] = {
    {"vit", [](train::StepOptions&) {}},
    {"swin", [](auto& options) { options.backbone = tiny_swin(); }},
    {"checkpointed", [](auto& options) { options.checkpoint_activations = true; }},
    {"batch_norm",
     [](auto& options) {
       options.head.norm = models::HeadNorm::kBatch;
       options.optim.optimizer = optim::OptimizerKind::kSgd;
     }},
    {"layer_scale_koleo",
     [](auto& options) {
       options.backbone.layer_scale = 0.1;
       options.backbone.drop_path = 0.2;
       options.loss.weight_koleo = 0.1;
     }},
    {"hard_targets_lars",
     [](auto& options) {
       options.loss.patch_target = loss::PatchTarget::kHard;
       options.optim.optimizer = optim::OptimizerKind::kLars;
     }},
    {"sgd", [](auto& options) { options.optim.optimizer = optim::OptimizerKind::kSgd; }}};

struct PretrainOnDouble : ::testing::TestWithParam<Variant> {
  train::StepOptions options() const {
    auto options = tiny_step_options();
    GetParam().change(options);
    return options;
  }
};

TEST_P(PretrainOnDouble, StepsAreThoseOfTheCpu) {
  train::TrainStep here(options(), torch::kCPU), there(options(), device_double());
  for (int64_t i = 0; i < 3; ++i) {
    const auto expected = here.run(batch_on(torch::kCPU, i, options().backbone), step_inputs(i));
    const auto actual = there.run(batch_on(device_double(), i, options().backbone), step_inputs(i));
    EXPECT_EQ(actual.loss.total.device(), device_double());
    EXPECT_TENSOR_NEAR(actual.loss.total, expected.loss.total, kOtherOrder);
    EXPECT_TENSOR_NEAR(actual.grad_norm, expected.grad_norm, kOtherOrder);
    EXPECT_TENSOR_EQUAL(actual.cluster.to(torch::kCPU), expected.cluster);
  }
  const bool adam = options().optim.optimizer == optim::OptimizerKind::kAdamW;
  expect_near_state(there.state(), here.state(), kOtherOrder, adam ? kBiases : kOtherOrder);
}

// From the first step on: what a first step has to fetch, a first batch of another size would too.
TEST_P(PretrainOnDouble, NoStepWaits) {
  for (const auto precision :
       {optim::Precision::kFp32, optim::Precision::kBf16, optim::Precision::kFp16}) {
    auto chosen = options();
    chosen.precision = precision;
    train::TrainStep step(chosen, device_double());
    for (int64_t i = 0; i < 2; ++i) {
      const auto batch = batch_on(device_double(), i, chosen.backbone);
      auto inputs = step_inputs(i);
      inputs.watch = i == 1;
      const DeviceWatch watch;
      step.run(batch, inputs);
      EXPECT_EQ(watch.crossings(), Crossings{}) << "step " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, PretrainOnDouble, ::testing::ValuesIn(kVariants),
                         [](const auto& variant) { return variant.param.name; });

// Half precision: the losses are those of float32 but for rounding, and the scale is the scaler's.
TEST(PretrainInHalf, LossesAreNearThoseOfFloat32) {
  train::TrainStep full(tiny_step_options(), device_double());
  std::vector<double> expected;
  for (int64_t i = 0; i < 3; ++i) {
    const auto result = full.run(batch_on(device_double(), i), step_inputs(i));
    expected.push_back(result.loss.total.item<double>());
  }
  for (const auto precision : {optim::Precision::kBf16, optim::Precision::kFp16}) {
    auto options = tiny_step_options();
    options.precision = precision;
    train::TrainStep step(options, device_double());
    // The gradients of this network exceed a thousand: larger scales overflow, and steps are left
    // out until the scaler has found its own.
    if (precision == optim::Precision::kFp16) step.state().at("scaler.scale").fill_(1.0);
    for (int64_t i = 0; i < 3; ++i) {
      const auto result = step.run(batch_on(device_double(), i), step_inputs(i));
      EXPECT_NEAR(result.loss.total.item<double>(), expected[i], 0.03);
    }
  }
}

// An overflow in fp16 halves the scale, changes no weight, and the host learns of neither.
TEST(PretrainInHalf, AnOverflowIsTheDevicesAffair) {
  auto options = tiny_step_options();
  options.precision = optim::Precision::kFp16;
  train::TrainStep step(options, device_double());
  const auto before = step.state().at("student.backbone.cls_token").detach().clone();
  step.state().at("scaler.scale").fill_(1e30);
  const auto batch = batch_on(device_double(), 0);
  {
    const DeviceWatch watch;
    step.run(batch, step_inputs(0));
    EXPECT_EQ(watch.crossings(), Crossings{});
  }
  EXPECT_TENSOR_EQUAL(step.state().at("student.backbone.cls_token").detach().to(torch::kCPU),
                      before.to(torch::kCPU));
  EXPECT_FLOAT_EQ(step.state().at("scaler.scale").item<float>(), 5e29F);
}

train::TrainerOptions trainer_options(const std::filesystem::path& folder) {
  train::TrainerOptions options;
  options.train.log_every_steps = 3;
  options.length = {.epochs = 2, .steps_per_epoch = 4, .global_batch = 3};
  options.schedule.warmup_epochs = 1;
  options.home.checkpoints = folder;
  return options;
}

// Stopped and resumed, with checkpoints written by the background thread: the same bits; and the
// checkpoint of one device goes on on the other.
TEST(PretrainRunOnDouble, ResumesToTheBitAndOnTheCpu) {
  for (const auto precision : {optim::Precision::kFp32, optim::Precision::kFp16}) {
    auto step_options = tiny_step_options();
    step_options.precision = precision;
    const TemporaryFolder whole_folder, folder;
    train::TrainStep whole(step_options, device_double());
    TinySource all;
    train::Trainer(trainer_options(whole_folder.path()), whole, {}).run(all);
    {
      train::TrainStep step(step_options, device_double());
      train::Trainer trainer(trainer_options(folder.path()), step, {});
      trainer.set_stop([&] { return trainer.state().step == 5; });
      TinySource source;
      EXPECT_EQ(trainer.run(source), train::Ending::kStopped);
    }
    const auto checkpoint = train::load_checkpoint(folder.path() / "last.safetensors");
    for (const auto device : {device_double(), torch::Device(torch::kCPU)}) {
      if (device.is_cpu() && precision == optim::Precision::kFp16) continue;
      train::TrainStep resumed(step_options, device);
      train::Trainer trainer(trainer_options(folder.path()), resumed, {});
      trainer.resume(checkpoint);
      TinySource rest(5);
      EXPECT_EQ(trainer.run(rest), train::Ending::kDone);
      const Tolerance to_the_bit{.rtol = 0.0, .atol = 0.0};
      device.is_cpu() ? expect_near_state(resumed.state(), whole.state(), kOtherOrder, kBiases)
                      : expect_near_state(resumed.state(), whole.state(), to_the_bit, to_the_bit);
    }
  }
}

eval::FineTuneOptions fine_tune_options() {
  eval::FineTuneOptions options;
  options.ema = 0.9;
  options.run.precision = optim::Precision::kFp32;
  return options;
}

std::shared_ptr<eval::Classifier> tiny_classifier() {
  eval::ClassifierOptions options;
  options.backbone = tiny_step_options().backbone;
  options.backbone.drop_path = 0.2;
  options.backbone.layer_scale = 0.1;
  options.classes = 3;
  return std::make_shared<eval::Classifier>(options, 0);
}

struct LabeledImages {
  explicit LabeledImages(torch::Device device) {
    const auto noise = torch::arange(4 * 3 * 16 * 16).remainder(29).view({4, 3, 16, 16});
    images = (noise.to(torch::kFloat) / 14 - 1).to(device);
    targets = torch::eye(3).index_select(0, torch::tensor({0, 1, 2, 0})).to(device);
  }

  torch::Tensor images, targets;
};

TEST(FineTuneOnDouble, StepsAreThoseOfTheCpu) {
  eval::FineTuneStep here(fine_tune_options(), tiny_classifier(), torch::kCPU);
  eval::FineTuneStep there(fine_tune_options(), tiny_classifier(), device_double());
  const LabeledImages near(torch::kCPU), far(device_double());
  for (int64_t pass = 0; pass < 3; ++pass) {
    here.training().context(pass);
    there.training().context(pass);
    const auto expected = here.accumulate(near.images, near.targets);
    const auto actual = there.accumulate(far.images, far.targets);
    EXPECT_TENSOR_NEAR(actual.loss, expected.loss, kOtherOrder);
    here.update({.lr = 1e-3, .weight_decay = 0.05});
    there.update({.lr = 1e-3, .weight_decay = 0.05});
  }
  expect_near_state(there.state(), here.state());
}

TEST(FineTuneOnDouble, NoStepWaits) {
  for (const auto precision :
       {optim::Precision::kFp32, optim::Precision::kBf16, optim::Precision::kFp16}) {
    auto options = fine_tune_options();
    options.run.precision = precision;
    eval::FineTuneStep step(options, tiny_classifier(), device_double());
    const LabeledImages batch(device_double());
    const DeviceWatch watch;
    for (int64_t pass = 0; pass < 2; ++pass) {
      step.training().context(pass);
      step.accumulate(batch.images, batch.targets);
      step.update({.lr = 1e-3, .weight_decay = 0.05});
    }
    EXPECT_EQ(watch.crossings(), Crossings{});
  }
}

TEST(LinearProbeOnDouble, StepsAreThoseOfTheCpuAndDoNotWait) {
  const std::vector<eval::LinearSetting> settings{
      {.lr = 0.1}, {.lr = 0.5, .weight_decay = 1e-4}, {.lr = 0.5, .lars = true}};
  eval::LinearHeads here(settings, 6, 3, 0, torch::kCPU), there(settings, 6, 3, 0, device_double());
  const auto features = torch::randn({9, 6});
  const auto labels = torch::arange(9).remainder(3);
  const auto far = features.to(device_double());
  const auto far_labels = labels.to(device_double());
  for (int64_t i = 0; i < 3; ++i) {
    const auto expected = here.step(features, labels, 0.7);
    const DeviceWatch watch;
    const auto actual = there.step(far, far_labels, 0.7);
    EXPECT_EQ(watch.crossings(), Crossings{});
    EXPECT_TENSOR_NEAR(actual, expected, kOtherOrder);
  }
  expect_near_state(there.state(), here.state());
  EXPECT_TENSOR_EQUAL(there.hits(far, far_labels).top1.to(torch::kCPU),
                      here.hits(features, labels).top1);
}

}  // namespace
}  // namespace ibot::testing
