#include "ibot/evaluation/linear.h"

#include "evaluation/table.h"
#include "ibot/base/error.h"
#include "ibot/eval/evaluation_mode.h"
#include "ibot/evaluation/evaluations.h"
#include "ibot/train/observer.h"

namespace ibot::evaluation {
namespace {

/// Tells a listener how far the probe is.
class Told : public train::Observer {
 public:
  Told(const eval::LinearProbe& probe, int64_t epochs, const Listener& listener)
      : probe_(probe),
        listener_(listener),
        stage_{
            .label = "linear", .unit = "steps", .total = epochs * probe.state().steps_per_epoch} {}

  void on_step(const train::StepRecord& record) override {
    stage_.done = record.step;
    stage_.finished = stage_.done == stage_.total;
    if (probe_.best().head >= 0) stage_.note = concat("top-1 ", probe_.best().top1);
    listener_.progress(stage_);
  }
  void on_fault(const train::FaultRecord& record) override {
    listener_.warning(concat("linear: step ", record.step, ": ", record.text));
  }

 private:
  const eval::LinearProbe& probe_;
  const Listener& listener_;
  Stage stage_;
};

/// The accuracy of `best` and its rate as listed and as scaled with the batch.
void add_metrics(eval::Report& report, const eval::LinearBest& best, const eval::LinearProbe& probe,
                 const std::string& ending) {
  report.metrics["top1" + ending] = best.top1;
  report.metrics["top5" + ending] = best.top5;
  report.metrics["lr_listed" + ending] = probe.listed_rate(best.head);
  report.metrics["lr_scaled" + ending] = probe.heads().settings()[best.head].lr;
  report.metrics["epoch" + ending] = static_cast<double>(best.epoch + 1);
}

std::string row(const char* name, const eval::LinearBest& best, const eval::LinearProbe& probe) {
  const auto& setting = probe.heads().settings()[best.head];
  return table_line("%-30s %7.2f %7.2f %10g %10g %8g %5s %5lld", name, best.top1, best.top5,
                    probe.listed_rate(best.head), setting.lr, setting.weight_decay,
                    setting.lars ? "lars" : "sgd", static_cast<long long>(best.epoch + 1));
}

/// The sweep from its first step to its last, in this process alone; nothing of it is kept.
class Linear : public Evaluation {
 public:
  explicit Linear(eval::LinearOptions options)
      : Evaluation({.name = "linear",
                    .text = "a sweep of linear classifiers on frozen features",
                    .reads = {.images = true},
                    .trains = true}),
        options_(std::move(options)) {}

  eval::Report run(const Inputs& inputs, const Listener& listener) const override {
    const auto& subject = inputs.subject;
    const auto& images = *inputs.images;
    auto extraction = inputs.extraction;
    // The published pooling of linear probes, which differs from that of other evaluations.
    extraction.features = eval::resolved({}, /*linear_probing=*/true, subject.options);
    // Test features are computed once; training crops change with every epoch.
    auto test = extract(subject, images.test(), images.hash(data::Split::kVal), "val", extraction,
                        listener);
    const eval::EvaluationMode evaluation_mode(*subject.backbone);
    data::TrainingLoader crops(images.train(), linear_crops(options_, extraction, subject.device));
    eval::LinearProbe probe(
        {.linear = options_,
         .classes = images.classes(),
         .steps_per_epoch = crops.steps_per_epoch(),
         .home = {.images = images.train().size()}},
        [&](const torch::Tensor& batch) { return crop_features(subject, batch, extraction); },
        std::move(test), subject.device);
    Told told(probe, options_.epochs, listener);
    probe.set_observers({&told});
    probe.run(crops);
    return linear_report(probe, options_);
  }

 private:
  eval::LinearOptions options_;
};

}  // namespace

data::TrainingLoaderOptions linear_crops(const eval::LinearOptions& options,
                                         const ExtractionOptions& extraction, torch::Device device,
                                         data::Share share) {
  // torchvision's RandomResizedCrop as the reference calls it, flips alone besides.
  return {.transform = {.size = extraction.crop_size,
                        .scale = options.scale,
                        .filter = data::Filter::kBilinear,
                        .rand_operations = 0,
                        .color_jitter = 0.0},
          .decode = extraction.decode,
          .seed = static_cast<uint64_t>(options.seed),
          .batch_size = options.batch_size,
          // The reference keeps the incomplete last batch of linear probes.
          .drop_last = false,
          .share = share,
          .num_epochs = options.epochs,
          .workers = extraction.workers,
          .prefetch_batches = extraction.prefetch_batches,
          .pin_memory = device.is_cuda()};
}

torch::Tensor crop_features(const Subject& subject, const torch::Tensor& crops,
                            const ExtractionOptions& extraction) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> parts;
  for (const auto& part : crops.split(extraction.batch_size)) {
    const auto images =
        batch::normalized(part.to(subject.device, /*non_blocking=*/true), extraction.normalization);
    parts.push_back(
        eval::image_features(*subject.backbone, images, extraction.features));  // [P, F]
  }
  const auto features = torch::cat(parts).to(torch::kFloat);
  eval::check_finite(features, "linear", "training features");
  return features;
}

eval::Report linear_report(const eval::LinearProbe& probe, const eval::LinearOptions& options) {
  const auto& best = probe.best();
  const auto& sgd = probe.best_sgd();
  IBOT_CHECK_AS(DivergenceError, best.head >= 0,
                "linear: expected a classifier with finite scores, all diverged; lower linear.lr");
  eval::Report report{
      .options = eval::option_values(options),
      .table = table_line("%-30s %7s %7s %10s %10s %8s %5s %5s", "", "top-1", "top-5", "listed lr",
                          "scaled lr", "decay", "optim", "epoch"),
      .score = best.top1};
  report.table += row("best", best, probe);
  add_metrics(report, best, probe, "");
  if (sgd.head < 0) return report;
  add_metrics(report, sgd, probe, "_sgd");
  if (sgd.head != best.head || sgd.epoch != best.epoch) {
    report.table += row("best, SGD without weight decay", sgd, probe);
  }
  return report;
}

std::unique_ptr<Evaluation> make(const eval::LinearOptions& options) {
  return std::make_unique<Linear>(options);
}

}  // namespace ibot::evaluation
