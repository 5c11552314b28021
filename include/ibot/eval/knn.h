// Weighted nearest-neighbor classification.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/eval/features.h"

namespace ibot::eval {

struct KnnOptions {
  std::vector<int64_t> k{10, 20, 100, 200};
  double temperature = 0.07;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("k", k, "numbers of neighbors");
    field("temperature", temperature, "of the neighbors' votes");
  }

  void validate() const {
    check_option(!k.empty(), "k", "expected at least one number");
    for (const int64_t count : k) check_option(count > 0, "k", "expected above 0, got ", count);
    check_option(temperature > 0, "temperature", "expected above 0, got ", temperature);
  }
};

/// `k`, or where it is empty those of the published 10, 20, 100 and 200 that do not exceed the
/// number of training images, at least the first.
std::vector<int64_t> numbers_of_neighbors(const std::vector<int64_t>& k, int64_t train_images);

/// Shares in percent of the test images whose class is the first, or among the first five.
struct KnnAccuracy {
  int64_t k = 0;
  double top1 = 0;
  double top5 = 0;
};

/// Classifies each test image by its k nearest training images, one result for each of options.k.
///
/// Features are scaled to length 1; a neighbor votes for its class with exp(cosine / temperature).
/// Of equally near neighbors the earlier row goes first, of classes with equal votes the lower
/// index; a class without any vote is never among the five. The test features
/// say where to compute; memory does not grow with the product of the two sets, and the training
/// features are not copied.
///
/// Throws Error when a k exceeds the number of training images or the banks do not match.
/// Source: Wu et al. 2018, sec. 3.4; evaluation/eval_knn.py of the reference implementation.
std::vector<KnnAccuracy> classify_knn(const FeatureBank& train, const FeatureBank& test,
                                      const KnnOptions& options);

/// The accuracies by name: top1_k10, top5_k10 and so on.
std::map<std::string, double> knn_metrics(const std::vector<KnnAccuracy>& accuracies);

}  // namespace ibot::eval
