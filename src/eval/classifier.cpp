#include "ibot/eval/classifier.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/functional/normalization.h>

#include "ibot/base/error.h"
#include "ibot/models/architecture.h"
#include "ibot/models/network.h"
#include "ibot/models/resize_weights.h"
#include "ibot/models/weights.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"

namespace ibot::eval {
namespace {

/// With all three layers of the projection head its prototypes are kept too.
constexpr int64_t kWholeHead = 3;

/// Nothing is masked in fine-tuning: without a mask token, which would have no gradient.
models::BackboneOptions trained_backbone(models::BackboneOptions options) {
  options.masked_modeling = false;
  return options;
}

/// A bias of attention that networks without one can gain.
bool is_gained(const models::BackboneOptions& options, const std::string& name) {
  const auto* own = models::own_parameter(name);
  return options.rel_pos_bias && own != nullptr && own->is_bias_table;
}

/// Sines at even and cosines at odd columns of 1 + N positions, 0 for the class token: [1, 1 + N,
/// D]. Source: reference `modeling_finetune.py` (get_sinusoid_encoding_table).
torch::Tensor sinusoid_positions(int64_t patches, int64_t width) {
  const auto places = torch::arange(patches, torch::kDouble).unsqueeze(1);  // [N, 1]
  const auto columns = torch::arange(width, torch::kDouble);                // [D]
  // Columns 2i and 2i + 1 share the wavelength 10000^(2i / D).
  const auto exponents = 2.0 * columns.div(2.0).floor() / static_cast<double>(width);
  const auto angles = places / torch::pow(10000.0, exponents);  // [N, D]
  const auto odd = columns.remainder(2.0) > 0;
  const auto table = torch::where(odd, angles.cos(), angles.sin());
  return torch::cat({torch::zeros({1, width}, torch::kDouble), table}).unsqueeze(0);
}

/// Copies `stored` into `target`, resized where the name says how.
void copy_weight_(torch::Tensor target, const std::string& name, const torch::Tensor& stored) {
  const auto resized = models::resize_weight(name, stored, target.sizes());
  IBOT_CHECK_AS(CheckpointError, resized.defined(), "classifier: ", name, ": expected shape ",
                target.sizes(), ", got ", stored.sizes());
  target.copy_(resized);
}

}  // namespace

ProjectedClassifierImpl::ProjectedClassifierImpl(const ClassifierOptions& options,
                                                 int64_t embed_dim) {
  const auto& widths = options.projection;
  const auto mlp = register_module("mlp", std::make_shared<torch::nn::Module>());
  auto width = embed_dim;
  for (int64_t i = 0; i < options.head_layers; ++i) {
    const auto output = i + 1 == kWholeHead ? widths.bottleneck_dim : widths.hidden_dim;
    linears_.push_back(
        // Numbered as in the projection head, whose weights are loaded by name: GELUs count.
        mlp->register_module(std::to_string(2 * i), torch::nn::Linear(width, output)));
    width = output;
  }
  if (options.head_layers == kWholeHead) {
    last_layer_ = register_module(
        "last_layer", models::Prototypes(width, widths.prototypes, /*learn_norm=*/true));
    width = widths.prototypes;
  }
  cls_head_ = register_module("cls_head", torch::nn::Linear(width, options.classes));
}

torch::Tensor ProjectedClassifierImpl::forward(const torch::Tensor& class_token) {
  auto x = class_token;
  const size_t hidden = last_layer_ ? linears_.size() - 1 : linears_.size();
  for (size_t i = 0; i < hidden; ++i) x = torch::gelu(linears_[i]->forward(x));
  if (last_layer_) {
    // As in the projection head: half precision would lose the norm.
    x = torch::nn::functional::detail::normalize(linears_.back()->forward(x).to(torch::kFloat), 2.0,
                                                 -1, 1e-12, std::nullopt);
    x = last_layer_->forward(x);
  }
  return cls_head_->forward(x);
}

Classifier::Classifier(const ClassifierOptions& options, uint64_t seed) : options_(options) {
  IBOT_CHECK(options.classes >= 2, "classifier: expected two or more classes, got ",
             options.classes);
  backbone_ = register_module("backbone", models::build_backbone(trained_backbone(options.backbone),
                                                                 models::Role::kStudent));
  const auto width = backbone_->embed_dim();
  const auto generator = at::detail::createCPUGenerator(seed);
  models::initialize_(*backbone_, generator);
  fix_positions();
  if (options.head_layers == 0) {
    linear_ = register_module("head", torch::nn::Linear(width, options.classes));
    models::initialize_(*linear_, generator);
  } else {
    projected_ = register_module("head", ProjectedClassifier(options, width));
    models::initialize_(*projected_, generator);
  }
  const torch::NoGradGuard no_grad;
  for (auto& parameter : backbone_->named_parameters()) {
    // Starts as the network without it.
    if (is_gained(options.backbone, parameter.key())) parameter.value().zero_();
  }
  const auto last = linear_ ? linear_ : projected_->last();
  // The reference's init_scale: a classifier that starts near 0.
  last->weight.mul_(options.head_scale);
  last->bias.mul_(options.head_scale);
}

torch::Tensor Classifier::forward(const torch::Tensor& images) {
  const auto class_token = backbone_->forward_selected(images, {}, {}).class_token;  // [B, D]
  return linear_ ? linear_->forward(class_token) : projected_->forward(class_token);
}

void Classifier::load_backbone(const models::Backbone& pretrained) {
  const torch::NoGradGuard no_grad;
  std::map<std::string, torch::Tensor> stored;
  for (const auto& [name, tensor] : models::named_state(pretrained)) stored.emplace(name, tensor);
  for (auto& [name, tensor] : models::named_state(*backbone_)) {
    const auto found = stored.find(name);
    if (found == stored.end() && is_gained(options_.backbone, name)) continue;
    IBOT_CHECK_AS(CheckpointError, found != stored.end(), "classifier: expected backbone.", name,
                  ", found none");
    // An index of offsets follows from the size, which may differ.
    if (models::is_derived(name)) continue;
    copy_weight_(tensor, name, found->second);
  }
  // What was loaded must not stay where positions are fixed.
  fix_positions();
}

/// A parameter that does not learn is in checkpoints what a learnt one is: whoever reads it builds
/// the same network.
void Classifier::fix_positions() {
  if (options_.positions == Positions::kLearned) return;
  auto parameters = backbone_->named_parameters();
  auto* positions = parameters.find("pos_embed");
  check_option(positions != nullptr, "positions", "expected learned with ", options_.backbone.arch,
               ", which has none, got ", enum_name(options_.positions));
  const torch::NoGradGuard no_grad;
  positions->set_requires_grad(false);
  if (options_.positions == Positions::kNone) {
    positions->zero_();
  } else {
    positions->copy_(sinusoid_positions(positions->size(1) - 1, positions->size(2)));
  }
}

void Classifier::load_projection(const std::map<std::string, torch::Tensor>& head) {
  if (!projected_) return;
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : models::named_state(*projected_)) {
    // New: the file's head has prototypes here.
    if (name.rfind("cls_head.", 0) == 0) continue;
    const auto found = head.find(name);
    IBOT_CHECK_AS(CheckpointError, found != head.end(), "classifier: expected head.", name,
                  ", found none; head_layers 0 needs no projection head");
    copy_weight_(tensor, name, found->second);
  }
}

