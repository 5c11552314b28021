#include "common/run_pictures.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <optional>

#include "common/loader_of_config.h"
#include "common/logging.h"
#include "common/picture_files.h"
#include "common/signals.h"
#include "ibot/base/rng.h"
#include "ibot/codec/decode.h"
#include "ibot/eval/attention_picture.h"
#include "ibot/eval/color_map.h"
#include "ibot/eval/features.h"
#include "ibot/image/eval_transform.h"
#include "ibot/image/thumbnail.h"
#include "ibot/loading/open_dataset.h"
#include "ibot/models/weights.h"
#include "ibot/report/plane.h"
#include "ibot/report/sheets.h"
#include "ibot/train/manifest.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTile = 84;  // side of an image among neighbors, pixels

/// Checkpoints by step, each once whatever its names.
std::map<int64_t, fs::path> checkpoints_in(const fs::path& folder) {
  std::map<int64_t, fs::path> found;
  std::error_code problem;
  for (fs::directory_iterator at(folder, problem), end; !problem && at != end;
       at.increment(problem)) {
    if (at->path().extension() != ".json") continue;
    try {
      const auto step = train::read_manifest(at->path()).step;
      auto file = at->path();
      file.replace_extension(".safetensors");
      if (fs::exists(file)) found.emplace(step, file);
    } catch (const Error&) {
      continue;  // not a manifest: what a damaged checkpoint lacks is another's matter
    }
  }
  return found;
}

/// `count` of them, first and last included.
std::vector<std::pair<int64_t, fs::path>> spread(const std::map<int64_t, fs::path>& all,
                                                 int64_t count) {
  const std::vector<std::pair<int64_t, fs::path>> list(all.begin(), all.end());
  const auto size = static_cast<int64_t>(list.size());
  if (size <= count) return list;
  std::vector<std::pair<int64_t, fs::path>> chosen;
  for (int64_t i = 0; i < count; ++i) {
    chosen.push_back(list[static_cast<size_t>(i * (size - 1) / (count - 1))]);
  }
  return chosen;
}

/// Images as evaluations see them.
///
///   pixels  [S, 3, H, H]   uint8
///   labels  [S]            undefined without classes
struct Looked {
  torch::Tensor pixels;
  torch::Tensor labels;
  std::vector<std::string> names;
  std::vector<std::string> classes;
};

class RunPictures {
 public:
  RunPictures(const fs::path& folder, const config::RunConfig& config, torch::Device device,
              const PictureCounts& counts)
      : config_(config),
        device_(device),
        counts_(counts),
        checkpoints_(spread(checkpoints_in(folder / "checkpoints"), counts.checkpoints)) {}

  std::vector<report::PictureSection> sections() {
    attempt("crops", [&] { add_crops(); });
    if (checkpoints_.empty()) {
      log_info("report: no checkpoint to make pictures of what was learnt with");
      return std::move(sections_);
    }
    attempt("images", [&] { looked_ = look(); });
    if (!looked_) return std::move(sections_);
    attempt("attention", [&] { add_attention(); });  // of a Swin there is none
    attempt("features", [&] { add_features(); });
    return std::move(sections_);
  }

 private:
  static void attempt(const char* what, const std::function<void()>& make) {
    if (stop_requested()) return;
    try {
      make();
    } catch (const std::exception& problem) {
      const std::string text = problem.what();
      log_info(
          concat("report: pictures of ", what, " are left out: ", text.substr(0, text.find('\n'))));
    }
  }

  void add_crops() {
    auto few = config_;
    few.data.workers = 1;
    few.data.prefetch_batches = 1;
    const auto images = data::open_images(config_.data.path, data::Labels::kIgnored);
    few.train.batch_size = std::min(counts_.cropped, images->size());
    few.train.epochs = 1;
    data::MultiCropLoader loader(*images, loader_options(few));
    const auto batch = loader.next();
    if (!batch) return;
    sections_.push_back(
        {"Crops and masks",
         "What the networks see of the first images of the first epoch: global crops, with the "
         "patches faded that are masked for the student, then local crops.",
         {figure_of("", report::crop_sheet(*batch))}});
  }

  std::unique_ptr<data::Dataset> open() const {
    const auto& path = config_.eval.path;
    if (!path.empty() && fs::is_directory(fs::path(path) / "val")) {
      return data::open_images((fs::path(path) / "val").string());
    }
    return data::open_images(config_.data.path, data::Labels::kIgnored);
  }

  /// A random choice of images, the same on every call; those that do not decode are left out.
  Looked look() const {
    const auto images = open();
    std::vector<int64_t> order(static_cast<size_t>(images->size()));
    std::iota(order.begin(), order.end(), 0);
    Rng rng(static_cast<uint64_t>(config_.train.seed), 0, 0, kOrder);
    const auto side = config_.eval.crop_size;
    Looked looked;
    std::vector<torch::Tensor> pixels;
    std::vector<int64_t> labels;
    for (size_t i = 0; i < order.size() && std::ssize(pixels) < counts_.embedded; ++i) {
      std::swap(order[i], order[i + rng.index(order.size() - i)]);
      try {
        const auto image =
            data::decode(images->read(order[i]), images->path(order[i]), config_.data.decode);
        auto crop = torch::empty({3, side, side}, torch::kByte);
        data::eval_transform(image, {config_.eval.resize_size, side, data::Filter::kBicubic},
                             {crop.mutable_data_ptr<uint8_t>(), side, side});
        pixels.push_back(crop);
        labels.push_back(images->label(order[i]));
        looked.names.push_back(images->path(order[i]));
      } catch (const DataError&) {
        continue;
      }
    }
    IBOT_CHECK(!pixels.empty(), "expected images that decode, found none");
    looked.pixels = torch::stack(pixels);
    if (data::has_classes(*images)) {
      looked.labels = torch::tensor(labels);
      looked.classes = images->class_names();
    }
    return looked;
  }

