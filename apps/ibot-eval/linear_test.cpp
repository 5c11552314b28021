#include "ibot-eval/linear_test.h"

#include <iomanip>
#include <numeric>
#include <set>

#include "common/labeled_images.h"
#include "common/logging.h"
#include "common/run_main.h"
#include "ibot-eval/features.h"
#include "ibot-eval/task_identity.h"
#include "ibot/eval/linear_heads.h"
#include "ibot/loading/open_dataset.h"
#include "ibot/models/architecture.h"

namespace ibot::apps {
namespace {

constexpr int64_t kTopClasses = 5;

/// The width of the features, seen on one image.
int64_t width_of(const TaskRequest& request, const eval::FeatureOptions& options) {
  const torch::NoGradGuard no_grad;
  const auto side = request.weights.config.run.eval.crop_size;
  const auto image = torch::zeros({1, 3, side, side}, torch::TensorOptions(request.device));
  return eval::image_features(*request.weights.backbone, image, options).size(1);
}

/// Features that a classifier may have been trained on, the likely ones first.
std::vector<eval::FeatureOptions> candidates(const EvalConfig& config) {
  const auto& backbone = config.run.backbone;
  const auto first = eval::resolved(config.features, /*linear_probing=*/true, backbone);
  if (config.features.pooling != eval::Pooling::kPublished) return {first};
  const auto depth = models::architecture_of(backbone.arch).blocks(backbone);
  std::vector<eval::FeatureOptions> all{first};
  for (const auto pooling : {eval::Pooling::kClass, eval::Pooling::kClassAndPatchMean}) {
    for (int64_t blocks = 1; blocks <= depth; ++blocks) all.push_back({pooling, blocks});
  }
  return all;
}

/// The test images, their classes numbered as the classifiers' are.
struct TestImages {
  std::optional<LabeledImages> matched;
  std::unique_ptr<data::Dataset> alone;
  int64_t classes = 0;

