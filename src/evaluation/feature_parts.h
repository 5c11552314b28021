// Features computed part by part, with their cache, by one or several processes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "ibot/eval/feature_store.h"
#include "ibot/evaluation/extraction.h"

namespace ibot::evaluation {

/// Visits the features of a set of images in parts of `size` consecutive samples, each read from
/// the cache or computed and stored. A process takes its own parts first, then what others have not
/// finished.
class FeatureParts {
 public:
  /// Features of `count` samples from `begin` on; `progress` is told of the images done.
  using Compute = std::function<eval::FeatureBank(int64_t begin, int64_t count,
                                                  const eval::FeatureProgress& progress)>;
  using Visit = std::function<void(int64_t begin, const eval::FeatureBank& part)>;

  ///   name         what progress calls the images
  ///   description  everything that the features depend on
  FeatureParts(int64_t images, int64_t size, const std::string& name,
               const std::string& description, const ExtractionOptions& options,
               const Listener& listener);

  void run(const Compute& compute, const Visit& visit);

 private:
  /// `images` more than the parts that are done.
  void tell(int64_t images);
  eval::FeatureBank part(int64_t begin, int64_t count, const Compute& compute);

  int64_t size_;
  const ExtractionOptions& options_;
  const Listener& listener_;
  Stage stage_;
  std::optional<eval::FeatureStore> store_;
};

}  // namespace ibot::evaluation
