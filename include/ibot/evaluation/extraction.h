// Frozen features of a network on images, with their cache.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "ibot/batch/normalization.h"
#include "ibot/codec/decode_options.h"
#include "ibot/data/dataset.h"
#include "ibot/eval/features.h"
#include "ibot/evaluation/identity.h"
#include "ibot/image/filter_options.h"
#include "ibot/models/backbone.h"
#include "ibot/models/projection_head.h"

namespace ibot::evaluation {

/// What is evaluated: a network, or raw pixels. Hashes are those of tensors_hash; where neither
/// features nor reports are kept they may be left out.
struct Subject {
  models::BackboneOptions options;
  std::shared_ptr<models::Backbone> backbone;  // on `device`; none: the normalized pixels
  models::ProjectionHead head{nullptr};        // on `device`; none: not at hand
  torch::Device device = torch::kCPU;
  std::string hash = "pixels";
  std::string head_hash = "none";
};

/// A backbone with its hash. `backbone` lies on `device`.
Subject subject_of(const models::BackboneOptions& options,
                   std::shared_ptr<models::Backbone> backbone, torch::Device device = torch::kCPU);

/// How images become features.
struct ExtractionOptions {
  // What affects results.
  eval::FeatureOptions features{eval::Pooling::kClass, 1};  // as eval::resolved gives them
  int64_t resize_size = 256;  // short side in pixels before the center crop; 0: not resized
  int64_t crop_size = 224;    // side of the center crop in pixels
  data::Filter filter = data::Filter::kBicubic;  // of the resize
  batch::Normalization normalization;
  data::DecodeOptions decode;
  bool leaves_out_unreadable = false;  // whether an image that does not decode ends the extraction

  // What affects speed, and where features are kept.
  int64_t batch_size = 128;
  int64_t workers = 10;
  int64_t prefetch_batches = 4;
  std::filesystem::path cache;  // where features are kept; empty: nowhere
  /// This process among those that share the work through the cache.
  int64_t rank = 0;
  int64_t processes = 1;
};

/// How far a part of an evaluation is.
struct Stage {
  std::string label;  // which part: "train"
  std::string unit;   // what is counted: "images"
  int64_t done = 0;
  int64_t total = 0;
  std::string note;  // in a few words what is worth seeing
  bool finished = false;
};

/// Who hears of an evaluation while it runs. `progress` may throw to end it.
struct Listener {
  std::function<void(const Stage&)> progress = [](const Stage&) {};
  std::function<void(const std::string&)> warning = [](const std::string&) {};
};

/// The keys that decide features, with their values.
std::map<std::string, std::string> feature_keys(const Subject& subject,
                                                const ExtractionOptions& options);

/// Of the features of images whose content_hash is `images_hash`.
Identity feature_identity(const Subject& subject, const std::string& images_hash,
                          const ExtractionOptions& options);

/// Features of all images, on the host, those of pixels flattened. Parts that the cache holds under
/// feature_identity are read, others computed and stored; several processes take their parts first,
/// then what others have not finished: a process that died is not waited for.
///
///   hash   content_hash of the images
///   name   what progress calls them
///
/// Throws DataError on an image that does not decode, unless those are left out, then where none
/// does; and Error where the cache cannot be written.
eval::FeatureBank extract(const Subject& subject, const data::Dataset& images,
                          const std::string& hash, const std::string& name,
                          const ExtractionOptions& options, const Listener& listener = {});

/// What is told of images other than features of a backbone.
struct Embedder {
  /// Of a batch [B, 3, H, W] of uint8 pixels on the device, whose first image is `first` of the set
  /// and the others follow it: [B, F] numbers.
  std::function<torch::Tensor(const torch::Tensor& pixels, int64_t first)> embed;
  Identity identity;    // of the numbers
  int64_t part = 8192;  // images whose numbers are kept together: what an interruption loses
};

/// The same, of an embedder, on `device`.
eval::FeatureBank extract(const Embedder& embedder, const data::Dataset& images,
                          const std::string& name, const ExtractionOptions& options,
                          torch::Device device, const Listener& listener = {});

}  // namespace ibot::evaluation