  std::shared_ptr<models::Backbone> backbone_of(const fs::path& file) const {
    auto backbone = models::build_backbone(config_.backbone, models::Role::kTeacher);
    models::load_weights_(*backbone, models::read_weights(file), "backbone.");
    backbone->eval();
    backbone->to(device_);
    return backbone;
  }

  torch::Tensor input(int64_t first, int64_t count) const {
    return batch::normalized(looked_->pixels.narrow(0, first, count).to(device_),
                             config_.augment.normalization);
  }

  void add_attention() {
    const torch::NoGradGuard no_grad;
    const auto count = std::min(counts_.attended, looked_->pixels.size(0));
    const auto side = looked_->pixels.size(2);
    const auto scale = report::shown_scale(side);
    std::vector<std::vector<torch::Tensor>> rows;
    for (int64_t i = 0; i < count; ++i) {
      rows.push_back({eval::enlarged(looked_->pixels[i], scale).permute({1, 2, 0})});
    }
    std::string steps;
    for (const auto& [step, file] : checkpoints_) {
      const auto backbone = backbone_of(file);
      const auto attention = backbone->attended_patches(input(0, count)).attention.mean(1);
      const auto grid = backbone->grid(side, side);
      for (int64_t i = 0; i < count; ++i) {
        const auto map =
            attention[i].view({grid.rows, grid.columns}).to(torch::kCPU, torch::kFloat);
        rows[static_cast<size_t>(i)].push_back(
            eval::colored(eval::enlarged(map, side / grid.rows * scale), eval::ColorMap::kViridis));
      }
      steps += (steps.empty() ? "" : ", ") + std::to_string(step);
    }
    sections_.push_back({"Attention",
                         "Attention of the class token in the last block, mean over heads, of the "
                         "teacher after these steps, from left to right: " +
                             steps + ".",
                         {figure_of("", report::tiled(rows))}});
  }

  torch::Tensor features() const {
    const auto backbone = backbone_of(checkpoints_.back().second);
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> parts;
    const auto total = looked_->pixels.size(0);
    for (int64_t first = 0; first < total; first += config_.eval.batch_size) {
      const auto count = std::min(config_.eval.batch_size, total - first);
      parts.push_back(
          eval::image_features(*backbone, input(first, count), {eval::Pooling::kClass, 1})
              .to(torch::kCPU));
    }
    return torch::cat(parts);
  }

  torch::Tensor tiles() const {
    std::vector<torch::Tensor> small;
    for (const auto& pixels : looked_->pixels.unbind()) {
      small.push_back(data::resized(image_of(pixels.permute({1, 2, 0})), kTile, kTile));
    }
    return torch::stack(small);
  }

  void add_features() {
    const auto total = looked_->pixels.size(0);
    IBOT_CHECK(total > 1, "expected two images or more, got ", total);
    const auto found = features();
    eval::check_finite(found, "report", "features");
    std::vector<int64_t> queries(static_cast<size_t>(std::min(counts_.queries, total)));
    std::iota(queries.begin(), queries.end(), 0);
    const auto step = concat("step ", checkpoints_.back().first);
    const std::string frames = looked_->labels.defined()
                                   ? " Green: the class of the image on the left; orange: another."
                                   : "";
    sections_.push_back(
        {"Nearest neighbors",
         concat("By the cosine of class tokens, among ", total, " images, at ", step, ".", frames),
         {figure_of("", report::neighbor_sheet(tiles(), found, looked_->labels, queries,
                                               counts_.neighbors))}});
    const auto unit = eval::unit_length(found.to(torch::kFloat));
    const auto scatter = [&](const char* title, const torch::Tensor& points) {
      return eval::Figure{
          "", "image/svg+xml",
          report::scatter_svg(title, points, looked_->labels, looked_->classes, looked_->names)};
    };
    sections_.push_back(
        {"Features",
         concat("Class tokens of ", total, " images at ", step,
                looked_->labels.defined() ? ", colored by class" : "", ", as points of a plane."),
         {scatter("principal components", report::principal_components(unit, 2)),
          scatter("t-SNE", report::tsne(unit))}});
  }

  const config::RunConfig& config_;
  torch::Device device_;
  PictureCounts counts_;
  std::vector<std::pair<int64_t, fs::path>> checkpoints_;
  std::optional<Looked> looked_;
  std::vector<report::PictureSection> sections_;
};

}  // namespace

std::vector<report::PictureSection> run_pictures(const fs::path& folder,
                                                 const config::RunConfig& config,
                                                 torch::Device device,
                                                 const PictureCounts& counts) {
  return RunPictures(folder, config, device, counts).sections();
}

}  // namespace ibot::apps
