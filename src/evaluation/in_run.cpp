#include "ibot/evaluation/in_run.h"

#include <algorithm>

#include "ibot/base/error.h"

namespace ibot::evaluation {
namespace {

void check_size(const Least& least, int64_t wanted, int64_t found, const char* kind) {
  if (wanted <= found) return;
  throw OptionError(least.key,
                    concat("expected at most the ", found, ' ', kind, " images, got ", wanted));
}

/// Calls `open`; an error names the key of the folder.
template <class Open>
auto of_eval_path(const Open& open) {
  try {
    return open();
  } catch (const DataError& error) {
    throw DataError(concat("eval.path: ", error.what()));
  }
}

}  // namespace

InRun::InRun(std::vector<Planned> tasks, const std::filesystem::path& root, int64_t epochs)
    : epochs_(epochs) {
  for (auto& [evaluation, every_epochs] : tasks) {
    if (evaluation->about().reads.labeled_images()) {
      if (!images_) of_eval_path([&] { images_.emplace(root, data::DatasetOptions{}); });
      const auto least = evaluation->least();
      check_size(least, least.train_images, images_->train().size(), "training");
      check_size(least, least.test_images, images_->test().size(), "test");
    }
    auto data = of_eval_path([&] { return evaluation->open(root); });
    tasks_.push_back({std::move(evaluation), every_epochs, std::move(data)});
  }
}

std::vector<const InRun::Task*> InRun::due(int64_t epoch) const {
  std::vector<const Task*> tasks;
  for (const auto& task : tasks_) {
    if ((epoch + 1) % task.every_epochs == 0 || epoch + 1 == epochs_) tasks.push_back(&task);
  }
  return tasks;
}

}  // namespace ibot::evaluation