  const data::Dataset& images() const { return matched ? matched->test() : *alone; }
  std::string hash() const {
    return matched ? matched->hash(data::Split::kVal) : alone->content_hash();
  }
};

TestImages open_test_images(const TaskRequest& request) {
  const auto& options = request.weights.config.dataset;
  TestImages result;
  if (options.kind != data::DatasetKind::kFolder ||
      std::filesystem::is_directory(request.data / "train")) {
    result.matched.emplace(request.data, options);
    result.classes = result.matched->classes();
    return result;
  }
  result.alone =
      open_input([&] { return data::open_dataset(request.data, data::Split::kVal, options); });
  result.classes = static_cast<int64_t>(result.alone->class_names().size());
  return result;
}

/// A class is what its number says: another number of classes is another numbering, unless a
/// training folder shows the one that was trained on.
void check_classes(const TaskRequest& request, const TestImages& images) {
  const auto classes = request.classifiers->weight.size(1);
  if (images.classes == classes) return;
  IBOT_CHECK_AS(RequestError, images.matched && images.classes < classes,
                request.classifiers->source, ": expected data of ", classes,
                " classes, as the classifiers have, got ", images.classes, " in ",
                request.data.string(), "; give the data that they were trained on");
  log_warning(concat(request.classifiers->source, ": classifiers of ", classes,
                     " classes, data of ", images.classes,
                     "; class numbers are taken to be those of train/"));
}

eval::LinearHeads heads_of(const models::LinearClassifiers& classifiers, torch::Device device) {
  const auto sizes = classifiers.weight.sizes();
  eval::LinearHeads heads(std::vector<eval::LinearSetting>(static_cast<size_t>(sizes[0])), sizes[2],
                          sizes[1], /*seed=*/0, device);
  const auto state = heads.state();
  torch::Tensor(state.at("weight")).copy_(classifiers.weight);
  torch::Tensor(state.at("bias")).copy_(classifiers.bias);
  return heads;
}

/// Of one classifier on all test images, in percent.
struct Accuracy {
  double top1 = 0.0;
  double top5 = 0.0;
  double loss = 0.0;
};

std::vector<Accuracy> accuracies(const eval::LinearHits& hits, int64_t images) {
  std::vector<Accuracy> result;
  const auto percent = [&](const torch::Tensor& counts, int64_t head) {
    return 100.0 * static_cast<double>(counts[head].item<int64_t>()) / static_cast<double>(images);
  };
  for (int64_t head = 0; head < hits.top1.size(0); ++head) {
    result.push_back({percent(hits.top1, head), percent(hits.top5, head),
                      static_cast<double>(hits.loss[head].item<float>())});
  }
  return result;
}

std::string row(const std::string& name, const Accuracy& accuracy, bool has_top5) {
  const auto top5 =
      has_top5 ? concat(std::fixed, std::setprecision(2), accuracy.top5) : std::string("-");
  return concat(std::left, std::setw(10), name, std::right, std::fixed, std::setprecision(2), ' ',
                std::setw(8), accuracy.top1, ' ', std::setw(8), top5, ' ', std::setprecision(4),
                std::setw(10), accuracy.loss, '\n');
}

/// The classifier that the report is of.
int64_t reported(const models::LinearClassifiers& classifiers, const eval::LinearHits& hits,
                 int64_t images) {
  if (classifiers.best >= 0) return classifiers.best;
  std::vector<int64_t> all(static_cast<size_t>(hits.top1.size(0)));
  std::iota(all.begin(), all.end(), 0);
  const auto best = eval::better_of({}, hits, images, 0, all).head;
  IBOT_CHECK_AS(DivergenceError, best >= 0, classifiers.source,
                ": expected a classifier with finite scores, all diverged");
  log_info(concat(classifiers.source,
                  ": does not say which classifier is best; the best on these "
                  "images is reported"));
  return best;
}

}  // namespace

eval::FeatureOptions features_of_classifiers(const TaskRequest& request) {
  IBOT_CHECK_AS(RequestError, request.weights.backbone != nullptr,
                "--classifier: expected a network, got pixels");
  const auto& config = request.weights.config;
  const auto wanted = request.classifiers->weight.size(2);
  std::set<int64_t> widths;
  for (const auto& options : candidates(config)) {
    const auto width = width_of(request, options);
    if (width == wanted) {
      log_info(concat(request.classifiers->source, ": features of width ", wanted,
                      ", taken for features.pooling=", enum_name(options.pooling),
                      " features.blocks=", options.blocks));
      return options;
    }
    widths.insert(width);
  }
  std::string known;
  for (const auto width : widths) known += concat(known.empty() ? "" : ", ", width);
  throw RequestError(concat(request.classifiers->source,
                            ": expected classifiers of features of width ", known,
                            ", as this network gives, got ", wanted,
                            "; give the network that they were trained on, or say its "
                            "features.pooling and features.blocks"));
}

eval::Report test_classifiers(const TaskRequest& request) {
  const auto& classifiers = *request.classifiers;
  const auto data = open_test_images(request);
  check_classes(request, data);
  const auto hash = data.hash();
  const auto bank = bank_of(request, data.images(), hash, "val");
  eval::check_finite(bank.features, "linear", "test features");
  const auto hits = heads_of(classifiers, request.device)
                        .hits(bank.features.to(request.device), bank.labels.to(request.device));
  const auto images = bank.labels.size(0);
  const auto all = accuracies(hits, images);
  const auto best = reported(classifiers, hits, images);
  const bool has_top5 = classifiers.weight.size(1) >= kTopClasses;
  auto report = feature_report("linear", request, {{"classifier", classifiers.source}},
                               classifier_identity(request, hash).summary());
  report.counts = {{"test_images", images}, {"classes", data.classes}};
  report.table = "classifier    top-1    top-5       loss\n";
  for (size_t head = 0; head < all.size(); ++head) {
    report.table += row(std::to_string(head), all[head], has_top5);
    report.metrics[concat("acc", head, "@1")] = all[head].top1;
    if (has_top5) report.metrics[concat("acc", head, "@5")] = all[head].top5;
  }
  const auto& chosen = all[static_cast<size_t>(best)];
  report.table += row("best", chosen, has_top5);
  report.metrics.merge(std::map<std::string, double>{
      {"top1", chosen.top1}, {"loss", chosen.loss}, {"classifier", static_cast<double>(best)}});
  if (has_top5) report.metrics["top5"] = chosen.top5;
  if (classifiers.best_top1) report.metrics["top1_of_file"] = *classifiers.best_top1;
  return report;
}

}  // namespace ibot::apps
