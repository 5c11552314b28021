#include "ibot-eval/fine_tune_run.h"

#include <nlohmann/json.hpp>

#include "common/logging.h"
#include "common/run_main.h"

namespace ibot::apps {
namespace fs = std::filesystem;

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

void resume_run(eval::FineTuner& tuner, const Identity& identity) {
  const auto file = tuner.last_checkpoint();
  if (!fs::exists(file)) return;
  open_input([&] {
    check_identity(identity, eval::fine_tune_identity(file), file);
    tuner.resume(file);
  });
  log_info(concat("resumed at step ", tuner.state().step));
}

}  // namespace ibot::apps
