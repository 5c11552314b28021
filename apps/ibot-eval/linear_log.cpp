#include "ibot-eval/linear_log.h"

#include <nlohmann/json.hpp>

namespace ibot::apps {
namespace {

std::vector<double> values_of(const torch::Tensor& tensor) {
  const auto host = tensor.to(torch::kCPU, torch::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

std::vector<double> percent_of(const torch::Tensor& counts, int64_t images) {
  return values_of(100.0 * counts.to(torch::kDouble) / static_cast<double>(images));
}

}  // namespace

LinearLog::LinearLog(const std::filesystem::path& output, int64_t first_epoch) {
  if (!output.empty()) lines_.emplace(output / "log.txt", "epoch", first_epoch);
}

void LinearLog::append(const eval::LinearEpoch& epoch) {
  if (!lines_) return;
  const auto rates = values_of(epoch.train_lr);
  const auto train_losses = values_of(epoch.train_loss);
  const auto test_losses = values_of(epoch.test.loss);
  const auto top1 = percent_of(epoch.test.top1, epoch.images);
  const auto top5 = percent_of(epoch.test.top5, epoch.images);
  const bool single = rates.size() == 1;
  const auto number = [&](size_t head) { return single ? "" : std::to_string(head); };
  const auto accuracy = [&](size_t head, const char* rank) {
    return "test_acc" + (single ? "" : number(head) + "@") + rank;
  };
  nlohmann::ordered_json line;
  for (size_t head = 0; head < rates.size(); ++head) line["train_lr" + number(head)] = rates[head];
  for (size_t head = 0; head < rates.size(); ++head) {
    line["train_loss" + number(head)] = train_losses[head];
  }
  line["epoch"] = epoch.epoch;
  for (size_t head = 0; head < rates.size(); ++head) {
    line["test_loss" + number(head)] = test_losses[head];
    line[accuracy(head, "1")] = top1[head];
    line[accuracy(head, "5")] = top5[head];
  }
  lines_->append(line.dump());
}

}  // namespace ibot::apps
