#include "ibot/train/run_log.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "ibot/base/error.h"
#include "ibot/io/file.h"

namespace ibot::train {
namespace {

using Json = nlohmann::ordered_json;

double wall_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The lines of `text` that a resumed run does not write again.
std::string kept_lines(const std::string& text, const std::string& key, int64_t limit) {
  std::string kept;
  size_t start = 0;
  for (size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
    const auto line = text.substr(start, end - start);
    const auto object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (object.is_object() && object.contains(key) && object[key].get<int64_t>() < limit) {
      kept += line + '\n';
    }
  }
  return kept;
}

}  // namespace

JsonLines::JsonLines(const std::filesystem::path& path, const std::string& key, int64_t limit)
    : path_(path) {
  if (std::filesystem::exists(path)) {
    io::write_file(path, kept_lines(io::read_file(path), key, limit));
  }
  file_.open(path, std::ios::app);
  IBOT_CHECK(file_.good(), path.string(), ": expected a writable file; check the folder's rights");
}

void JsonLines::append(const std::string& object) {
  file_ << object << '\n' << std::flush;
  IBOT_CHECK(file_.good(), path_.string(), ": writing failed; is the disk full?");
}

RunLog::RunLog(const std::filesystem::path& output, int64_t step, int64_t steps_per_epoch)
    : log_(output / "log.txt", "epoch", step / steps_per_epoch),
      metrics_(output / "metrics.jsonl", "step", step + 1),
      // A run from scratch also drops epoch 0, whose values lie at step 0.
      events_(output / "tensorboard", step == 0 ? 0 : step + 1) {}

void RunLog::on_step(const StepRecord& record) {
  metrics_.append(Json{{"step", record.step},
                       {"epoch", record.epoch},
                       {"loss", record.loss},
                       {"loss_cls", record.loss_cls},
                       {"loss_patch", record.loss_patch},
                       {"lr", record.lr},
                       {"weight_decay", record.weight_decay},
                       {"momentum", record.momentum},
                       {"grad_norm", record.grad_norm},
                       {"images_per_s", record.images_per_s},
                       {"data_wait", record.data_wait},
                       {"memory_bytes", record.memory_bytes}}
                      .dump());
  const double time = wall_time_s();
  for (const auto& [tag, value] : {std::pair{"step/loss", record.loss},
                                   {"step/loss_cls", record.loss_cls},
                                   {"step/loss_patch", record.loss_patch},
                                   {"step/grad_norm", record.grad_norm},
                                   {"step/images_per_s", record.images_per_s},
                                   {"step/data_wait", record.data_wait}}) {
    events_.add_scalar(tag, record.step, value, time);
  }
}

// Keys and their order are the official ones; adjacc, the accuracy under the best assignment, is
// switched off in pre-training there too.
void RunLog::on_epoch(const EpochRecord& record) {
  const Json line{{"train_loss", record.loss},
                  {"train_cls", record.loss_cls},
                  {"train_patch", record.loss_patch},
                  {"train_lr", record.lr},
                  {"train_wd", record.weight_decay},
                  {"train_acc", record.agreement},
                  {"train_nmi", record.clusters.nmi},
                  {"train_ari", record.clusters.ari},
                  {"train_fscore", record.clusters.fmi},
                  {"train_adjacc", -1},
                  {"epoch", record.epoch}};
  log_.append(line.dump());
  const double time = wall_time_s();
  for (const auto& [key, value] : line.items()) {
    if (key.rfind("train_", 0) == 0) {
      events_.add_scalar(key.substr(6), record.epoch, value.get<double>(), time);
    }
  }
}

void RunLog::on_evaluation(const EvaluationRecord& record) {
  metrics_.append(Json{{"step", record.step},
                       {"epoch", record.epoch},
                       {"eval", {{"name", record.name}, {"metrics", record.metrics}}}}
                      .dump());
  for (const auto& [metric, value] : record.metrics) {
    events_.add_scalar(record.name + "/" + metric, record.step, value, wall_time_s());
  }
}

}  // namespace ibot::train
