#include "ibot-eval/features.h"

#include "common/progress.h"
#include "common/run_main.h"
#include "ibot/data/image_folder.h"
#include "ibot/data/labeled_loader.h"

namespace ibot::apps {

eval::FeatureBank folder_features(const TaskRequest& request, const std::string& name) {
  const auto folder = open_input([&] { return data::ImageFolder(request.data / name); });
  const auto& config = request.weights.config;
  const auto& run = config.run;
  data::LabeledLoader loader(
      folder, {.transform = {.resize_size = run.eval.resize_size, .crop_size = run.eval.crop_size},
               .batch_size = run.eval.batch_size,
               .workers = run.data.workers,
               .prefetch_batches = run.data.prefetch_batches,
               .pin_memory = request.device.is_cuda()});
  const batch::Normalization normalization{run.augment.mean, run.augment.std};
  Progress progress({.label = name, .unit = "images", .total = folder.size(), .item = "images"});
  const auto show = [&](int64_t images) { progress.update(images); };
  eval::FeatureBank bank;
  if (request.weights.backbone == nullptr) {
    const auto pixels = [](const torch::Tensor& images) { return images.flatten(1); };
    bank = eval::collect_features(pixels, loader, normalization, request.device, show);
  } else {
    bank = eval::extract_features(*request.weights.backbone, loader, config.features, normalization,
                                  request.device, show);
  }
  progress.finish();
  bank.name = (request.data / name).string();
  return bank;
}

}  // namespace ibot::apps