Accuracy test_classifier(Classifier& classifier, batch::BatchSource<batch::LabeledBatch>& source,
                         const batch::Normalization& normalization, torch::Device device,
                         optim::Precision precision, const dist::Group& group,
                         const std::function<void(int64_t images)>& progress) {
  const torch::NoGradGuard no_grad;
  const bool training = classifier.is_training();
  classifier.eval();
  // Of losses, of hits among the first and the first five, and of images.
  auto sums = torch::zeros({4}, torch::TensorOptions(torch::kDouble).device(device));
  int64_t images = 0;
  while (const auto batch = source.next()) {
    const auto labels = batch->label.to(device).unsqueeze(1);  // [B, 1]
    torch::Tensor logits;
    {
      const nn::AutocastScope autocast(device.type(), optim::autocast_dtype(precision, device));
      logits = classifier.forward(batch::normalized(batch->image.to(device), normalization));
    }
    logits = logits.to(torch::kFloat);
    const auto own = logits.gather(1, labels);
    const auto classes = torch::arange(logits.size(1), labels.options());
    // Classes above the image's own; of equal scores the lower class comes first.
    const auto rank = ((logits > own) | ((logits == own) & (classes < labels))).sum(1);
    // A score that is not a number is above nothing: it must not count as a hit.
    const auto counted = own.squeeze(1).isfinite();
    sums += torch::stack({-torch::log_softmax(logits, 1).gather(1, labels).sum(),
                          ((rank < 1) & counted).sum().to(torch::kFloat),
                          ((rank < 5) & counted).sum().to(torch::kFloat),
                          torch::full({}, static_cast<float>(labels.size(0)), own.options())})
                .to(torch::kDouble);
    images += batch->image.size(0);
    if (progress) progress(images);
  }
  classifier.train(training);
  group.all_reduce_(sums, dist::Reduction::kSum);
  const auto totals = sums.to(torch::kCPU);
  const auto all = totals[3].item<double>();
  IBOT_CHECK_AS(DataError, all > 0, "classifier: expected test images, got none");
  const auto mean = [&](int64_t i) { return totals[i].item<double>() / all; };
  return {.images = static_cast<int64_t>(all),
          .loss = mean(0),
          .top1 = 100.0 * mean(1),
          .top5 = 100.0 * mean(2)};
}

}  // namespace ibot::eval
