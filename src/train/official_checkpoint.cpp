#include "ibot/train/official_checkpoint.h"

#include <array>
#include <optional>

#include "ibot/base/error.h"
#include "ibot/models/weights.h"

namespace ibot::train {
namespace {

using optim::OptimizerKind;

bool is_sgd(OptimizerKind kind) {
  return kind == OptimizerKind::kSgd || kind == OptimizerKind::kNesterov;
}

/// Optimizer tensors: prefixes in our state and names in the file's entries.
std::vector<std::pair<std::string, std::string>> moments_of(OptimizerKind kind) {
  if (is_sgd(kind)) return {{"momentum.", "momentum_buffer"}};
  if (kind == OptimizerKind::kLars) return {{"momentum.", "mu"}};
  return {{"exp_avg.", "exp_avg"}, {"exp_avg_sq.", "exp_avg_sq"}};
}

/// Parameter names in the order of the file's numbers; the first `decaying` have weight decay.
struct Numbering {
  std::vector<std::string> names;
  size_t decaying = 0;
};

Numbering numbering_of(const TrainStep& step) {
  Numbering numbering;
  for (const bool decays : {true, false}) {
    for (const auto& parameter : step.optimizer().parameters()) {
      if (parameter.decays == decays) numbering.names.push_back(parameter.name);
    }
    if (decays) numbering.decaying = numbering.names.size();
  }
  return numbering;
}

/// Further names of a layer in the reference: shared prototypes, and the one norm that is reused
/// after every hidden layer.
std::vector<std::pair<std::string, std::string>> aliases(const models::HeadOptions& head,
                                                         bool shared) {
  std::vector<std::pair<std::string, std::string>> result;
  const bool normed = head.norm != models::HeadNorm::kNone;
  for (int64_t i = 1; normed && i + 1 < head.layers; ++i) {
    // Linear, norm and activation take three indices per layer.
    result.emplace_back(concat("head.mlp.", 3 * i + 1, "."), "head.mlp.1.");
  }
  if (!shared) return result;
  if (head.bottleneck_dim > 0) {
    result.emplace_back("head.last_layer2.", "head.last_layer.");
  } else if (head.layers == 1) {
    result.emplace_back("head.mlp2.", "head.mlp.");
  } else {
    result.emplace_back("head.mlp2.",
                        concat("head.mlp.", (head.layers - 1) * (normed ? 3 : 2), "."));
  }
  return result;
}

class OfficialReader {
 public:
  OfficialReader(const io::Value& root, const std::string& source, const TrainStep& step)
      : root_(root), source_(source), step_(step) {}

  Checkpoint read() {
    check(is_official_checkpoint(root_), "expected student, teacher and optimizer");
    read_network("student");
    read_network("teacher");
    for (const char* center : {"center", "center2"}) {
      result_.tensors[std::string("loss.") + center] =
          tensor(entry(dict(*root_.dict(), "ibot_loss"), center), center);
    }
    read_optimizer();
    read_scaler();
    read_run();
    check_state();
    return std::move(result_);
  }

 private:
  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    if (!ok) throw CheckpointError(concat(source_, ": ", parts...));
  }

  const io::Value& entry(const io::Dict& from, const std::string& key) const {
    const auto* found = from.find(key);
    check(found != nullptr, "expected ", key, ", found none");
    return *found;
  }

  const io::Dict& dict(const io::Dict& from, const std::string& key) const {
    const auto& value = entry(from, key);
    check(value.dict() != nullptr, key, ": expected a dict");
    return *value.dict();
  }

  const torch::Tensor& tensor(const io::Value& value, const std::string& name) const {
    check(value.tensor() != nullptr, name, ": expected a tensor");
    return *value.tensor();
  }

  void read_network(const std::string& key) {
    const auto own = step_.state();
    for (const auto& [name, value] : models::weights_of(root_, source_, key).tensors) {
      // The file's further names for shared layers are dropped; check_state() reports missing
      // names.
      if (own.count(key + "." + name) > 0) result_.tensors[key + "." + name] = value;
    }
  }

  void read_optimizer() {
    const auto& optimizer = dict(*root_.dict(), "optimizer");
    const auto numbering = numbering_of(step_);
    check_groups(optimizer, numbering);
    // Parameters without an entry, such as frozen prototypes, have zero moments.
    for (const auto& [name, value] : step_.optimizer().state()) {
      result_.tensors["optim." + name] = torch::zeros_like(value, torch::kCPU);
    }
    for (const auto& [number, value] : dict(optimizer, "state").items) {
      check(number.integer() && *number.integer() >= 0 &&
                *number.integer() < static_cast<int64_t>(numbering.names.size()) &&
                value.dict() != nullptr,
            "optimizer.state: expected numbers of ", numbering.names.size(), " parameters");
      read_moments(numbering.names[static_cast<size_t>(*number.integer())], *value.dict());
    }
  }

