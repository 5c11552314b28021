#include <cstdio>
#include <numeric>

#include "common/labeled_images.h"
#include "common/logging.h"
#include "common/progress.h"
#include "common/run_main.h"
#include "ibot-eval/features.h"
#include "ibot-eval/linear_log.h"
#include "ibot-eval/linear_state.h"
#include "ibot-eval/linear_test.h"
#include "ibot-eval/task.h"
#include "ibot-eval/task_identity.h"
#include "ibot/data/training_loader.h"
#include "ibot/eval/linear_heads.h"

namespace ibot::apps {
namespace {

data::TrainingLoaderOptions loader_options(const TaskRequest& request, int64_t first_epoch) {
  const auto& config = request.weights.config;
  const auto& options = config.linear;
  return {.transform = {.size = config.run.eval.crop_size,
                        .scale = options.scale,
                        .filter = data::Filter::kBilinear,
                        .rand_operations = 0,
                        .color_jitter = 0.0},
          .decode = config.run.data.decode,
          .seed = static_cast<uint64_t>(options.seed),
          .batch_size = options.batch_size,
          .drop_last = false,
          .first_epoch = first_epoch,
          .num_epochs = options.epochs,
          .workers = config.run.data.workers,
          .prefetch_batches = config.run.data.prefetch_batches,
          .pin_memory = request.device.is_cuda()};
}

/// The sweep: all classifiers learn from the same random crops, whose features are computed once.
class LinearProbe {
 public:
  LinearProbe(const TaskRequest& request, const LabeledImages& images)
      : request_(request),
        options_(request.weights.config.linear),
        images_(images),
        test_(bank_of(request, images, data::Split::kVal)),
        heads_(eval::linear_settings(options_, options_.batch_size), test_.features.size(1),
               images.classes(), static_cast<uint64_t>(options_.seed), request.device),
        identity_(linear_identity(request, images)),
        state_(request.output, identity_) {
    eval::check_finite(test_.features, "linear", "test features");
    test_.features = test_.features.to(request.device);
    test_.labels = test_.labels.to(request.device);
  }

  /// Goes on where an earlier run ended; ends after the last epoch or the one that a signal comes
  /// in.
  void run() {
    state_.read(heads_);
    LinearLog log(request_.output, state_.next_epoch);
    data::TrainingLoader loader(images_.train(), loader_options(request_, state_.next_epoch));
    Progress progress({.label = "linear",
                       .unit = "steps",
                       .total = options_.epochs * loader.steps_per_epoch(),
                       .first = state_.next_epoch * loader.steps_per_epoch(),
                       .item = "images",
                       .items_per_count = static_cast<double>(options_.batch_size)});
    for (int64_t epoch = state_.next_epoch; epoch < options_.epochs; ++epoch) {
      const auto losses = train_epoch(loader, epoch, progress);
      if ((epoch + 1) % options_.val_every_epochs == 0 || epoch + 1 == options_.epochs) {
        validate(epoch, losses, log);
      }
      state_.next_epoch = epoch + 1;
      state_.write(heads_);
    }
    progress.finish();
  }

  const eval::LinearBest& best() const { return state_.best; }
  const eval::LinearBest& best_sgd() const { return state_.best_sgd; }
  const Identity& identity() const { return identity_; }
  const eval::LinearSetting& setting(int64_t head) const { return heads_.settings()[head]; }
  /// As linear.lr lists it; the rate is what changes slowest from head to head.
  double listed_rate(int64_t head) const {
    const auto heads_a_rate = heads_.settings().size() / options_.lr.size();
    return options_.lr[head / heads_a_rate];
  }

 private:
  /// Returns the classifiers' mean losses, [H].
  torch::Tensor train_epoch(data::TrainingLoader& loader, int64_t epoch, Progress& progress) {
    const double factor = eval::linear_lr_factor(epoch, options_.epochs);
    torch::Tensor losses;
    for (int64_t step = 0; step < loader.steps_per_epoch(); ++step) {
      const auto batch = loader.next();
      const auto loss =
          heads_.step(features_of(batch->image),
                      batch->label.to(request_.device, /*non_blocking=*/true), factor);
      losses = losses.defined() ? losses + loss : loss;
      progress.update(epoch * loader.steps_per_epoch() + step + 1, note());
    }
    return losses / static_cast<double>(loader.steps_per_epoch());
  }

