// Frozen features of images that keep a size of their own, with their cache.
#pragma once

#include <torch/types.h>

#include <functional>
#include <map>
#include <string>

#include "ibot/evaluation/extraction.h"
#include "ibot/loading/picture_loader.h"

namespace ibot::evaluation {

/// How pictures become features.
///
///   name, version, keys  the method and all that decides its results besides the network, the
///                        images, their decoding and normalization; features are kept under it
///   embedding            of a batch of pictures of one size
///   smallest_scale       of the sizes at which the embedding looks at them
struct PictureMethod {
  std::string name;
  int64_t version = 1;
  std::map<std::string, std::string> keys;
  data::Framing framing;
  eval::Embedding embedding;
  bool accepts_truncated = false;
  double smallest_scale = 1.0;
};

/// Some pictures, as extract has them.
struct Pictures {
  const data::Dataset& images;
  std::string hash;
  std::string name;
};

/// Hears of features [count, F], on the host, of samples from `begin` on.
using FeatureVisit = std::function<void(int64_t begin, const torch::Tensor& features)>;

/// Features part by part, so that memory does not grow with the number of pictures; order and cache
/// are those of extract. Pictures of equal size are embedded together, as many as have the pixels
/// of `options.batch_size` crops. Throws as extract, and DataError on a picture smaller than a
/// patch.
void visit_features(const Subject& subject, const Pictures& pictures, const PictureMethod& method,
                    const ExtractionOptions& options, const Listener& listener,
                    const FeatureVisit& visit);

/// Features of all: [S, F], float32, on the host.
torch::Tensor picture_features(const Subject& subject, const Pictures& pictures,
                               const PictureMethod& method, const ExtractionOptions& options,
                               const Listener& listener);

}  // namespace ibot::evaluation
