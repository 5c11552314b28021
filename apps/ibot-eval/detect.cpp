#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "common/logging.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot-eval/detect_test.h"
#include "ibot-eval/task_identity.h"
#include "ibot-eval/task_run.h"
#include "ibot-eval/training_record.h"
#include "ibot/coco/detection_loader.h"
#include "ibot/coco/view.h"
#include "ibot/config/yaml.h"
#include "ibot/dense/weights.h"
#include "ibot/eval/detect_trainer.h"

namespace ibot::apps {
namespace {

/// The images to test on, and where a network is trained those to train on.
struct DetectSets {
  std::optional<coco::ImageSet> train;
  std::optional<coco::ImageSet> val;
  std::vector<int64_t> trained;  // numbers of the images that are trained on
};

void tell(const coco::AnnotatedSet& set) {
  for (const auto& note : set.notes) log_warning(concat(set.source, ": ", note));
}

/// Whether an image of the set has an object to train on.
bool has_object(const coco::AnnotatedSet& set, int64_t image) {
  return std::any_of(set.objects[image].begin(), set.objects[image].end(), [&](const auto& object) {
    return coco::is_trained(object, set.images[image]);
  });
}

void check_categories(const coco::AnnotatedSet& train, const coco::AnnotatedSet& val) {
  const auto ids = coco::category_ids(train);
  IBOT_CHECK_AS(RequestError, ids == coco::category_ids(val), val.source, ": expected the ",
                ids.size(), " categories of ", train.source, ", got ", val.categories.size(),
                " or other ids; annotate both with one list");
  // In either file's own order: an id means the same in both.
  std::map<int64_t, std::string> names;
  for (const auto& category : train.categories) names[category.id] = category.name;
  for (const auto& category : val.categories) {
    const auto& name = names.at(category.id);
    IBOT_CHECK_AS(RequestError, name == category.name, val.source, ": expected category ",
                  category.id, " to be ", name, " as in ", train.source, ", got ", category.name,
                  "; annotate both with one list");
  }
}

void warn_of_single_images(const TaskRequest& request) {
  if (request.weights.config.detect.batch_size * request.group.size() > 1) return;
  log_warning(
      "detect.batch_size: steps of one image train with its own statistics of batch normalization, "
      "which the test has not; take 2 or more, or more ranks");
}

DetectSets open_detect_sets(const TaskRequest& request, bool trains) {
  const auto& options = request.weights.config.detect;
  DetectSets sets;
  sets.val.emplace(open_input([&] {
    return coco::open_image_set(request.data, options.val_images, options.val_annotations);
  }));
  tell(sets.val->annotated);
  if (!trains) return sets;
  sets.train.emplace(open_input([&] {
    return coco::open_image_set(request.data, options.train_images, options.train_annotations);
  }));
  const auto& annotated = sets.train->annotated;
  tell(annotated);
  check_categories(annotated, sets.val->annotated);
  sets.trained = coco::trained_images(annotated);
  const auto with_object =
      std::count_if(sets.trained.begin(), sets.trained.end(),
                    [&](int64_t image) { return has_object(annotated, image); });
  IBOT_CHECK_AS(RequestError, with_object > 0, annotated.source,
                ": expected an image with an object to train on: a mask, a box within the image, "
                "an area above 0, no crowd; found none");
  return sets;
}

detection::Detector make_detector(const TaskRequest& request, size_t classes) {
  const auto& config = request.weights.config;
  return with_section("detect", [&] {
    auto detector =
        eval::build_detector(config.detect, config.run.backbone, static_cast<int64_t>(classes));
    eval::initialize_(*detector, config.detect.seed);
    return detector;
  });
}

coco::DetectionLoaderOptions loader_options(const TaskRequest& request) {
  const auto& config = request.weights.config;
  return {.view = config.detect.view,
          .decode = config.run.data.decode,
          .seed = static_cast<uint64_t>(config.detect.seed),
          .batch_size = config.detect.batch_size,
          .share = {.rank = request.group.rank(), .world = request.group.size()},
          .num_epochs = config.detect.epochs,
          .workers = config.run.data.workers,
          .prefetch_batches = config.run.data.prefetch_batches};
}

eval::DetectStep make_step(const TaskRequest& request, const detection::Detector& detector) {
  const auto& config = request.weights.config;
  return with_section("detect", [&]() -> eval::DetectStep {
    return {config.detect, config.run.backbone, detector, request.device, request.group};
  });
}

void train(const TaskRequest& request, const DetectSets& sets, detection::Detector detector,
           const Identity& identity) {
  const auto& config = request.weights.config;
  warn_of_single_images(request);
  const auto report = open_input([&] {
    return dense::load_weights_(detector->backbone(), backbone_tensors(request.weights));
  });
  log_info(models::summary(report));
  auto step = make_step(request, detector);
  auto loading = loader_options(request);
  const auto checkpoints = checkpoint_folder(request);
  const auto checkpoint =
      find_checkpoint(checkpoints, identity, [] { return std::optional<train::Checkpoint>(); });
  const auto steps = coco::oriented_steps(coco::wide_ones(sets.train->annotated, sets.trained),
                                          config.detect.batch_size, request.group.size());
  eval::DetectTrainer trainer(
      {.normalization = config.run.augment.normalization,
       .steps_per_epoch = steps,
       .home = run_home(request, checkpoints, identity, static_cast<int64_t>(sets.trained.size()))},
      step);
  log_info(concat(sets.trained.size(), " training and ", sets.val->images.size(),
                  " test images of ", sets.val->annotated.categories.size(), " categories; ", steps,
                  " steps an epoch", where_it_runs(request)));
  resume(trainer, checkpoint, config.detect.epochs * steps);
  TrainingRecord record(request, trainer.state(),
                        {.task = "detect",
                         .steps = config.detect.epochs * steps,
                         .metrics = {{"box_ap", "box AP", 1},
                                     {"box_ap50", "AP50", 1},
                                     {"mask_ap", "mask AP", 1},
                                     {"mask_ap50", "AP50", 1}}});
  trainer.set_observers(record.observers());
  trainer.set_test(
      [&](detection::Detector& trained) { return test_detector(request, *sets.val, trained); });
  train_to_end(trainer, request, [&] {
    loading.first_epoch = trainer.state().step / steps;
    loading.first_step = trainer.state().step % steps;
    coco::DetectionLoader loader(sets.train->images, sets.train->annotated, sets.trained, loading);
    return trainer.run(loader);
  });
}

/// Given detections, without a network.
eval::Report score_results(const TaskRequest& request) {
  const auto& options = request.weights.config.detect;
  const auto file = request.data / options.val_annotations;
  const auto set = open_input([&] { return coco::read_annotations(file); });
  tell(set);
  const auto detections = open_input([&] { return coco::read_detections(request.results, set); });
  auto report = open_input([&] { return detection_report(request, set, detections); });
  return report;
}

void write_detector(const TaskRequest& request, const detection::Detector& detector) {
  if (request.group.rank() != 0 || request.output.empty()) return;
  dense::write_network(
      request.output / "detector.safetensors",
      dense::network_file(*detector,
                          config::write_config(request.weights.config, config::Comments::kNone)));
}

}  // namespace

eval::Report run_detect(const TaskRequest& request) {
  if (!request.results.empty()) return score_results(request);
  const bool trains = request.trained.empty();
  const auto sets = open_detect_sets(request, trains);
  IBOT_CHECK_AS(RequestError, request.weights.backbone != nullptr,
                "detect: expected a network, got pixels");
  auto detector = make_detector(request, sets.val->annotated.categories.size());
  Identity identity = detect_identity(request, sets.train ? &*sets.train : nullptr, *sets.val);
  if (trains) {
    train(request, sets, detector, identity);
    if (stop_requested()) return {};
    write_detector(request, detector);
  } else {
    open_input([&] { dense::load_network_(*detector, dense::read_network(request.trained)); });
    detector->to(request.device);
    detector->set_group(request.group);
  }
  detector->eval();
  std::vector<metrics::Detection> found;
  test_detector(request, *sets.val, detector, &found);
  auto report = detection_report(request, sets.val->annotated, found);
  report.identity = identity.summary();
  if (sets.train) report.counts["train_images"] = std::ssize(sets.trained);
  report.figures = draw_detections(request, *sets.val, found);
  return report;
}

}  // namespace ibot::apps
