// A backbone with a classifier on its class token.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/labeled_batch.h"
#include "ibot/batch/normalization.h"
#include "ibot/dist/group.h"
#include "ibot/eval/fine_tune_options.h"
#include "ibot/models/backbone.h"
#include "ibot/models/head_options.h"
#include "ibot/models/projection_head.h"
#include "ibot/optim/precision_options.h"

namespace ibot::eval {

struct ClassifierOptions {
  models::BackboneOptions backbone;  // its image_size is that of the images
  int64_t classes = 0;
  /// Layers of the projection head below the classifier: 0 to 2 of its linear layers, each followed
  /// by GELU; 3: the whole head, prototypes included.
  int64_t head_layers = 0;
  models::HeadOptions projection;  // widths of those layers
  /// Factor of the last layer's initial values.
  double head_scale = 1.0;
  Positions positions = Positions::kLearned;
};

/// The kept part of the projection head with a new last layer, `cls_head`.
///
/// Source: reference `vision_transformer.py`, `head.py` (finetune_head_layer).
class ProjectedClassifierImpl : public torch::nn::Module {
 public:
  ProjectedClassifierImpl(const ClassifierOptions& options, int64_t embed_dim);
  /// [B, D] → [B, classes]
  torch::Tensor forward(const torch::Tensor& class_token);
  torch::nn::Linear last() const { return cls_head_; }

 private:
  std::vector<torch::nn::Linear> linears_;
  models::Prototypes last_layer_{nullptr};
  torch::nn::Linear cls_head_{nullptr};
};
TORCH_MODULE(ProjectedClassifier);

/// Parameters lie under `backbone.` and `head.`: of a plain classifier `head.weight` and
/// `head.bias`, else `head.mlp.*`, `head.last_layer.*` and `head.cls_head.*`.
class Classifier : public torch::nn::Module {
 public:
  /// All values are drawn from `seed`, but a ViT's bias of attention, which begins at 0. The
  /// backbone has drop path and no mask token. Throws OptionError on fixed positions of a backbone
  /// that has none.
  Classifier(const ClassifierOptions& options, uint64_t seed);

  /// images [B, 3, H, W], normalized → logits [B, classes]
  torch::Tensor forward(const torch::Tensor& images);

  const ClassifierOptions& options() const { return options_; }
  models::Backbone& backbone() { return *backbone_; }

  /// Takes over the values of a pre-trained backbone, position embeddings and bias tables resized
  /// to the classifier's. Throws CheckpointError where a name is missing or shapes differ
  /// otherwise. A ViT's bias of attention that the pre-trained one lacks stays as it is.
  void load_backbone(const models::Backbone& pretrained);
  /// Takes over the kept layers of a pre-trained projection head, its tensors by name below
  /// `head.`. Throws CheckpointError likewise.
  void load_projection(const std::map<std::string, torch::Tensor>& head);

 private:
  void fix_positions();

  ClassifierOptions options_;
  std::shared_ptr<models::Backbone> backbone_;
  torch::nn::Linear linear_{nullptr};
  ProjectedClassifier projected_{nullptr};
};

/// Shares in percent, the loss in nats.
struct Accuracy {
  int64_t images = 0;
  double loss = 0.0;
  double top1 = 0.0;
  double top5 = 0.0;  // 100 below six classes
};

/// Classifies all of a source in evaluation mode, of several ranks all of theirs together; the
/// classifier is then put back into the mode it was in. A class with an equal score counts as
/// before the true one only if its number is lower. Throws DataError when all sources are empty.
Accuracy test_classifier(Classifier& classifier, batch::BatchSource<batch::LabeledBatch>& source,
                         const batch::Normalization& normalization, torch::Device device,
                         optim::Precision precision, const dist::Group& group = {},
                         const std::function<void(int64_t images)>& progress = {});

}  // namespace ibot::eval
