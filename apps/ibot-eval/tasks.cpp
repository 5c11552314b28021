#include "ibot-eval/task.h"
#include "ibot/evaluation/evaluations.h"

namespace ibot::apps {

eval::Report feature_report(const std::string& task, const TaskRequest& request,
                            std::map<std::string, eval::OptionValue> options,
                            std::map<std::string, std::string> identity) {
  const auto& config = request.weights.config;
  eval::Report report{task, {}, std::move(options), "", "", std::move(identity)};
  if (request.weights.backbone != nullptr) {
    report.options.merge(eval::option_values(config.features));
  }
  if (request.load_features.empty()) {
    report.options["resize_size"] = config.run.eval.resize_size;
    report.options["crop_size"] = config.run.eval.crop_size;
  }
  return report;
}

const std::vector<Task>& tasks() {
  static const std::vector<Task> all = [] {
    std::vector<Task> list;
    for (const auto& planned : evaluation::evaluations()) {
      const auto& about = planned.evaluation->about();
      if (about.trains) continue;
      const auto run = [name = about.name](const TaskRequest& request) {
        return run_evaluation(request, name);
      };
      std::function<void(const TaskRequest&)> help;
      if (about.reads.features() || about.reads.shared) {
        help = [name = about.name](const TaskRequest& request) {
          prepare_evaluation(request, name);
        };
      }
      list.push_back({about.name, about.text, run, about.reads, std::move(help)});
    }
    const auto train = [&](const char* name, const char* text, auto* run) {
      list.push_back({.name = name, .text = text, .run = run, .joint = true});
    };
    train("linear", "a sweep of linear classifiers on frozen features", run_linear);
    train("finetune", "end-to-end training on labels, with layer-wise decay", run_finetune);
    train("semi", "the same from a few labels and the projection head's first layer", run_semi);
    train("transfer", "the same on another data set", run_transfer);
    train("segment", "a class for every pixel: UPerNet or a linear head", run_segment);
    train("detect", "boxes and masks of objects: Cascade Mask R-CNN", run_detect);
    train("parts", "linear classifiers on the patches with the most attention", run_parts);
    list.push_back({.name = "embed",
                    .text = "features of any images with their file names, for other programs",
                    .run = run_embed,
                    .help = share_embed});
    list.push_back({.name = "robustness",
                    .text = "a linear classifier under occlusion, other backgrounds, corruptions",
                    .run = run_robustness,
                    .help = share_robustness});
    list.push_back({.name = "attention",
                    .text = "pictures of what the heads attend to",
                    .run = run_attention});
    list.push_back({.name = "correspondence",
                    .text = "patches matched between two views, counted and drawn",
                    .run = run_correspondence});
    list.push_back({.name = "patterns",
                    .text = "pictures of the patches that prototypes stand for",
                    .run = run_patterns,
                    .help = share_patterns});
    return list;
  }();
  return all;
}

}  // namespace ibot::apps
