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

}  // namespace

InRun::InRun(std::vector<Planned> tasks, const std::filesystem::path& root, int64_t epochs)
    : epochs_(epochs) {
  for (auto& [evaluation, every_epochs] : tasks) {
    if (evaluation->about().reads.labeled_images()) {
      // One set of labeled images for all tasks that read it.
      if (!images_) images_.emplace(root, data::DatasetOptions{});
      const auto least = evaluation->least();
      check_size(least, least.train_images, images_->train().size(), "training");
      check_size(least, least.test_images, images_->test().size(), "test");
    }
    auto data = evaluation->open(root);
    tasks_.push_back({std::move(evaluation), every_epochs, std::move(data)});
  }
}

std::vector<const InRun::Task*> InRun::due(int64_t epoch) const {
  std::vector<const Task*> tasks;
  for (const auto& task : tasks_) {
    // Every so many epochs, and after the last.
    if ((epoch + 1) % task.every_epochs == 0 || epoch + 1 == epochs_) tasks.push_back(&task);
  }
  return tasks;
}

}  // namespace ibot::evaluation
