#include "ibot/evaluation/linear.h"

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
#include "ibot/train/run_log.h"

namespace ibot::apps {
namespace {

const eval::LinearOptions& options_of(const TaskRequest& request) {
  return request.weights.config.run.evaluations.of<eval::LinearOptions>();
}

data::TrainingLoaderOptions crops_of(const TaskRequest& request) {
  const data::Share share{.rank = request.group.rank(), .world = request.group.size()};
  return evaluation::linear_crops(options_of(request), extraction_options(request), request.device,
                                  share);
}

/// The published batch is made for a million images; rates are scaled by it.
void warn_of_batch(const TaskRequest& request, int64_t images, int64_t steps) {
  constexpr int64_t kFewSteps = 8;
  const auto batch = options_of(request).batch_size;
  if (steps >= kFewSteps || request.group.rank() > 0) return;
  int64_t fitting = 16;
  while (fitting * 2 * kFewSteps * request.group.size() <= images) fitting *= 2;
  if (fitting >= batch) return;
  log_warning(concat("linear.batch_size ", batch, " makes ", steps, steps == 1 ? " step" : " steps",
                     " an epoch of ", images, " images, each with rates scaled for ",
                     batch * request.group.size(),
                     " images; on a set this small set linear.batch_size=", fitting));
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
  const auto epochs = options_of(request).epochs;
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
    data::TrainingLoader loader(images.train(), stream_of(crops_of(request), probe.state()));
    return probe.run(loader);
  });
  if (leads && !request.output.empty()) {
    write_classifiers(request.output / "linear.safetensors", probe, identity);
  }
}

}  // namespace

eval::Report run_linear(const TaskRequest& request) {
  if (request.classifiers) {
    return request.group.rank() == 0 ? test_classifiers(request) : eval::Report();
  }
  IBOT_CHECK_AS(RequestError, request.weights.backbone != nullptr,
                "linear: expected a network, got pixels");
  const auto& config = request.weights.config;
  const LabeledImages images(request.data, config.dataset, config.run.data);
  const auto steps = open_input(
      [&] { return data::training_steps_per_epoch(images.train().size(), crops_of(request)); });
  warn_of_batch(request, images.train().size(), steps);
  const auto identity = linear_identity(request, images);
  const auto folder = checkpoint_folder(request);
  const auto checkpoint = find_checkpoint(folder, identity, [&] {
    return std::filesystem::exists(folder / "last.safetensors")
               ? std::nullopt
               : read_former_probe(request.output / "linear.safetensors", steps);
  });
  const auto subject = subject_of(request);
  const auto extraction = extraction_options(request);
  eval::LinearProbe probe(
      {.linear = options_of(request),
       .classes = images.classes(),
       .steps_per_epoch = steps,
       .home = run_home(request, folder, identity, images.train().size())},
      [&](const torch::Tensor& crops) {
        return evaluation::crop_features(subject, crops, extraction);
      },
      bank_of(request, images, data::Split::kVal), request.device, request.group);
  resume(probe, checkpoint);
  run_probe(probe, request, images, identity);
  if (stop_requested()) return {};
  const auto found = evaluation::linear_report(probe, options_of(request));
  auto report = feature_report("linear", request, found.options, identity.summary());
  report.metrics = found.metrics;
  report.table = found.table;
  report.counts = images.counts();
  if (request.group.rank() == 0) print(report);
  return report;
}

}  // namespace ibot::apps
