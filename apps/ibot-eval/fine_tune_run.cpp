#include "ibot-eval/fine_tune_run.h"

#include <nlohmann/json.hpp>

#include "common/logging.h"
#include "common/run_main.h"
#include "ibot/config/yaml.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

/// Whether a key decides what the task computes, and not only how often it looks.
bool matters(const std::string& key, const std::string& task) {
  const auto in = [&](const std::string& section) { return key.rfind(section + ".", 0) == 0; };
  if (key == task + ".log_every_steps" || key == task + ".test_every_epochs") return false;
  return in(task) || in("transform") || in("mixing") || in("dataset") || in("backbone") ||
         key == "augment.mean" || key == "augment.std";
}

}  // namespace

FineTuneLog::FineTuneLog(const fs::path& output, int64_t first_epoch, int64_t parameters)
    : lines_(output / "log.txt", "epoch", first_epoch), parameters_(parameters) {}

void FineTuneLog::append(const eval::FineTuneEpoch& epoch) {
  nlohmann::ordered_json line{{"train_lr", epoch.lr},
                              {"train_min_lr", epoch.min_lr},
                              {"train_loss", epoch.loss},
                              {"train_class_acc", epoch.train_top1 / 100.0},
                              {"train_loss_scale", epoch.loss_scale},
                              {"train_weight_decay", epoch.weight_decay},
                              {"train_grad_norm", epoch.grad_norm}};
  if (epoch.test) {
    line["test_loss"] = epoch.test->loss;
    line["test_acc1"] = epoch.test->top1;
    line["test_acc5"] = epoch.test->top5;
  }
  if (epoch.test_ema) line["test_ema_acc1"] = epoch.test_ema->top1;
  line["epoch"] = epoch.epoch;
  line["n_parameters"] = parameters_;
  lines_.append(line.dump());
}

fs::path prepare_checkpoints(const fs::path& output) {
  const auto folder = output / "checkpoints";
  std::error_code problem;
  fs::create_directories(folder, problem);
  IBOT_CHECK_AS(RequestError, !problem, folder.string(),
                ": cannot create the folder: ", problem.message());
  return folder;
}

void resume_run(eval::FineTuner& tuner, const EvalConfig& config, const std::string& task) {
  const auto file = tuner.last_checkpoint();
  if (!fs::exists(file)) return;
  open_input([&] {
    const auto before = config::flat_values(
        config::parse_config<EvalConfig>(eval::fine_tune_config(file), file.string()));
    std::string differing;
    for (const auto& [key, value] : config::flat_values(config)) {
      if (!matters(key, task) || before.at(key) == value) continue;
      differing += (differing.empty() ? "" : ", ") + key + " " + before.at(key) + " -> " + value;
    }
    IBOT_CHECK(differing.empty(), file.string(), ": written by another configuration: ", differing,
               "; restore these keys or choose another --output");
    tuner.resume(file);
  });
  log_info(concat("resumed at step ", tuner.state().step));
}

}  // namespace ibot::apps
