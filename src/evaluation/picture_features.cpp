#include "ibot/evaluation/picture_features.h"

#include <torch/utils.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "evaluation/feature_parts.h"
#include "ibot/base/error.h"
#include "ibot/eval/evaluation_mode.h"

namespace ibot::evaluation {
namespace {

// Pictures of one part: what an interrupted extraction loses at most.
constexpr int64_t kPicturePart = 512;
// Among so many those of equal size are put together.
constexpr int64_t kLookedAt = 32;

Identity identity_of(const Subject& subject, const Pictures& pictures, const PictureMethod& method,
                     const ExtractionOptions& options) {
  Identity identity(method.name, method.version);
  identity.add_hash("weights", subject.hash);
  identity.add_images(pictures.hash);
  auto keys = feature_keys(subject, options);
  // The method's own framing replaces them.
  keys.erase("eval.crop_size");
  keys.erase("eval.resize_size");
  keys.insert(method.keys.begin(), method.keys.end());
  identity.add_keys(keys);
  return identity;
}

/// Indices of pictures by their size.
std::map<std::vector<int64_t>, std::vector<int64_t>> by_size(
    const std::vector<torch::Tensor>& pictures) {
  std::map<std::vector<int64_t>, std::vector<int64_t>> groups;
  for (size_t i = 0; i < pictures.size(); ++i) {
    groups[pictures[i].sizes().vec()].push_back(static_cast<int64_t>(i));
  }
  return groups;
}

/// Embeds pictures of any sizes.
class Embedder {
 public:
  Embedder(const Subject& subject, const PictureMethod& method, const ExtractionOptions& options)
      : subject_(subject), method_(method), options_(options) {}

  torch::Tensor features(const std::vector<torch::Tensor>& pictures) const {
    std::vector<torch::Tensor> rows(pictures.size());
    for (const auto& [size, members] : by_size(pictures)) {
      // As many pixels at a time as a usual batch has, whatever the size of the pictures.
      const int64_t pixels = options_.batch_size * options_.crop_size * options_.crop_size;
      const auto most = static_cast<size_t>(std::max<int64_t>(pixels / (size[1] * size[2]), 1));
      for (size_t begin = 0; begin < members.size(); begin += most) {
        embed(pictures, members, begin, std::min(begin + most, members.size()), rows);
      }
    }
    return torch::stack(rows);
  }

 private:
  void embed(const std::vector<torch::Tensor>& pictures, const std::vector<int64_t>& members,
             size_t begin, size_t end, std::vector<torch::Tensor>& rows) const {
    std::vector<torch::Tensor> batch;
    for (size_t i = begin; i < end; ++i) batch.push_back(pictures[members[i]]);
    const auto images = torch::stack(batch).to(subject_.device);
    const auto features = method_.embedding(batch::normalized(images, options_.normalization))
                              .to(torch::kCPU, torch::kFloat);
    for (size_t i = begin; i < end; ++i) {
      rows[members[i]] = features[static_cast<int64_t>(i - begin)];
    }
  }

  const Subject& subject_;
  const PictureMethod& method_;
  const ExtractionOptions& options_;
};

/// The network sees a patch at least.
void check_size(const Subject& subject, const PictureMethod& method, const torch::Tensor& picture,
                const std::string& path) {
  const auto side = [&](int64_t axis) {
    return static_cast<int64_t>(static_cast<double>(picture.size(axis)) * method.smallest_scale);
  };
  const auto grid = subject.backbone->grid(side(1), side(2));
  IBOT_CHECK_AS(DataError, grid.size() > 0, path, ": expected an image of a patch at least",
                method.smallest_scale < 1.0 ? " at every scale" : "", ", got ", picture.size(2),
                " x ", picture.size(1), " pixels");
}

eval::FeatureBank compute(const Subject& subject, const data::Dataset& images,
                          const PictureMethod& method, const ExtractionOptions& options,
                          std::pair<int64_t, int64_t> range,
                          const eval::FeatureProgress& progress) {
  data::PictureLoader loader(images, {.framing = method.framing,
                                      .decode = options.decode,
                                      .accepts_truncated = method.accepts_truncated,
                                      .begin = range.first,
                                      .end = range.second,
                                      .batch_size = kLookedAt,
                                      .workers = options.workers,
                                      .prefetch_batches = options.prefetch_batches});
  const Embedder embedder(subject, method, options);
  std::vector<torch::Tensor> parts;
  int64_t done = 0;
  while (const auto pictures = loader.next()) {
    for (const auto& picture : *pictures) {
      check_size(subject, method, picture, images.path(range.first + done++));
    }
    parts.push_back(embedder.features(*pictures));
    progress(done);
  }
  const auto samples = torch::arange(range.first, range.second, torch::kLong);
  return {torch::cat(parts), torch::zeros_like(samples), samples, {}};
}

}  // namespace

void visit_features(const Subject& subject, const Pictures& pictures, const PictureMethod& method,
                    const ExtractionOptions& options, const Listener& listener,
                    const FeatureVisit& visit) {
  const torch::NoGradGuard no_grad;
  const eval::EvaluationMode evaluation_mode(*subject.backbone);
  FeatureParts parts(pictures.images.size(), kPicturePart, pictures.name,
                     identity_of(subject, pictures, method, options).text(), options, listener);
  parts.run(
      [&](int64_t begin, int64_t count, const eval::FeatureProgress& progress) {
        return compute(subject, pictures.images, method, options, {begin, begin + count}, progress);
      },
      [&](int64_t begin, const eval::FeatureBank& part) { visit(begin, part.features); });
}

torch::Tensor picture_features(const Subject& subject, const Pictures& pictures,
                               const PictureMethod& method, const ExtractionOptions& options,
                               const Listener& listener) {
  torch::Tensor all;
  visit_features(subject, pictures, method, options, listener,
                 [&](int64_t begin, const torch::Tensor& features) {
                   if (!all.defined()) {
                     all = torch::empty({pictures.images.size(), features.size(1)});
                   }
                   all.narrow(0, begin, features.size(0)).copy_(features);
                 });
  return all;
}

}  // namespace ibot::evaluation
