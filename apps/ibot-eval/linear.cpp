#include <cstdio>
#include <optional>

#include "common/labeled_images.h"
#include "common/logging.h"
#include "common/progress.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot-eval/features.h"
#include "ibot-eval/linear_log.h"
#include "ibot-eval/linear_state.h"
#include "ibot-eval/linear_test.h"
#include "ibot-eval/task.h"
#include "ibot-eval/task_identity.h"
#include "ibot-eval/task_run.h"
#include "ibot/config/yaml.h"
#include "ibot/eval/linear_probe.h"
#include "ibot/loading/training_loader.h"
#include "ibot/train/run_log.h"

namespace ibot::apps {
namespace {

data::TrainingLoaderOptions loader_options(const TaskRequest& request) {
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
          .share = {.rank = request.group.rank(), .world = request.group.size()},
          .num_epochs = options.epochs,
          .workers = config.run.data.workers,
          .prefetch_batches = config.run.data.prefetch_batches,
          .pin_memory = request.device.is_cuda()};
}

/// Features of one step's crops, [B, F], in forward passes of eval.batch_size images: a step of
/// many takes no more memory.
torch::Tensor features_of(const TaskRequest& request, const torch::Tensor& crops) {
  const torch::NoGradGuard no_grad;
  const auto& config = request.weights.config;
  const auto& normalization = config.run.augment.normalization;
  std::vector<torch::Tensor> parts;
  for (const auto& part : crops.split(config.run.eval.batch_size)) {
    const auto images =
        batch::normalized(part.to(request.device, /*non_blocking=*/true), normalization);
    parts.push_back(
        eval::image_features(*request.weights.backbone, images, config.features));  // [P, F]
  }
  const auto features = torch::cat(parts).to(torch::kFloat);
  eval::check_finite(features, "linear", "training features");
  return features;
}

/// What rank 0 shows.
class Shown : public train::Observer {
 public:
  explicit Shown(const eval::LinearProbe& probe, int64_t epochs)
      : probe_(probe),
        progress_({.label = "linear",
                   .unit = "steps",
                   .total = epochs * probe.state().steps_per_epoch,
                   .first = probe.state().step,
                   .item = "images",
                   .items_per_count = static_cast<double>(probe.state().global_batch)}) {}
  ~Shown() override { progress_.finish(); }

  void on_step(const train::StepRecord& record) override {
    const auto& best = probe_.best();
    char note[32] = "";
    if (best.head >= 0) std::snprintf(note, sizeof(note), "top-1 %.2f", best.top1);
    progress_.update(record.step, note);
  }
  void on_fault(const train::FaultRecord& record) override {
    log_warning(concat("step ", record.step, ": ", record.text));
  }

 private:
  const eval::LinearProbe& probe_;
  Progress progress_;
};

/// Trains to the end or to an early one, of which stop_requested tells; OUT has the classifiers
/// then.
void run_probe(eval::LinearProbe& probe, const TaskRequest& request, const LabeledImages& images,
               const Identity& identity) {
  const bool leads = request.group.rank() == 0;
  const auto epochs = request.weights.config.linear.epochs;
  std::optional<LinearLog> log;
  std::optional<Shown> shown;
  std::optional<train::RunLog> metrics;
  if (leads) {
    const auto& state = probe.state();
    log.emplace(request.output, state.step / state.steps_per_epoch);
    shown.emplace(probe, epochs);
    std::vector<train::Observer*> observers{&*shown};
    if (!request.output.empty()) {
      // The official log has its own lines.
      metrics.emplace(request.output, state.step, state.steps_per_epoch, log_warning, std::nullopt);
      observers.push_back(&*metrics);
    }
    probe.set_observers(observers);
    probe.set_on_best([&](const eval::LinearEpoch& epoch) { log->append(epoch); });
  }
  train_to_end(probe, request, [&] {
    data::TrainingLoader loader(images.train(), stream_of(loader_options(request), probe.state()));
    return probe.run(loader);
  });
  if (leads && !request.output.empty()) {
    write_classifiers(request.output / "linear.safetensors", probe, identity);
  }
}

void print_best(const char* name, const eval::LinearBest& best, const eval::LinearProbe& probe) {
  const auto& setting = probe.heads().settings()[best.head];
  std::printf("%-30s %7.2f %7.2f %10g %10g %8g %5s %5lld\n", name, best.top1, best.top5,
              probe.listed_rate(best.head), setting.lr, setting.weight_decay,
              setting.lars ? "lars" : "sgd", static_cast<long long>(best.epoch));
}

/// The accuracy of `best` and its rate as listed and as scaled with the batch.
void add_metrics(eval::Report& report, const eval::LinearBest& best, const eval::LinearProbe& probe,
                 const std::string& ending) {
  report.metrics["top1" + ending] = best.top1;
  report.metrics["top5" + ending] = best.top5;
  report.metrics["lr_listed" + ending] = probe.listed_rate(best.head);
  report.metrics["lr_scaled" + ending] = probe.heads().settings()[best.head].lr;
  report.metrics["epoch" + ending] = static_cast<double>(best.epoch);
}

}  // namespace

eval::Report run_linear(const TaskRequest& request) {
  if (request.classifiers) {
    return request.group.rank() == 0 ? test_classifiers(request) : eval::Report();
  }
  IBOT_CHECK_AS(RequestError, request.weights.backbone != nullptr,
                "linear: expected a network, got pixels");
  const auto& config = request.weights.config;
  const LabeledImages images(request.data, config.dataset);
  const auto steps = open_input([&] {
    return data::training_steps_per_epoch(images.train().size(), loader_options(request));
  });
  const auto identity = linear_identity(request, images);
  const auto folder = checkpoint_folder(request);
  const auto checkpoint = find_checkpoint(folder, identity, [&] {
    return std::filesystem::exists(folder / "last.safetensors")
               ? std::nullopt
               : read_former_probe(request.output / "linear.safetensors", steps);
  });
  eval::LinearProbe probe(
      {.linear = config.linear,
       .classes = images.classes(),
       .steps_per_epoch = steps,
       .images = images.train().size(),
       .checkpoints = folder,
       .config = config::write_config(config, config::Comments::kNone),
       .identity = identity.text()},
      [&](const torch::Tensor& crops) { return features_of(request, crops); },
      bank_of(request, images, data::Split::kVal), request.device, request.group);
  if (checkpoint) {
    open_input([&] { probe.resume(*checkpoint); });
    log_info(concat("resumed at step ", probe.state().step));
  }
  run_probe(probe, request, images, identity);
  if (stop_requested()) return {};
  auto report =
      feature_report("linear", request, eval::option_values(config.linear), identity.summary());
  IBOT_CHECK_AS(DivergenceError, probe.best().head >= 0,
                "linear: expected a classifier with finite scores, all diverged; lower linear.lr");
  if (request.group.rank() == 0) {
    std::printf("%-30s %7s %7s %10s %10s %8s %5s %5s\n", "", "top-1", "top-5", "listed lr",
                "scaled lr", "decay", "optim", "epoch");
    print_best("best", probe.best(), probe);
  }
  add_metrics(report, probe.best(), probe, "");
  const auto& sgd = probe.best_sgd();
  if (sgd.head >= 0) {
    add_metrics(report, sgd, probe, "_sgd");
    if (request.group.rank() == 0 &&
        (sgd.head != probe.best().head || sgd.epoch != probe.best().epoch)) {
      print_best("best, SGD without weight decay", sgd, probe);
    }
  }
  return report;
}

}  // namespace ibot::apps
