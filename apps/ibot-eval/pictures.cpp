#include "ibot-eval/pictures.h"

#include <algorithm>
#include <numeric>

#include "common/logging.h"
#include "common/run_main.h"
#include "ibot-eval/features.h"
#include "ibot/base/rng.h"
#include "ibot/codec/decode.h"
#include "ibot/data/file_list.h"
#include "ibot/data/picture_files.h"
#include "ibot/image/resize.h"
#include "ibot/io/file.h"
#include "ibot/loading/open_dataset.h"
#include "ibot/models/weights.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

/// Whether a class token attends to patches; seen on one image.
bool attends(const evaluation::Subject& subject, int64_t side) {
  const torch::NoGradGuard no_grad;
  try {
    subject.backbone->attended_patches(
        torch::zeros({1, 3, side, side}, torch::TensorOptions(subject.device)));
    return true;
  } catch (const Error&) {
    return false;
  }
}

evaluation::Subject subject_in(const std::string& file, torch::Device device) {
  return open_input([&] {
    const auto weights = models::read_weights(file);
    const auto options = models::infer_backbone(weights);
    auto backbone = models::build_backbone(options, models::Role::kTeacher);
    log_info(file + ": " + models::summary(models::load_weights_(*backbone, weights, "backbone.")));
    backbone->eval();
    backbone->to(device);
    return evaluation::subject_of(options, std::move(backbone), device);
  });
}

}  // namespace

std::unique_ptr<data::Dataset> open_pictures(const fs::path& where) {
  return open_input([&]() -> std::unique_ptr<data::Dataset> {
    if (fs::is_regular_file(where)) {
      const std::vector<data::FileList::Entry> entries{{where.string(), 0}};
      return std::make_unique<data::FileList>(where.string(), entries,
                                              std::vector<std::string>{""});
    }
    const auto val = where / "val";
    return data::open_images((fs::is_directory(val) ? val : where).string());
  });
}

std::vector<int64_t> chosen_images(int64_t total, int64_t count, int64_t seed) {
  std::vector<int64_t> all(static_cast<size_t>(total));
  std::iota(all.begin(), all.end(), 0);
  if (count == 0 || count >= total) return all;
  Rng rng(static_cast<uint64_t>(seed), 0, 0, kOrder);
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    std::swap(all[i], all[i + rng.index(all.size() - i)]);
  }
  all.resize(static_cast<size_t>(count));
  std::sort(all.begin(), all.end());
  return all;
}

data::Image decoded(const data::Dataset& images, int64_t sample, const TaskRequest& request) {
  return data::decode(images.read(sample), images.path(sample),
                      request.weights.config.run.data.decode);
}

torch::Tensor resized(const data::Image& image, int64_t height, int64_t width) {
  auto pixels = torch::empty({3, height, width}, torch::kByte);
  data::ColumnPlanes planes;
  planes.assign(image);
  data::resized_crop(planes,
                     {.box = {0, 0, image.height(), image.width()},
                      .height = height,
                      .width = width,
                      .filter = data::Filter::kBilinear},
                     {pixels.mutable_data_ptr<uint8_t>(), height, width});
  return pixels;
}

void write_png(const TaskRequest& request, const std::string& name, const torch::Tensor& picture) {
  io::write_file(request.output / (name + ".png"), png_of(picture));
}

void check_picture_request(const TaskRequest& request, const std::string& task) {
  IBOT_CHECK_AS(RequestError, request.weights.backbone != nullptr, task,
                ": expected a network, got pixels");
  IBOT_CHECK_AS(RequestError, !request.output.empty(), task,
                ": expected --output, a folder to write pictures to");
}

evaluation::Subject attending_subject(const TaskRequest& request, const std::string& file) {
  auto subject = file.empty() ? subject_of(request) : subject_in(file, request.device);
  if (attends(subject, request.weights.config.run.eval.crop_size)) return subject;
  IBOT_CHECK_AS(RequestError, file.empty(), file,
                ": expected a ViT, whose class token attends to patches, got ",
                subject.options.arch);
  subject.backbone = nullptr;
  return subject;
}

evaluation::Subject attending_subject(const TaskRequest& request, const std::string& task,
                                      const std::string& key, const std::string& file) {
  auto subject = attending_subject(request, file);
  IBOT_CHECK_AS(RequestError, subject.backbone != nullptr, task,
                ": expected a ViT, whose class token attends to patches, got ",
                subject.options.arch, key.empty() ? "" : "; name one by " + key);
  return subject;
}

}  // namespace ibot::apps
