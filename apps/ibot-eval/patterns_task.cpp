#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common/identity.h"
#include "common/run_main.h"
#include "ibot-eval/features.h"
#include "ibot-eval/pictures.h"
#include "ibot-eval/stage_progress.h"
#include "ibot-eval/task.h"
#include "ibot/batch/normalization.h"
#include "ibot/data/picture_files.h"
#include "ibot/eval/evaluation_mode.h"
#include "ibot/eval/patterns.h"
#include "ibot/image/eval_transform.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

using eval::PatternOf;

// Images whose logits are held at once: 8192 of each patch.
constexpr int64_t kImages = 8;
constexpr int64_t kPart = 1024;
constexpr int kQuality = 75;  // Pillow's

/// The prototype of every patch, or image, and its logit: what the pictures are made from.
class Bank {
 public:
  explicit Bank(const TaskRequest& request)
      : request_(request),
        options_(request.weights.config.patterns),
        subject_(subject_of(request)),
        images_(open_pictures(request.data)) {
    IBOT_CHECK_AS(RequestError, subject_.backbone != nullptr,
                  "patterns: expected a network, got pixels");
    head_ = head_of(request, "patterns");
    images_hash_ = images_->content_hash();
  }

  const data::Dataset& images() const { return *images_; }
  bool of_patches() const { return options_.of == PatternOf::kPatch; }
  int64_t clusters() const { return clusters_; }

  eval::PatternBank read(const evaluation::Listener& listener) {
    const eval::EvaluationMode backbone_mode(*subject_.backbone);
    const eval::EvaluationMode head_mode(*head_);
    const auto options = extraction_options(request_);
    const auto embed = [this](const torch::Tensor& pixels, int64_t) { return numbers(pixels); };
    const auto bank = evaluation::extract({embed, extracted_identity(), kPart}, *images_,
                                          "patterns", options, request_.device, listener);
    const auto half = bank.features.size(1) / 2;
    const auto cluster = bank.features.narrow(1, half, half).to(torch::kLong);
    clusters_ = request_.weights.config.run.head.prototypes;
    if (of_patches()) clusters_ = head_->patch_prototypes();
    return {bank.features.narrow(1, 0, half).contiguous(), cluster};
  }

  Identity identity() const {
    Identity identity("patterns", 1);
    identity.add_hash("weights", subject_.hash);
    identity.add_hash("weights of the head", subject_.head_hash);
    identity.add_images(images_hash_);
    return identity;
  }

 private:
  Identity extracted_identity() const {
    auto identity = this->identity();
    auto keys = evaluation::feature_keys(subject_, extraction_options(request_));
    keys["patterns.of"] = enum_name(options_.of);
    identity.add_keys(keys);
    return identity;
  }

  /// Logits, then clusters: [B, 2N].
  torch::Tensor numbers(const torch::Tensor& pixels) {
    const auto& augment = request_.weights.config.run.augment;
    std::vector<torch::Tensor> rows;
    for (const auto& part : pixels.split(kImages)) {
      const auto tokens =
          subject_.backbone->forward(batch::normalized(part, augment.normalization));
      const auto logits = of_patches()
                              ? head_->patch_logits(head_->trunk(tokens.patch_tokens))
                              : head_->class_logits(head_->trunk(tokens.class_token)).unsqueeze(1);
      eval::check_finite(logits, "patterns", "logits");
      const auto [value, cluster] = eval::pattern_bank(logits);
      rows.push_back(torch::cat({value.to(torch::kFloat), cluster.to(torch::kFloat)}, 1));
    }
    return torch::cat(rows);
  }

  const TaskRequest& request_;
  const eval::PatternOptions& options_;
  evaluation::Subject subject_;
  models::ProjectionHead head_{nullptr};
  std::unique_ptr<data::Dataset> images_;
  std::string images_hash_;
  int64_t clusters_ = 0;
};

/// Tiles of the most populated prototypes, one picture each.
class Layouts {
 public:
  Layouts(const TaskRequest& request, const Bank& source)
      : request_(request),
        options_(request.weights.config.patterns),
        source_(source),
        side_(request.weights.config.run.eval.crop_size),
        patch_(models::token_pixels(request.weights.config.run.backbone)) {}

