#include "ibot/eval/linear_heads.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ibot::eval {
namespace {

// As in the reference's SGD and LARS.
constexpr double kMomentum = 0.9;
constexpr double kLarsTrust = 0.001;
// Scores at a time while counting hits: 256 MB.
constexpr int64_t kScores = int64_t{1} << 26;

template <class T, class Field>
torch::Tensor per_head(const std::vector<LinearSetting>& settings, Field field,
                       torch::Device device) {
  std::vector<T> values;
  for (const auto& setting : settings) values.push_back(static_cast<T>(field(setting)));
  return torch::tensor(values).view({-1, 1, 1}).to(device);
}

}  // namespace

std::vector<LinearSetting> linear_settings(const LinearOptions& options, int64_t total_batch) {
  std::vector<LinearSetting> settings;
  // Order of the reference's sweep: rate slowest, then decay, then SGD before LARS.
  for (const double rate : options.lr) {
    for (const double decay : options.weight_decay) {
      // Rates are for 256 images.
      const double scaled = rate * static_cast<double>(total_batch) / 256;
      settings.push_back({scaled, decay, false});
      if (options.lars) settings.push_back({scaled, decay, true});
    }
  }
  return settings;
}

double linear_lr_factor(int64_t epoch, int64_t epochs) {
  const double progress = static_cast<double>(epoch) / static_cast<double>(epochs);
  return 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

LinearBest better_of(const LinearBest& best, const LinearHits& hits, int64_t images, int64_t epoch,
                     const std::vector<int64_t>& heads) {
  const auto top1 = hits.top1.to(torch::kCPU);
  const auto top5 = hits.top5.to(torch::kCPU);
  const auto loss = hits.loss.to(torch::kCPU);
  const auto percent = [&](const torch::Tensor& counts, int64_t head) {
    return 100.0 * static_cast<double>(counts[head].item<int64_t>()) / static_cast<double>(images);
  };
  auto found = best;
  for (const int64_t head : heads) {
    if (!std::isfinite(loss[head].item<float>())) continue;
    const double accuracy = percent(top1, head);
    // Of equal accuracy the later head and epoch win, as in the reference.
    if (accuracy >= found.top1) found = {head, epoch, accuracy, percent(top5, head)};
  }
  return found;
}

LinearHeads::LinearHeads(std::vector<LinearSetting> settings, int64_t features, int64_t classes,
                         uint64_t seed, torch::Device device)
    : settings_(std::move(settings)),
      lr_(per_head<float>(
          settings_, [](const auto& s) { return s.lr; }, device)),
      weight_decay_(per_head<float>(
          settings_, [](const auto& s) { return s.weight_decay; }, device)),
      lars_(per_head<int64_t>(
                settings_, [](const auto& s) { return s.lars; }, device)
                .to(torch::kBool)) {
  const auto heads = static_cast<int64_t>(settings_.size());
  // Drawn on the host: the same on every device.
  auto generator = at::detail::createCPUGenerator(seed);
  weight_ = torch::empty({heads, classes, features}).normal_(0, 0.01, generator).to(device);
  bias_ = torch::zeros({heads, classes}, weight_.options());
  weight_momentum_ = torch::zeros_like(weight_);
  bias_momentum_ = torch::zeros_like(bias_);
}

/// [B, F] → [B, H, C]
torch::Tensor LinearHeads::scores(const torch::Tensor& features) const {
  return features.mm(weight_.flatten(0, 1).t())
      .view({features.size(0), weight_.size(0), weight_.size(1)})
      .add_(bias_);
}

torch::Tensor LinearHeads::step(const torch::Tensor& features, const torch::Tensor& labels,
                                double lr_factor) {
  const torch::NoGradGuard no_grad;
  const auto log_p = scores(features).log_softmax(-1);  // [B, H, C]
  const auto own = labels.view({-1, 1, 1}).expand({labels.size(0), log_p.size(1), 1});
  const auto loss = -log_p.gather(2, own).mean(at::IntArrayRef{0, 2});
  auto gradient = log_p.exp();  // of the scores, times B
  gradient.scatter_add_(2, own, torch::full({1, 1, 1}, -1.0, gradient.options()).expand_as(own));
  gradient /= static_cast<double>(labels.size(0));
  // [H·C, B] by [B, F]: every head's gradient in one product.
  const auto by_weight = gradient.flatten(1).t().mm(features).view_as(weight_);
  update_weight(by_weight, lr_factor);
  update_bias(gradient.sum(0), lr_factor);
  return loss;
}

void LinearHeads::update_weight(const torch::Tensor& gradient, double lr_factor) {
  const auto decayed = gradient + weight_decay_ * weight_;
  const auto value_norm = weight_.norm(2, {1, 2}, true);
  const auto gradient_norm = decayed.norm(2, {1, 2}, true);
  // One factor for each head: heads are independent layers.
  const auto trust = torch::where(lars_ & (value_norm > 0) & (gradient_norm > 0),
                                  kLarsTrust * value_norm / gradient_norm, 1.0);
  weight_momentum_.mul_(kMomentum).add_(decayed * trust);
  weight_.sub_(lr_ * lr_factor * weight_momentum_);
}

void LinearHeads::update_bias(const torch::Tensor& gradient, double lr_factor) {
  // LARS has no decay for 1-D tensors.
  const auto decay = weight_decay_.squeeze(2).masked_fill(lars_.squeeze(2), 0);
  bias_momentum_.mul_(kMomentum).add_(gradient + decay * bias_);
  bias_.sub_(lr_.squeeze(2) * lr_factor * bias_momentum_);
}

LinearHits LinearHeads::hits(const torch::Tensor& features, const torch::Tensor& labels) const {
  const torch::NoGradGuard no_grad;
  const auto heads = weight_.size(0);
  const int64_t rows = std::max<int64_t>(kScores / (heads * weight_.size(1)), 1);
  const auto counts = labels.options().dtype(torch::kLong);
  LinearHits hits{torch::zeros({heads}, counts), torch::zeros({heads}, counts),
                  torch::zeros({heads}, weight_.options())};
  for (int64_t start = 0; start < features.size(0); start += rows) {
    const auto score = scores(features.slice(0, start, start + rows));  // [R, H, C]
    const auto label = labels.slice(0, start, start + rows).view({-1, 1, 1});
    const auto own = score.gather(2, label.expand({label.size(0), heads, 1}));
    const auto loss = score.logsumexp(2) - own.squeeze(2);  // [R, H]
    // No score is above NaN: without this a head that diverged would be right everywhere.
    const auto finite = loss.isfinite();
    const auto before = (score > own).sum(2);
    hits.top1 += ((before < 1) & finite).sum(0);
    hits.top5 += ((before < 5) & finite).sum(0);
    hits.loss += loss.sum(0);
  }
  hits.loss /= static_cast<double>(features.size(0));
  return hits;
}

std::map<std::string, torch::Tensor> LinearHeads::state() const {
  return {{"weight", weight_},
          {"bias", bias_},
          {"weight_momentum", weight_momentum_},
          {"bias_momentum", bias_momentum_}};
}

}  // namespace ibot::eval
