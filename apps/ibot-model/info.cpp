#include <torch/types.h>

#include <cmath>
#include <cstdio>
#include <set>

#include "common/run_main.h"
#include "ibot-model/commands.h"
#include "ibot-model/model_file.h"
#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"
#include "ibot/models/architecture.h"

namespace ibot::apps {
namespace {

void print_row(const char* label, const std::string& text) {
  std::printf("%-13s %s\n", label, text.c_str());
}

/// Summary of the backbone or head of one network.
struct PartSummary {
  int64_t tensors = 0;
  int64_t parameters = 0;
  double norm = 0.0;
  std::string hash;
};

/// A tensor stored under two names counts once, under the first. The hash covers names, dtypes,
/// shapes and bytes in the order of names: it is the same in every format.
PartSummary summarize(const models::Weights& weights, const std::string& prefix) {
  PartSummary summary;
  Hash hash;
  std::set<const void*> seen;
  double squares = 0.0;
  for (const auto& [name, tensor] : weights.tensors) {
    if (name.rfind(prefix, 0) != 0 || models::is_derived(name)) continue;
    if (tensor.numel() > 0 && !seen.insert(tensor.const_data_ptr()).second) continue;
    ++summary.tensors;
    summary.parameters += tensor.numel();
    const auto values = tensor.contiguous();
    if (tensor.is_floating_point()) {
      const auto norm = values.to(torch::kDouble).norm().item<double>();
      squares += norm * norm;
    }
    hash.add(concat(name, ' ', tensor.scalar_type(), ' ', tensor.sizes(), '\n'));
    hash.add(values.const_data_ptr(), values.nbytes());
  }
  summary.norm = std::sqrt(squares);
  summary.hash = hash.hex();
  return summary;
}

void print_networks(const ModelFile& file) {
  if (file.networks.empty()) return;
  std::printf("%-20s %8s %12s %12s  %s\n", "network", "tensors", "parameters", "norm", "xxh3");
  for (const auto& weights : file.networks) {
    for (const char* part : {"backbone", "head"}) {
      const auto summary = summarize(weights, std::string(part) + ".");
      if (summary.tensors == 0) continue;
      const auto name = (weights.key.empty() ? "" : weights.key + ".") + part;
      std::printf("%-20s %8lld %12lld %12.6g  %s\n", name.c_str(),
                  static_cast<long long>(summary.tensors),
                  static_cast<long long>(summary.parameters), summary.norm, summary.hash.c_str());
    }
  }
}

/// Accuracies are those stated in the file.
void print_classifiers(const models::LinearClassifiers& linear) {
  print_row("classifiers", concat(linear.weight.size(0), " of ", linear.weight.size(1),
                                  " classes, features of width ", linear.weight.size(2)));
  if (linear.best >= 0) print_row("best", concat("classifier ", linear.best));
  if (linear.best_top1) print_row("best top-1", concat(*linear.best_top1));
}

std::string architecture(const ModelFile& file) {
  const auto& weights = file.networks.front();
  if (weights.tensors.lower_bound("backbone.") == weights.tensors.lower_bound("backbone/")) {
    return "no backbone";
  }
  try {
    const auto options = config_of(file).backbone;
    return concat(options.arch, ": ", models::architecture_of(options.arch).described(options),
                  ", patch ", options.patch_size, ", image ", options.image_size);
  } catch (const Error& error) {
    // The number of heads is unknown; everything else can still be printed.
    return concat("unknown: ", error.what());
  }
}

std::string position(const ModelFile& file) {
  if (!file.classifiers.empty()) {
    const auto epoch = file.classifiers.front().epoch;
    return epoch ? concat("epoch ", *epoch) : "";
  }
  if (file.checkpoint) {
    const auto& run = file.checkpoint->run;
    if (run.steps_per_epoch == 0) return concat("epoch ", run.epochs);
    return concat("step ", run.step, ", ", run.steps_per_epoch, " per epoch");
  }
  const auto* epoch = file.root.dict() != nullptr ? file.root.dict()->find("epoch") : nullptr;
  if (epoch == nullptr || !epoch->integer()) return {};
  return concat("epoch ", *epoch->integer());
}

/// Options stated in the file that differ from the defaults.
void print_options(const ModelFile& file) {
  const auto& weights = file.networks.front();
  if (!weights.config.empty()) {
    const auto defaults = config::flat_values(config::RunConfig{});
    for (const auto& [key, value] : config::flat_values(config_of(file))) {
      if (value != defaults.at(key))
        std::printf("option        %s=%s\n", key.c_str(), value.c_str());
    }
  }
  for (const auto& [name, value] : weights.arguments) {
    std::printf("argument      %s=%s\n", name.c_str(), value.c_str());
  }
}

}  // namespace

int show_info(const std::string& path, const std::string& key) {
  const auto file = read_model_file(path, key);
  Hash hash;
  const io::MappedFile bytes(path);
  hash.add(bytes.bytes());
  print_row("file", path);
  print_row("format", file.format + ", " + file.content);
  print_row("bytes", std::to_string(bytes.bytes().size()));
  print_row("xxh3", hash.hex());
  if (!file.networks.empty()) print_row("architecture", architecture(file));
  for (const auto& linear : file.classifiers) print_classifiers(linear);
  if (const auto run = position(file); !run.empty()) print_row("run", run);
  print_networks(file);
  if (!file.networks.empty()) print_options(file);
  return kDone;
}

}  // namespace ibot::apps
