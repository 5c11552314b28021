// An evaluation: its name, what it reads, and how it judges.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "ibot/eval/features.h"
#include "ibot/eval/report.h"
#include "ibot/evaluation/extraction.h"

namespace ibot::evaluation {

/// What an evaluation reads. It is declared, so that programs open everything before any work,
/// compute features once for all evaluations of an epoch, and share their computation among
/// processes.
///
///   images                         labeled images, which it turns into features itself
///   train_features, test_features  frozen features of labeled images
///   head                           the projection head
///   own_data                       data of a kind of its own, which Evaluation::open reads: images
///                                  with dense labels, pairs, videos
///   shared                         Evaluation::prepare computes what `run` reads of its own data
///                                  into the cache, so that several processes can share the work
struct Reads {
  bool images = false;
  bool train_features = false;
  bool test_features = false;
  bool head = false;
  bool own_data = false;
  bool shared = false;

  bool features() const { return train_features || test_features; }
  bool labeled_images() const { return images || features(); }
  /// Whether labeled features do without a network, whoever computed them.
  bool features_alone() const { return features() && !head && !own_data; }
};

/// Images that it needs at least.
///
///   key   the option that asks for so many: "eval.k"
///   mend  what to do where there are fewer: "ask for fewer neighbors"
struct Least {
  int64_t train_images = 1;
  int64_t test_images = 1;
  std::string key = {};
  std::string mend = {};
};

/// Data of an evaluation's own kind, opened.
class Data {
 public:
  virtual ~Data() = default;
  /// Of all that results depend on, as data::Dataset::content_hash.
  virtual std::string hash() const = 0;
};

/// Everything that was declared; what was not is absent.
///
///   train, test  features on the host, labels as numbers of the `classes` classes
///   extraction   how images become features where the evaluation embeds its own, the cache among
///   it output       folder for what it writes beside its report; empty: nothing is written
struct Inputs {
  const Subject& subject;
  eval::FeatureBank train = {};
  eval::FeatureBank test = {};
  int64_t classes = 0;
  const LabeledImages* images = nullptr;
  const Data* data = nullptr;
  ExtractionOptions extraction = {};
  std::filesystem::path output = {};
};

struct About {
  std::string name;  // of the subcommand, the entry of eval.tasks and the section of its options
  std::string text;  // one line
  Reads reads;
  int64_t version = 1;  // goes up when the same inputs give other results
  /// It takes steps: a program that does nothing else runs its loop, with ranks and checkpoints.
  bool trains = false;
};

/// One way to tell what a network is worth. An evaluation has its options and no state: the same
/// object serves network after network. It is added by a source file of this room that derives from
/// this class and defines `make` of its options (ibot/evaluation/evaluations.h), and a line in
/// ScheduledEvaluations (ibot/eval/evaluation_options.h). On frozen features all it writes is
/// `run`:
///
///   class Centroids : public Evaluation {
///    public:
///     explicit Centroids(const eval::CentroidOptions& options)
///         : Evaluation({"centroids", "nearest class mean", {.train_features = true,
///                                                           .test_features = true}}), …
///     eval::Report run(const Inputs& inputs, const Listener&) const override {
///       … inputs.train.features, inputs.train.labels, inputs.test …
///     }
///   };
///
/// With dense labels, pairs or videos it opens them itself and embeds them as it likes:
///
///   class Segmentation : public Evaluation {  // {"segmentation", "…", {.own_data = true}}
///     std::unique_ptr<Data> open(const std::filesystem::path& root) const override {
///       return std::make_unique<DenseImages>(root / "images", root / "masks");
///     }
///     eval::Report run(const Inputs& inputs, const Listener& listener) const override {
///       const auto& images = dynamic_cast<const DenseImages&>(*inputs.data);
///       … inputs.subject.backbone->forward(batch).patch_tokens against the masks …
///     }
///   };
class Evaluation {
 public:
  explicit Evaluation(About about) : about_(std::move(about)) {}
  virtual ~Evaluation() = default;

  const About& about() const { return about_; }
  virtual Least least() const { return {}; }
  /// Opens the data of its own below `root`. Throws DataError where they cannot be read.
  virtual std::unique_ptr<Data> open(const std::filesystem::path& root) const;
  /// Of an evaluation with shared work: what `run` reads, computed into the cache as one of
  /// `inputs.extraction.processes`.
  virtual void prepare(const Inputs& inputs, const Listener& listener) const;
  /// Metrics, options, and where there are any a table and a score; what the result belongs to is
  /// left to `evaluate`. Computes on the subject's device, draws from no global generator and
  /// leaves modules in the mode that they were in. Throws Error on features that are not finite.
  virtual eval::Report run(const Inputs& inputs, const Listener& listener) const = 0;

 private:
  About about_;
};

}  // namespace ibot::evaluation
