#include "ibot-bench/network_bench.h"

#include <ATen/ops/one_hot.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include "ibot-bench/products.h"
#include "ibot/eval/features.h"
#include "ibot/eval/fine_tune_step.h"
#include "ibot/eval/segment_tuner.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"
#include "ibot/train/flops.h"

namespace ibot::apps {
namespace {

constexpr int64_t kClasses = 1000;
constexpr int64_t kPixelClasses = 150;

torch::Tensor random_images(const config::RunConfig& config, torch::Device device) {
  const auto size = config.backbone.image_size;
  return at::randn({config.train.batch_size, 3, size, size}, torch::TensorOptions(device));
}

/// The limit of a network on one image a row.
Products products_of(config::RunConfig config, torch::Device device) {
  config.augment.global_crops = 1;
  config.augment.local_crops = 0;
  config.augment.global_size = config.backbone.image_size;
  return {config, device};
}

/// In turn with the products of its shapes.
void measure_beside_products(const BenchWork& work, const config::RunConfig& config,
                             const BenchRuns& runs, Figures& figures) {
  auto products = products_of(config, runs.device);
  figures.measure_in_turn({work, products.work()}, runs);
}

BenchCase network_case(const char* name, const config::RunConfig& config, double passes) {
  const auto images = static_cast<double>(config.train.batch_size);
  const auto flops = train::backbone_flops(config.backbone, config.backbone.image_size);
  return {.name = name, .images = images, .flops = passes * flops * images};
}

}  // namespace

void bench_features(const config::RunConfig& config, const BenchRuns& runs, Figures& figures) {
  const auto backbone = models::build_backbone(config.backbone, models::Role::kTeacher);
  backbone->to(runs.device);
  backbone->eval();
  const auto images = random_images(config, runs.device);
  const c10::InferenceMode inference;
  const auto run = [&] {
    const nn::AutocastScope autocast(runs.device.type(),
                                     optim::autocast_dtype(config.train.precision, runs.device));
    eval::image_features(*backbone, images, {eval::Pooling::kClass, /*blocks=*/1});
  };
  measure_beside_products({network_case("features", config, 1), run}, config, runs, figures);
}

void bench_fine_tune(const config::RunConfig& config, const BenchRuns& runs, Figures& figures) {
  eval::FineTuneOptions options;
  options.batch_size = config.train.batch_size;
  options.run.precision = config.train.precision;
  const auto classifier = std::make_shared<eval::Classifier>(
      eval::ClassifierOptions{.backbone = config.backbone, .classes = kClasses}, 0);
  eval::FineTuneStep step(options, classifier, runs.device);
  const auto images = random_images(config, runs.device);
  const auto labels =
      at::randint(kClasses, {config.train.batch_size}, torch::TensorOptions(torch::kLong));
  const auto targets = at::one_hot(labels, kClasses).to(runs.device, torch::kFloat);
  const auto run = [&] {
    step.accumulate(images, targets);
    step.update(eval::fine_tune_values(options, 1000, 50'000));
  };
  measure_beside_products({network_case("fine_tune", config, 3), run}, config, runs, figures);
}

void bench_segment(const config::RunConfig& config, const BenchRuns& runs, Figures& figures) {
  eval::SegmentOptions options;
  options.batch_size = config.train.batch_size;
  options.run.precision = config.train.precision;
  options.transform.crop_size = config.backbone.image_size;
  const auto network =
      eval::make_segmentor(eval::segmentor_options(options, config.backbone, kPixelClasses), 0);
  auto step = eval::make_segment_step(options, network, runs.device);
  const auto images = random_images(config, runs.device);
  const auto labels = at::randint(kPixelClasses, {images.size(0), images.size(2), images.size(3)},
                                  torch::TensorOptions(torch::kByte))
                          .to(runs.device);
  const auto run = [&] {
    network->set_context(step->context(0));
    step->accumulate(eval::segment_losses(*network, images, labels, options.run.precision).total);
    step->update({.lr = 1e-6, .weight_decay = options.weight_decay});
  };
  figures.measure({.name = "segment", .images = static_cast<double>(images.size(0))}, runs, run);
}

}  // namespace ibot::apps