  /// One row of tiles after the other, black where there are too few.
  torch::Tensor layout(const std::vector<eval::PatternPatch>& candidates) const {
    const auto columns =
        static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(options_.tiles))));
    const auto tile_side = source_.of_patches() ? options_.window * patch_ : side_;
    auto picture = torch::zeros({columns * tile_side, columns * tile_side, 3}, torch::kByte);
    int64_t shown = 0;
    for (const auto& candidate : candidates) {
      if (shown == options_.tiles) break;
      const auto tile = tile_of(candidate);
      if (!tile.defined()) continue;
      picture.narrow(0, shown / columns * tile_side, tile_side)
          .narrow(1, shown % columns * tile_side, tile_side)
          .copy_(tile);
      ++shown;
    }
    return picture;
  }

 private:
  /// Undefined where it is too dark.
  torch::Tensor tile_of(const eval::PatternPatch& candidate) const {
    const auto picture = crop_of(candidate.image);
    if (!source_.of_patches()) return picture;
    const auto columns = side_ / patch_;
    auto tile = eval::pattern_tile(picture, candidate.patch / columns, candidate.patch % columns,
                                   patch_, options_.window);
    if (eval::mean_value(tile) <= eval::kDarkestTile) return {};
    if (options_.window > 1) eval::mark_center_(tile, patch_, options_.window);
    return tile;
  }

  /// As the network saw it: [S, S, 3].
  torch::Tensor crop_of(int64_t sample) const {
    auto pixels = torch::empty({3, side_, side_}, torch::kByte);
    data::eval_transform(
        decoded(source_.images(), sample, request_),
        {.resize_size = request_.weights.config.run.eval.resize_size, .crop_size = side_},
        {pixels.mutable_data_ptr<uint8_t>(), side_, side_});
    return pixels.permute({1, 2, 0}).contiguous();
  }

  const TaskRequest& request_;
  const eval::PatternOptions& options_;
  const Bank& source_;
  int64_t side_;
  int64_t patch_;
};

}  // namespace

eval::Report run_patterns(const TaskRequest& request) {
  check_picture_request(request, "patterns");
  const auto& options = request.weights.config.patterns;
  Bank source(request);
  StageProgress progress;
  const auto bank = source.read(progress.listener());
  const auto sizes = eval::cluster_sizes(bank, source.clusters());
  const auto clusters = eval::largest_clusters(sizes, options.clusters);
  const Layouts layouts(request, source);
  eval::Report report{.task = "patterns",
                      .options = eval::option_values(options),
                      .identity = source.identity().summary()};
  eval::Table table{"The prototypes shown", {"rank", "prototype", "members"}, {}};
  for (size_t rank = 0; rank < clusters.size(); ++rank) {
    const auto cluster = clusters[rank];
    // Twice as many as are shown: some may be too dark.
    const auto picture = layouts.layout(eval::best_patches(bank, cluster, 2 * options.tiles));
    const auto name = concat('c', enum_name(options.of), "_crank", rank, "_cid", cluster, "_top",
                             options.tiles, ".jpg");
    io::write_file(request.output / name, data::jpeg_bytes(image_of(picture), kQuality));
    const auto members = sizes[cluster].item<int64_t>();
    table.rows.push_back({concat(rank), concat(cluster), concat(members)});
    if (static_cast<int64_t>(rank) < kShownPictures) {
      report.figures.push_back(
          figure_of(concat("prototype ", cluster, ", ", members, " members"), picture));
    }
  }
  report.tables.push_back(std::move(table));
  report.metrics = {{"images", static_cast<double>(source.images().size())},
                    {"prototypes_used", static_cast<double>((sizes > 0).sum().item<int64_t>())},
                    {"prototypes_shown", static_cast<double>(clusters.size())}};
  return report;
}

void share_patterns(const TaskRequest& request) { Bank(request).read({}); }

}  // namespace ibot::apps
