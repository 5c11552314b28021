// The evaluations that programs list.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ibot/eval/evaluation_options.h"
#include "ibot/eval/in_run_options.h"
#include "ibot/eval/knn.h"
#include "ibot/evaluation/evaluation.h"

namespace ibot::evaluation {

/// Weighted nearest neighbors: test images classified by the training images. Without numbers of
/// neighbors those of numbers_of_neighbors.
std::unique_ptr<Evaluation> make(const eval::KnnOptions& options);
/// Linear classifiers on features of random crops, by all learning rates at once, the best on the
/// test images.
std::unique_ptr<Evaluation> make(const eval::LinearOptions& options);
/// Logistic regression on the training images, tested on the test images.
std::unique_ptr<Evaluation> make(const eval::LogisticOptions& options);
/// k-means of the test images against their classes.
std::unique_ptr<Evaluation> make(const eval::KmeansOptions& options);
/// The prototypes of the projection head as clusters of the test images, against their classes.
std::unique_ptr<Evaluation> make(const eval::ClusterOptions& options);

/// Revisited Oxford or Paris: mean average precision of images ranked by their class token.
std::unique_ptr<Evaluation> make(const eval::RetrievalOptions& options);
/// Copydays: mean average precision of photographs found by their copies.
std::unique_ptr<Evaluation> make(const eval::CopyOptions& options);
/// DAVIS: J and F of objects followed from frame to frame.
std::unique_ptr<Evaluation> make(const eval::VideoOptions& options);

/// An evaluation and how often a run has it.
struct Planned {
  std::unique_ptr<Evaluation> evaluation;
  int64_t every_epochs = 1;
};

/// All of them, k-NN first, as configured.
std::vector<Planned> evaluations(const eval::InRunOptions& knn = {},
                                 const eval::EvaluationOptions& others = {});

/// Those of eval.tasks, in its order. Throws ConfigError on a name that there is not or is there
/// twice.
std::vector<Planned> planned(const eval::InRunOptions& knn, const eval::EvaluationOptions& others);

}  // namespace ibot::evaluation