  /// Features of one step's crops, [B, F], in forward passes of eval.batch_size images: a step of
  /// many takes no more memory.
  torch::Tensor features_of(const torch::Tensor& crops) {
    const torch::NoGradGuard no_grad;
    const auto& config = request_.weights.config;
    const batch::Normalization normalization{config.run.augment.mean, config.run.augment.std};
    std::vector<torch::Tensor> parts;
    for (const auto& part : crops.split(config.run.eval.batch_size)) {
      const auto images =
          batch::normalized(part.to(request_.device, /*non_blocking=*/true), normalization);
      parts.push_back(
          eval::image_features(*request_.weights.backbone, images, config.features));  // [P, F]
    }
    const auto features = torch::cat(parts).to(torch::kFloat);
    eval::check_finite(features, "linear", "training features");
    return features;
  }

  void validate(int64_t epoch, const torch::Tensor& losses, LinearLog& log) {
    const auto hits = heads_.hits(test_.features, test_.labels);
    std::vector<int64_t> all(heads_.settings().size());
    std::iota(all.begin(), all.end(), 0);
    std::vector<int64_t> plain;
    for (const int64_t head : all) {
      if (!setting(head).lars && setting(head).weight_decay == 0) plain.push_back(head);
    }
    const auto images = test_.labels.size(0);
    state_.best = eval::better_of(state_.best, hits, images, epoch, all);
    state_.best_sgd = eval::better_of(state_.best_sgd, hits, images, epoch, plain);
    if (state_.best.epoch == epoch) log.append({epoch, rates(epoch), losses, hits, images});
  }

  torch::Tensor rates(int64_t epoch) const {
    std::vector<double> values;
    for (const auto& setting : heads_.settings()) values.push_back(setting.lr);
    return eval::linear_lr_factor(epoch, options_.epochs) * torch::tensor(values, torch::kDouble);
  }

  std::string note() const {
    if (state_.best.head < 0) return {};
    char text[32];
    std::snprintf(text, sizeof(text), "top-1 %.2f", state_.best.top1);
    return text;
  }

  const TaskRequest& request_;
  const eval::LinearOptions& options_;
  const LabeledImages& images_;
  eval::FeatureBank test_;
  eval::LinearHeads heads_;
  Identity identity_;
  LinearState state_;
};

void print_best(const char* name, const eval::LinearBest& best, const LinearProbe& probe) {
  const auto& setting = probe.setting(best.head);
  std::printf("%-30s %7.2f %7.2f %10g %10g %8g %5s %5lld\n", name, best.top1, best.top5,
              probe.listed_rate(best.head), setting.lr, setting.weight_decay,
              setting.lars ? "lars" : "sgd", static_cast<long long>(best.epoch));
}

/// The accuracy of `best` and its rate as listed and as scaled with the batch.
void add_metrics(eval::Report& report, const eval::LinearBest& best, const LinearProbe& probe,
                 const std::string& ending) {
  report.metrics["top1" + ending] = best.top1;
  report.metrics["top5" + ending] = best.top5;
  report.metrics["lr_listed" + ending] = probe.listed_rate(best.head);
  report.metrics["lr_scaled" + ending] = probe.setting(best.head).lr;
  report.metrics["epoch" + ending] = static_cast<double>(best.epoch);
}

}  // namespace

eval::Report run_linear(const TaskRequest& request) {
  if (request.classifiers) return test_classifiers(request);
  IBOT_CHECK_AS(RequestError, request.weights.backbone != nullptr,
                "linear: expected a network, got pixels");
  const LabeledImages images(request.data, request.weights.config.dataset);
  LinearProbe probe(request, images);
  probe.run();
  auto report =
      feature_report("linear", request, eval::option_values(request.weights.config.linear),
                     probe.identity().summary());
  IBOT_CHECK_AS(DivergenceError, probe.best().head >= 0,
                "linear: expected a classifier with finite scores, all diverged; lower linear.lr");
  std::printf("%-30s %7s %7s %10s %10s %8s %5s %5s\n", "", "top-1", "top-5", "listed lr",
              "scaled lr", "decay", "optim", "epoch");
  print_best("best", probe.best(), probe);
  add_metrics(report, probe.best(), probe, "");
  const auto& sgd = probe.best_sgd();
  if (sgd.head >= 0) {
    add_metrics(report, sgd, probe, "_sgd");
    if (sgd.head != probe.best().head || sgd.epoch != probe.best().epoch) {
      print_best("best, SGD without weight decay", sgd, probe);
    }
  }
  return report;
}

}  // namespace ibot::apps
