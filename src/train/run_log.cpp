#include "ibot/train/run_log.h"

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "ibot/base/error.h"
#include "ibot/io/file.h"

namespace ibot::train {
namespace {

using Json = nlohmann::ordered_json;

double wall_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The lines of `text` that a resumed run will not write again.
std::string kept_lines(const std::string& text, const std::string& key, int64_t limit) {
  std::string kept;
  size_t start = 0;
  for (size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
    const auto line = text.substr(start, end - start);
    const auto object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto number = object.is_object() ? object.value(key, Json()) : Json();
    if (number.is_number() && number.get<int64_t>() < limit) kept += line + '\n';
  }
  return kept;
}

/// Whether a value of a step is written to TensorBoard.
bool is_drawn(const std::string& key) {
  if (key.rfind("loss", 0) == 0) return key != "loss_z";
  return key == "grad_norm" || key == "images_per_s" || key == "data_wait" || key == "mfu";
}

/// Values by field name.
std::array<std::pair<const char*, double>, 6> entries(const HealthRecord& health) {
  return {{{"entropy_cls", health.entropy_cls},
           {"entropy_patch", health.entropy_patch},
           {"information_cls", health.information_cls},
           {"center_norm", health.center_norm},
           {"center_norm_patch", health.center_norm_patch},
           {"feature_rank", health.feature_rank}}};
}

}  // namespace

JsonLines::JsonLines(const std::filesystem::path& path, const std::string& key, int64_t limit) {
  if (std::filesystem::exists(path)) {
    io::write_file(path, kept_lines(io::read_file(path), key, limit));
  }
  file_.emplace(path);
}

void JsonLines::append(const std::string& object) { file_->append(object + '\n'); }

RunLog::RunLog(const std::filesystem::path& output, int64_t step, int64_t steps_per_epoch,
               std::function<void(const std::string&)> warn, std::optional<LogKeys> keys)
    : warn_(std::move(warn)),
      keys_(std::move(keys)),
      metrics_(output / "metrics.jsonl", "step", step + 1),
      events_(output / "tensorboard", step + 1) {
  if (keys_) log_.emplace(output / "log.txt", "epoch", step / steps_per_epoch);
}

RunLog::~RunLog() {
  try {
    if (log_) log_->flush();
    metrics_.flush();
    events_.flush();
  } catch (const Error& problem) {
    if (warn_) warn_(concat(problem.what(), "; log lines that were queued are lost"));
  }
}

void RunLog::attempt(const std::function<void()>& write) {
  try {
    write();
    waiting_ = false;
  } catch (const Error& problem) {
    // One warning per outage, not per line.
    if (!waiting_ && warn_) {
      warn_(concat(problem.what(), "; log lines are queued in memory until there is room"));
    }
    waiting_ = true;
  }
}

void RunLog::add_scalar(const std::string& tag, int64_t step, double value) {
  attempt([&] { events_.add_scalar(tag, step, value, wall_time_s()); });
}

void RunLog::on_step(const StepRecord& record) {
  Json line{{"step", record.step}, {"epoch", record.epoch}, {"loss", record.loss}};
  for (const auto& [name, value] : record.terms) line["loss_" + name] = value;
  line.update({{"lr", record.lr}, {"weight_decay", record.weight_decay}});
  if (record.momentum) line["momentum"] = *record.momentum;
  line.update({{"grad_norm", record.grad_norm},
               {"images_per_s", record.images_per_s},
               {"data_wait", record.data_wait}});
  if (record.flops_per_s > 0) {
    line.update({{"flops_per_s", record.flops_per_s}, {"mfu", record.mfu}});
  }
  line.update({{"memory_bytes", record.memory_bytes},
               {"loss_z", record.loss_z},
               {"skipped", record.skipped}});
  for (const auto& [key, value] : line.items()) {
    if (is_drawn(key)) add_scalar("step/" + key, record.step, value.get<double>());
  }
  if (record.health) {
    for (const auto& [key, value] : entries(*record.health)) {
      line[key] = value;
      add_scalar(concat("health/", key), record.step, value);
    }
  }
  attempt([&] { metrics_.append(line.dump()); });
}

// Official keys; for pre-training also in the official order.
void RunLog::on_epoch(const EpochRecord& record) {
  TermValues entries{{"loss", record.loss}};
  entries.insert(entries.end(), record.terms.begin(), record.terms.end());
  entries.insert(
      entries.end(),
      {{"lr", record.lr}, {keys_ ? keys_->weight_decay : "weight_decay", record.weight_decay}});
  entries.insert(entries.end(), record.more.begin(), record.more.end());
  epoch_ = {};
  for (const auto& [name, value] : entries) {
    epoch_.entries.push_back({"train_" + name, value});
    const bool defined = !keys_ || !keys_->undefined.contains(name);
    if (defined) add_scalar("epoch/" + name, record.step, value);
  }
  epoch_.epoch = record.epoch;
}

void RunLog::on_epoch_end() {
  if (!keys_) return;
  Json line;
  for (const auto& [key, value] : epoch_.entries) line[key] = value;
  line["epoch"] = epoch_.epoch;
  for (const auto& [key, value] : keys_->constants) line[key] = value;
  attempt([&] { log_->append(line.dump()); });
}

void RunLog::on_evaluation(const EvaluationRecord& record) {
  epoch_.entries.insert(epoch_.entries.end(), record.log.begin(), record.log.end());
  const Json line{{"step", record.step},
                  {"epoch", record.epoch},
                  {"eval", {{"name", record.name}, {"metrics", record.metrics}}}};
  attempt([&] { metrics_.append(line.dump()); });
  for (const auto& [metric, value] : record.metrics) {
    add_scalar(record.name + "/" + metric, record.step, value);
  }
}

void RunLog::on_fault(const FaultRecord& record) {
  const Json line{{"step", record.step},
                  {"epoch", record.epoch},
                  {"fault", record.kind},
                  {"text", record.text}};
  attempt([&] { metrics_.append(line.dump(-1, ' ', false, Json::error_handler_t::replace)); });
}

}  // namespace ibot::train