  void check_groups(const io::Dict& optimizer, const Numbering& numbering) const {
    const auto* groups = entry(optimizer, "param_groups").list();
    check(groups != nullptr && groups->items.size() == 2, "optimizer: expected two groups");
    const std::array<size_t, 2> expected{numbering.decaying,
                                         numbering.names.size() - numbering.decaying};
    for (size_t i = 0; i < 2; ++i) {
      const auto* group = groups->items[i].dict();
      const auto* numbers = group == nullptr ? nullptr : entry(*group, "params").list();
      check(numbers != nullptr && numbers->items.size() == expected[i], "optimizer: group ", i,
            ": expected ", expected[i], " parameters, got ",
            numbers == nullptr ? 0 : numbers->items.size(), "; the networks differ");
    }
  }

  void read_moments(const std::string& name, const io::Dict& moments) {
    for (const auto& [beginning, key] : moments_of(step_.options().optim.optimizer)) {
      result_.tensors["optim." + beginning + name] = tensor(entry(moments, key), name + ": " + key);
    }
    // SGD's entries have no step count.
    const auto* count = moments.find("step");
    if (count == nullptr) return;
    const double steps = count->tensor() != nullptr && count->tensor()->numel() == 1
                             ? count->tensor()->item<double>()
                             : count->number().value_or(-1.0);
    // A tensor in newer versions of PyTorch, a number in older ones.
    check(steps >= 0 && steps < 1e9, "optimizer: ", name, ": expected a count of steps");
    result_.tensors["optim.step." + name].fill_(steps);
  }

  void read_scaler() {
    const auto* scaler = root_.dict()->find("fp16_scaler");
    if (scaler == nullptr || scaler->dict() == nullptr) return;
    const auto scale = entry(*scaler->dict(), "scale").number();
    const auto good_steps = entry(*scaler->dict(), "_growth_tracker").integer();
    check(scale && good_steps && *good_steps >= 0 && *good_steps < (1 << 30),
          "fp16_scaler: expected numbers");
    result_.tensors["scaler.scale"] = torch::tensor(*scale, torch::kFloat);
    result_.tensors["scaler.good_steps"] = torch::tensor(*good_steps, torch::kInt);
  }

  void read_run() {
    const auto* own = root_.dict()->find("ibot");
    // Written by us: position and configuration are exact. Otherwise only the epoch is known.
    if (own != nullptr && own->dict() != nullptr) {
      const auto* run = entry(*own->dict(), "run").text();
      const auto* config = entry(*own->dict(), "config").text();
      check(run != nullptr && config != nullptr, "ibot: expected text");
      result_.run = RunState::from_json(*run);
      result_.config = *config;
      for (const auto& [name, value] : dict(*own->dict(), "tensors").items) {
        check(name.text() != nullptr, "ibot.tensors: expected names");
        result_.tensors[*name.text()] = tensor(value, *name.text());
      }
      return;
    }
    const auto epoch = entry(*root_.dict(), "epoch").integer();
    check(epoch && *epoch >= 0 && *epoch < (1 << 30), "epoch: expected a count");
    // The optimizer's step counts do not give the step: they exclude steps that overflowed.
    result_.run.epochs = *epoch;
  }

  void check_state() const {
    for (const auto& [name, value] : step_.state()) {
      const auto found = result_.tensors.find(name);
      check(found != result_.tensors.end(), "expected ", name, ", found none");
      check(found->second.sizes() == value.sizes(), name, ": expected shape ", value.sizes(),
            ", got ", found->second.sizes());
    }
  }

  const io::Value& root_;
  const std::string& source_;
  const TrainStep& step_;
  Checkpoint result_;
};

class OfficialWriter {
 public:
  OfficialWriter(const Checkpoint& checkpoint, const TrainStep& step)
      : tensors_(checkpoint.tensors), rest_(checkpoint.tensors), step_(step) {}

  /// `beginning`: "module." if the reference wraps the network in DistributedDataParallel.
  io::Dict network(const std::string& key, const models::Network& network, bool shared,
                   const std::string& beginning) {
    io::Dict result{{}, "collections.OrderedDict"};
    // A state_dict lists a shared layer under each of its names, with the same storage.
    const auto doubled = aliases(step_.options().head, shared);
    for (const auto& [name, value] : models::named_state(network)) {
      const auto tensor = take(key + "." + name);
      result.items.emplace_back(beginning + name, tensor);
      for (const auto& [alias, own] : doubled) {
        if (name.rfind(own, 0) != 0) continue;
        result.items.emplace_back(beginning + alias + name.substr(own.size()), tensor);
      }
    }
    return result;
  }

