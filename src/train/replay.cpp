#include "train/replay.h"

#include <map>
#include <utility>

#include "ibot/io/safetensors.h"

namespace ibot::train {

void write_batch(const std::filesystem::path& path, int64_t step,
                 const batch::MultiCropBatch& batch) {
  std::map<std::string, torch::Tensor> tensors{{"global", batch.global},
                                               {"local", batch.local},
                                               {"mask", batch.mask},
                                               {"local_mask", batch.local_mask},
                                               {"crop_box", batch.crop_box},
                                               {"pairs.student", batch.pairs.student},
                                               {"pairs.student_local", batch.pairs.student_local},
                                               {"pairs.teacher", batch.pairs.teacher},
                                               {"pairs.weight", batch.pairs.weight},
                                               {"sample_id", batch.sample_id},
                                               {"label", batch.label}};
  std::erase_if(tensors, [](const auto& entry) { return !entry.second.defined(); });
  io::write_safetensors(path, {.tensors = std::move(tensors),
                               .metadata = {{"format", "ibot-batch"},
                                            {"step", std::to_string(step)},
                                            {"pairs.views", std::to_string(batch.pairs.views)}}});
}

}  // namespace ibot::train
