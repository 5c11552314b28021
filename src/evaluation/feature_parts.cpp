#include "evaluation/feature_parts.h"

#include <algorithm>

namespace ibot::evaluation {

FeatureParts::FeatureParts(int64_t images, int64_t size, const std::string& name,
                           const std::string& description, const ExtractionOptions& options,
                           const Listener& listener)
    : size_(size),
      options_(options),
      listener_(listener),
      stage_{.label = name, .unit = "images", .total = images} {
  if (!options.cache.empty()) store_.emplace(options.cache, description);
}

void FeatureParts::run(const Compute& compute, const Visit& visit) {
  tell(0);
  const int64_t parts = (stage_.total + size_ - 1) / size_;
  // Own parts first, then those of the next rank: where a cache is shared, most of them are there.
  for (int64_t first = 0; first < options_.processes; ++first) {
    const int64_t owner = (options_.rank + first) % options_.processes;
    for (int64_t i = owner; i < parts; i += options_.processes) {
      const int64_t begin = i * size_;
      const int64_t count = std::min(size_, stage_.total - begin);
      visit(begin, part(begin, count, compute));
      stage_.done += count;
      tell(0);
    }
  }
  stage_.finished = true;
  tell(0);
}

void FeatureParts::tell(int64_t images) {
  auto stage = stage_;
  stage.done += images;
  listener_.progress(stage);
}

eval::FeatureBank FeatureParts::part(int64_t begin, int64_t count, const Compute& compute) {
  auto kept = store_ ? store_->read(begin, count) : std::nullopt;
  // Where an unreadable image is an error, computing names it.
  if (kept && (options_.leaves_out_unreadable || !kept->unreadable.defined())) {
    return *std::move(kept);
  }
  auto computed = compute(begin, count, [this](int64_t images) { tell(images); });
  if (store_) store_->write(begin, computed);
  return computed;
}

}  // namespace ibot::evaluation
