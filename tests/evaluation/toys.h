// Evaluations that no program knows: all that a new one takes; and small inputs of evaluations.
#pragma once

#include "ibot/evaluation/evaluation.h"
#include "ibot/io/file.h"
#include "support/tiny.h"

namespace ibot::testing {

/// Each test image in the class whose mean training feature is nearest.
class Centroids : public evaluation::Evaluation {
 public:
  Centroids()
      : Evaluation({"centroids",
                    "the nearest class mean",
                    {.train_features = true, .test_features = true}}) {}

  eval::Report run(const evaluation::Inputs& inputs, const evaluation::Listener&) const override {
    const auto members = torch::one_hot(inputs.train.labels, inputs.classes).to(torch::kFloat);
    const auto means = members.t().mm(inputs.train.features) / members.sum(0).unsqueeze(1);
    const auto nearest = torch::cdist(inputs.test.features, means).argmin(1);
    const double top1 =
        100.0 * nearest.eq(inputs.test.labels).to(torch::kDouble).mean().item<double>();
    return {.metrics = {{"top1", top1}}, .score = top1};
  }
};

/// A mask over each of some images, a line of digits each: one digit a patch.
struct Masks : evaluation::Data {
  explicit Masks(const std::filesystem::path& file) : text(io::read_file(file)) {}
  std::string hash() const override { return text; }

  std::string text;
};

/// An evaluation of dense labels: it reads masks of its own and patch tokens, no labeled images.
class Foreground : public evaluation::Evaluation {
 public:
  Foreground() : Evaluation({"foreground", "patches against masks", {.own_data = true}}) {}

  std::unique_ptr<evaluation::Data> open(const std::filesystem::path& root) const override {
    return std::make_unique<Masks>(root / "masks.txt");
  }

  eval::Report run(const evaluation::Inputs& inputs, const evaluation::Listener&) const override {
    const auto& masks = dynamic_cast<const Masks&>(*inputs.data);
    const torch::NoGradGuard no_grad;
    const auto image = torch::zeros({1, 3, 16, 16});
    const auto patches = inputs.subject.backbone->forward(image).patch_tokens.size(1);
    const auto labels = static_cast<int64_t>(masks.text.find('\n'));
    return {.metrics = {
                {"labels_per_patch", static_cast<double>(labels) / static_cast<double>(patches)}}};
  }
};

/// Of drawn images, by few at a time.
inline evaluation::ExtractionOptions small_images(const std::filesystem::path& cache = {}) {
  return {.resize_size = 16, .crop_size = 16, .batch_size = 3, .workers = 1, .cache = cache};
}

inline evaluation::Subject tiny_subject() {
  const auto options = tiny_step_options().backbone;
  return evaluation::subject_of(options, models::build_backbone(options, models::Role::kTeacher));
}

}  // namespace ibot::testing