  io::Dict optimizer(const optim::StepValues& values) {
    const auto numbering = numbering_of(step_);
    io::Dict state;
    std::array<io::List, 2> numbers;
    for (size_t i = 0; i < numbering.names.size(); ++i) {
      numbers[i < numbering.decaying ? 0 : 1].items.emplace_back(static_cast<int64_t>(i));
      auto entry = moments(numbering.names[i]);
      if (!entry.items.empty()) state.items.emplace_back(static_cast<int64_t>(i), std::move(entry));
    }
    io::List groups;
    for (size_t i = 0; i < 2; ++i) {
      auto group = group_options(values.lr, i == 0 ? values.weight_decay : 0.0);
      group.items.emplace_back("params", numbers[i]);
      groups.items.emplace_back(std::move(group));
    }
    return {{{"state", state}, {"param_groups", groups}}, ""};
  }

  io::Dict loss() {
    return {{{"center", take("loss.center")}, {"center2", take("loss.center2")}},
            "collections.OrderedDict"};
  }

  /// None in full precision.
  std::optional<io::Dict> scaler() {
    if (tensors_.count("scaler.scale") == 0) return std::nullopt;
    return io::Dict{{{"scale", take("scaler.scale").item<double>()},
                     {"growth_factor", 2.0},
                     {"backoff_factor", 0.5},
                     {"growth_interval", int64_t{2000}},
                     {"_growth_tracker", take("scaler.good_steps").item<int64_t>()}},
                    ""};
  }

  /// The tensors without a place in the official layout.
  io::Dict rest() const {
    io::Dict rest;
    for (const auto& [name, tensor] : rest_) rest.items.emplace_back(name, tensor);
    return rest;
  }

 private:
  torch::Tensor take(const std::string& name) {
    const auto found = tensors_.find(name);
    IBOT_CHECK_AS(CheckpointError, found != tensors_.end(), "checkpoint: missing ", name);
    rest_.erase(name);
    return found->second;
  }

  /// Empty for a parameter that has never been updated.
  io::Dict moments(const std::string& name) {
    const auto steps = take("optim.step." + name);
    io::Dict entry;
    for (const auto& [beginning, key] : moments_of(step_.options().optim.optimizer)) {
      entry.items.emplace_back(key, take("optim." + beginning + name));
    }
    // torch.optim creates an entry at a parameter's first update.
    if (steps.item<double>() == 0) return {};
    entry.items.insert(entry.items.begin(), {"step", steps});
    return entry;
  }

  // The entries of the reference's optimizers; those that are no options of ours are its constants.
  io::Dict group_options(double lr, double weight_decay) const {
    io::Dict group{{{"lr", lr}, {"weight_decay", weight_decay}}, ""};
    const auto add = [&](const char* key, io::Value value) {
      group.items.emplace_back(key, value);
    };
    const auto& optim = step_.options().optim;
    const auto kind = optim.optimizer;
    if (kind == OptimizerKind::kAdamW || kind == OptimizerKind::kAdam) {
      add("betas", io::List{{optim.betas[0], optim.betas[1]}, true});
      add("eps", optim.eps);
      add("amsgrad", false);
    } else {
      add("momentum", 0.9);
      if (is_sgd(kind)) {
        add("dampening", int64_t{0});
        add("nesterov", kind == OptimizerKind::kNesterov);
      } else {
        add("eta", 0.001);
        add("weight_decay_filter", {});
        add("lars_adaptation_filter", {});
      }
    }
    return group;
  }

  const std::map<std::string, torch::Tensor>& tensors_;
  std::map<std::string, torch::Tensor> rest_;
  const TrainStep& step_;
};

}  // namespace

bool is_official_checkpoint(const io::Value& root) {
  if (root.dict() == nullptr) return false;
  for (const char* key : {"student", "teacher", "optimizer"}) {
    const auto* part = root.dict()->find(key);
    if (part == nullptr || part->dict() == nullptr) return false;
  }
  return true;
}

Checkpoint from_official(const io::Value& root, const std::string& source, const TrainStep& step) {
  return OfficialReader(root, source, step).read();
}

io::Value to_official(const Checkpoint& checkpoint, const TrainStep& step,
                      const optim::StepValues& values, const io::Dict& arguments) {
  OfficialWriter writer(checkpoint, step);
  const auto& head = step.options().head;
  const auto& networks = step.networks();
  // The reference wraps the teacher too if its head has batch norm.
  const bool wrapped = networks.teacher().head->mixes_tokens();
  io::Dict root;
  const auto add = [&](const char* key, io::Value value) { root.items.emplace_back(key, value); };
  add("student", writer.network("student", networks.student(), head.shared, "module."));
  add("teacher",
      writer.network("teacher", networks.teacher(), head.shared_teacher, wrapped ? "module." : ""));
  add("optimizer", writer.optimizer(values));
  const auto& run = checkpoint.run;
  add("epoch", run.steps_per_epoch > 0 ? run.step / run.steps_per_epoch : run.epochs);
  add("args", arguments);
  add("ibot_loss", writer.loss());
  if (const auto scaler = writer.scaler()) add("fp16_scaler", *scaler);
  add("ibot",
      io::Dict{{{"config", checkpoint.config}, {"run", run.to_json()}, {"tensors", writer.rest()}},
               ""});
  return root;
}

}  // namespace ibot::train
