#include <algorithm>
#include <cstdio>

#include "common/identity.h"
#include "common/progress.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot-eval/pictures.h"
#include "ibot-eval/task.h"
#include "ibot/batch/normalization.h"
#include "ibot/codec/decode.h"
#include "ibot/data/picture_files.h"
#include "ibot/eval/attention_picture.h"
#include "ibot/eval/color_map.h"

namespace ibot::apps {
namespace {

constexpr size_t kColors = 6;

/// Sides in pixels of what the network sees, whole patches.
struct Sides {
  int64_t height = 0;
  int64_t width = 0;
};

Sides wanted_sides(Sides image, const std::vector<int64_t>& size) {
  if (size.size() == 2) return {size[0], size[1]};
  if (size.empty()) return image;
  const auto shorter = std::min(image.height, image.width);
  return {size[0] * image.height / shorter, size[0] * image.width / shorter};
}

class AttentionTask {
 public:
  explicit AttentionTask(const TaskRequest& request)
      : request_(request),
        options_(request.weights.config.attention),
        subject_(attending_subject(request, "attention", "", "")),
        images_(open_pictures(request.data)),
        patch_(models::token_pixels(subject_.options)) {}

  eval::Report run() {
    const auto count = options_.video ? 0 : options_.images;
    const auto chosen = chosen_images(images_->size(), count, options_.seed);
    Progress progress({.label = "attention",
                       .unit = "images",
                       .total = static_cast<int64_t>(chosen.size()),
                       .item = "images"});
    if (options_.video) check_frames();
    data::Video video(options_.frames_per_second);
    for (const auto sample : chosen) {
      if (stop_requested()) return {};
      const auto seen = seen_of(sample);
      if (options_.video) {
        add_frame(seen, sample, video);
      } else {
        write_panel(seen, sample);
      }
      progress.update(++done_);
    }
    progress.finish();
    if (options_.video) video.write(request_.output / "attention.avi");
    return finished();
  }

 private:
  /// An image as the network takes it, and the attention of its class token.
  ///
  ///   image      [3, h·p, w·p]
  ///   attention  [heads, h, w]
  struct Seen {
    torch::Tensor image;
    torch::Tensor attention;
  };

  /// Throws RequestError where frames are not of one size.
  void check_frames() const {
    const auto pixels_of = [&](int64_t sample) {
      const auto& options = request_.weights.config.run.data.decode;
      const auto header = data::read_header(images_->read(sample), images_->path(sample), options);
      const auto sides = wanted_sides({header.height, header.width}, options_.size);
      return std::pair(sides.height / patch_ * patch_, sides.width / patch_ * patch_);
    };
    const auto first = pixels_of(0);
    for (int64_t sample = 1; sample < images_->size(); ++sample) {
      const auto own = pixels_of(sample);
      IBOT_CHECK_AS(RequestError, own == first, images_->path(sample),
                    ": video: expected frames of ", first.first, " x ", first.second,
                    " pixels, got ", own.first, " x ", own.second,
                    "; give both sides by attention.size");
    }
  }

  Seen seen_of(int64_t sample) const {
    const torch::NoGradGuard no_grad;
    const auto image = decoded(*images_, sample, request_);
    const auto sides = wanted_sides({image.height(), image.width()}, options_.size);
    const auto rows = sides.height / patch_;
    const auto columns = sides.width / patch_;
    IBOT_CHECK_AS(DataError, rows > 0 && columns > 0, images_->path(sample),
                  ": expected at least a patch of ", patch_, " pixels, got ", sides.height, " x ",
                  sides.width, "; give attention.size");
    const auto pixels = resized(image, sides.height, sides.width)
                            .narrow(1, 0, rows * patch_)
                            .narrow(2, 0, columns * patch_);
    const auto& augment = request_.weights.config.run.augment;
    const auto input =
        batch::normalized(pixels.unsqueeze(0).to(request_.device), augment.normalization);
    const auto attention = subject_.backbone->attended_patches(input).attention[0];
    return {input[0].to(torch::kCPU),
            attention.view({-1, rows, columns}).to(torch::kCPU, torch::kFloat)};
  }

  torch::Tensor colored_heads(const Seen& seen) const {
    const auto heads = seen.attention.size(0);
    auto wanted = options_.heads;
    for (int64_t head = 0; options_.heads.empty() && head < heads && wanted.size() < kColors;
         ++head) {
      wanted.push_back(head);
    }
    for (const auto head : wanted) {
      IBOT_CHECK_AS(ConfigError, head < heads, "attention.heads: expected below the ", heads,
                    " heads of the network, got ", head);
    }
    return eval::attention_picture(
        seen.image, seen.attention.index_select(0, torch::tensor(wanted, torch::kLong)),
        options_.threshold);
  }

  void write_panel(const Seen& seen, int64_t sample) {
    const auto name = concat("idx", sample, '_');
    std::vector<torch::Tensor> pictures{eval::in_own_range(seen.image), colored_heads(seen)};
    std::vector<std::string> names{"image", "color"};
    for (int64_t head = 0; head < seen.attention.size(0); ++head) {
      pictures.push_back(
          eval::colored(eval::enlarged(seen.attention[head], patch_), eval::ColorMap::kViridis));
      names.push_back(concat("head", head));
    }
    for (size_t i = 0; options_.separate && i < pictures.size(); ++i) {
      write_png(request_, name + names[i], pictures[i]);
    }
    const auto panel = torch::cat(pictures, 1);
    write_png(request_, name + "attn", panel);
    show(images_->path(sample), panel);
  }

  void add_frame(const Seen& seen, int64_t sample, data::Video& video) {
    const auto frame =
        eval::colored(eval::enlarged(seen.attention.mean(0), patch_), eval::ColorMap::kInferno);
    video.add(image_of(frame));
    show(images_->path(sample), frame);
  }

  void show(const std::string& caption, const torch::Tensor& picture) {
    if (static_cast<int64_t>(figures_.size()) >= kShownPictures) return;
    figures_.push_back(figure_of(caption, picture));
  }

  eval::Report finished() {
    eval::Report report{.task = "attention",
                        .metrics = {{"images", static_cast<double>(done_)}},
                        .options = eval::option_values(options_)};
    Identity identity("attention", 1);
    identity.add_hash("weights", subject_.hash);
    identity.add_images(images_->content_hash());
    report.identity = identity.summary();
    report.figures = std::move(figures_);
    report.table = concat(
        done_, " ", options_.video ? "frames, attention.avi," : "panels, idx<number>_attn.png,",
        " in ", request_.output.string(), "\n");
    return report;
  }

  const TaskRequest& request_;
  const eval::AttentionOptions& options_;
  evaluation::Subject subject_;
  std::unique_ptr<data::Dataset> images_;
  int64_t patch_;
  int64_t done_ = 0;
  std::vector<eval::Figure> figures_;
};

}  // namespace

eval::Report run_attention(const TaskRequest& request) {
  check_picture_request(request, "attention");
  return AttentionTask(request).run();
}

}  // namespace ibot::apps
