#include <algorithm>
#include <fstream>

#include "common/logging.h"
#include "common/run_main.h"
#include "ibot-eval/features.h"
#include "ibot-eval/pictures.h"
#include "ibot-eval/stage_progress.h"
#include "ibot-eval/task.h"
#include "ibot/data/image_folder.h"
#include "ibot/eval/imagenet.h"
#include "ibot/evaluation/robustness.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines_of(const std::string& file) {
  std::ifstream stream(file);
  IBOT_CHECK_AS(RequestError, stream.good(), file,
                ": expected names of classes, one a line; "
                "cannot be read");
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

/// What the classifier's outputs are called.
std::vector<std::string> class_names(const TaskRequest& request) {
  const auto& source = request.classifiers->source;
  const auto classes = static_cast<size_t>(request.classifiers->weight.size(1));
  const auto& list = request.weights.config.robustness.class_list;
  if (!list.empty()) {
    auto names = lines_of(list);
    IBOT_CHECK_AS(RequestError, names.size() == classes, list, ": expected ", classes,
                  " names, as ", source, " has classes, got ", names.size());
    return names;
  }
  const auto train = request.data / "train";
  if (fs::is_directory(train)) {
    auto names = open_input([&] { return data::ImageFolder(train).class_names(); });
    if (names.size() == classes) return names;
  }
  for (const auto& names : {eval::imagenet_classes(), eval::imagenet9_classes()}) {
    if (names.size() == classes) return names;
  }
  throw RequestError(concat(source, ": expected classifiers of 1000 classes, got ", classes,
                            "; name them by robustness.class_list"));
}

int64_t chosen_classifier(const TaskRequest& request) {
  const auto& classifiers = *request.classifiers;
  const auto count = classifiers.weight.size(0);
  const auto told = request.weights.config.robustness.classifier;
  const auto best = count == 1 ? 0 : classifiers.best;
  const auto chosen = told >= 0 ? told : best;
  IBOT_CHECK_AS(RequestError, chosen >= 0, classifiers.source, ": does not say which of its ",
                count, " classifiers is best; say so by robustness.classifier");
  IBOT_CHECK_AS(RequestError, chosen < count, "robustness.classifier: expected one of ", count,
                " classifiers, got ", chosen);
  return chosen;
}

evaluation::Robustness robustness_of(const TaskRequest& request) {
  IBOT_CHECK_AS(RequestError, request.classifiers.has_value(),
                "robustness: expected --classifier, linear classifiers of this network's features");
  const auto chosen = chosen_classifier(request);
  const auto& options = request.weights.config.robustness;
  evaluation::ClassifiedSubject subject{
      .network = subject_of(request),
      .weight = request.classifiers->weight[chosen].to(request.device),
      .bias = request.classifiers->bias[chosen].to(request.device),
      .classes = class_names(request),
      .saliency = attending_subject(request, options.saliency_weights)};
  return open_input([&] {
    return evaluation::Robustness(options, std::move(subject), request.data,
                                  extraction_options(request));
  });
}

}  // namespace

eval::Report run_robustness(const TaskRequest& request) {
  const auto robustness = robustness_of(request);
  for (const auto& note : robustness.notes()) log_warning(note);
  StageProgress progress;
  auto report = robustness.run(progress.listener());
  report.options["classifier_file"] = request.classifiers->source;
  return report;
}

void share_robustness(const TaskRequest& request) { robustness_of(request).share(); }

}  // namespace ibot::apps
