#include "ibot/models/weights.h"

#include <algorithm>
#include <set>

#include "ibot/base/error.h"
#include "ibot/models/network.h"
#include "ibot/models/resize_weights.h"
#include "models/architecture_parts.h"

namespace ibot::models {
namespace {

constexpr std::string_view kBackbone = "backbone.";
constexpr const char* kMaskTokenName = "backbone.masked_embed";

/// Refuses backbone layers in the file that the module lacks: the file holds another architecture.
void check_unused(const Weights& weights, const std::string& name) {
  const auto& all = architectures();
  const bool structural =
      name.starts_with(kBackbone) && std::any_of(all.begin(), all.end(), [&](const auto& one) {
        return starts_with_any(std::string_view(name).substr(kBackbone.size()), one.structure);
      });
  IBOT_CHECK_AS(CheckpointError, !structural, weights.source, ": ", name,
                ": expected a tensor of this backbone; the file holds another architecture");
}

/// A hint on a tensor that does not fit.
std::string shape_hint(const std::string& name, const torch::Tensor& stored) {
  const auto* parameter = own_parameter(name);
  if (parameter != nullptr && parameter->problem != nullptr) {
    const auto problem = parameter->problem(stored);
    return problem.empty() ? "" : "; " + problem;
  }
  if (!name.starts_with("head.")) return {};
  return "; set head.* to the file's values, which ibot-model info prints, or take its backbone "
         "alone: ibot-model convert FILE BACKBONE.pth";
}

torch::Tensor fitted(const Weights& weights, const std::string& name, const torch::Tensor& stored,
                     at::IntArrayRef wanted) {
  if (stored.sizes() == wanted) return stored;
  const auto resized = resize_weight(name, stored, wanted);
  IBOT_CHECK_AS(CheckpointError, resized.defined(), weights.source, ": ", name, ": expected shape ",
                wanted, ", got ", stored.sizes(), shape_hint(name, stored));
  return resized;
}

/// Mask tokens of other methods belong to another decoder or layout: ours then keeps its value.
bool is_foreign_mask(const std::string& name, const torch::Tensor& stored, at::IntArrayRef wanted) {
  return name == kMaskTokenName && stored.sizes() != wanted;
}

std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kShown = 4;
  std::string text;
  for (size_t i = 0; i < names.size() && i < kShown; ++i) text += (i > 0 ? ", " : "") + names[i];
  if (names.size() > kShown) text += concat(" and ", names.size() - kShown, " more");
  return text;
}

}  // namespace

bool is_derived(std::string_view name) {
  const auto& all = architectures();
  return std::any_of(all.begin(), all.end(), [&](const auto& one) {
    return std::any_of(one.derived.begin(), one.derived.end(),
                       [&](const auto& ending) { return name.ends_with(ending); });
  });
}

LoadReport load_weights_(torch::nn::Module& module, const Weights& weights,
                         const std::string& prefix) {
  const torch::NoGradGuard no_grad;
  LoadReport report;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> copies;
  std::set<const void*> used;
  std::set<std::string> own;
  for (const auto& [short_name, tensor] : named_state(module)) {
    const auto name = prefix + short_name;
    if (is_derived(name)) continue;
    own.insert(name);
    const auto stored = weights.tensors.find(name);
    if (stored != weights.tensors.end() && is_foreign_mask(name, stored->second, tensor.sizes())) {
      report.missing.push_back(name);
      report.unused.push_back(concat(name, " of shape ", stored->second.sizes()));
      continue;
    }
    if (stored == weights.tensors.end()) {
      // A head may keep its initial values, a backbone may not: an evaluation of it would mean
      // nothing.
      IBOT_CHECK_AS(CheckpointError, !name.starts_with(kBackbone) || name == kMaskTokenName,
                    weights.source, ": expected tensor ", name, ", found none");
      report.missing.push_back(name);
      continue;
    }
    const auto value = fitted(weights, name, stored->second, tensor.sizes());
    if (!value.is_same(stored->second)) report.resized.push_back(name);
    report.loaded.push_back(name);
    // Identified by address: a layer may be stored under two names.
    used.insert(stored->second.const_data_ptr());
    copies.emplace_back(tensor, value);
  }
  for (const auto& [name, tensor] : weights.tensors) {
    // A layer that the file stores under two names counts as used under both.
    if (name.rfind(prefix, 0) != 0 || own.count(name) > 0 || is_derived(name) ||
        used.count(tensor.const_data_ptr()) > 0)
      continue;
    check_unused(weights, name);
    report.unused.push_back(name);
  }
  report.unused.insert(report.unused.end(), weights.others.begin(), weights.others.end());
  IBOT_CHECK_AS(CheckpointError, !copies.empty(), weights.source,
                ": expected tensors of this network, found none of their names");
  // Only after all checks: a refusal must not leave the module half loaded.
  for (auto& [to, from] : copies) to.copy_(from);
  return report;
}

std::string summary(const LoadReport& report) {
  std::string text = concat(report.loaded.size(), " tensors loaded");
  if (!report.resized.empty()) {
    text += concat(", ", report.resized.size(), " of them resized (", listed(report.resized), ")");
  }
  if (!report.missing.empty()) text += "; missing: " + listed(report.missing);
  if (!report.unused.empty()) text += "; unused: " + listed(report.unused);
  return text;
}

}  // namespace ibot::models
