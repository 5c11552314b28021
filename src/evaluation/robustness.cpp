#include "ibot/evaluation/robustness.h"

#include <algorithm>
#include <functional>

#include "evaluation/robustness_tests.h"
#include "ibot/base/error.h"
#include "ibot/eval/evaluation_mode.h"

namespace ibot::evaluation {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRobustnessVersion = 1;

/// A test, or several that share their images, and where its data may lie below the root.
struct Known {
  std::vector<std::string> names;
  std::string eval::RobustnessOptions::*folder;
  std::vector<std::string> usual;
  std::function<std::unique_ptr<RobustnessTest>(const RobustnessInputs& inputs,
                                                const std::vector<std::string>& wanted)>
      make;
};

const std::vector<Known>& known_tests() {
  using Options = eval::RobustnessOptions;
  using Names = std::vector<std::string>;
  static const std::vector<std::string> in9{"bg_challenge", "imagenet9/bg_challenge",
                                            "imnet_bg/bg_challenge"};
  static const std::vector<Known> all{
      {{"occlusion", "saliency", "shuffle"},
       &Options::images,
       {"val", "imagenet/val"},
       occlusion_test},
      {{"imagenet9"},
       &Options::imagenet9,
       in9,
       [](const auto& inputs, const Names&) { return imagenet9_test(inputs); }},
      {{"challenge"},
       &Options::imagenet9,
       in9,
       [](const auto& inputs, const Names&) { return challenge_test(inputs); }},
      {{"imagenet_a"},
       &Options::imagenet_a,
       {"imagenet-a", "imnet_a/imagenet-a"},
       [](const auto& inputs, const Names&) { return imagenet_a_test(inputs); }},
      {{"imagenet_c"},
       &Options::imagenet_c,
       {"imagenet-c", "ImageNet-C", "imnet_c"},
       [](const auto& inputs, const Names&) { return imagenet_c_test(inputs); }}};
  return all;
}

void check_names(const std::vector<std::string>& wanted) {
  std::string known;
  std::vector<std::string> names;
  for (const auto& test : known_tests()) {
    for (const auto& name : test.names) {
      names.push_back(name);
      known += (known.empty() ? "" : " | ") + name;
    }
  }
  for (const auto& name : wanted) {
    check_option(std::find(names.begin(), names.end(), name) != names.end(), "robustness.tests",
                 "expected ", known, ", got ", name);
  }
}

/// Empty where there is none.
fs::path folder_of(const Known& test, const eval::RobustnessOptions& options,
                   const fs::path& root) {
  const auto& told = options.*test.folder;
  if (!told.empty()) return root / told;
  for (const auto& usual : test.usual) {
    if (fs::is_directory(root / usual)) return root / usual;
  }
  return {};
}

/// Those of the test's parts that are wanted; all where nothing is said.
std::vector<std::string> wanted_of(const Known& test, const eval::RobustnessOptions& options) {
  if (options.tests.empty()) return test.names;
  std::vector<std::string> wanted;
  for (const auto& name : test.names) {
    const auto& all = options.tests;
    if (std::find(all.begin(), all.end(), name) != all.end()) wanted.push_back(name);
  }
  return wanted;
}

}  // namespace

Robustness::Robustness(const eval::RobustnessOptions& options, ClassifiedSubject subject,
                       const fs::path& root, const ExtractionOptions& how)
    : options_(options),
      subject_(std::make_unique<ClassifiedSubject>(std::move(subject))),
      how_(how) {
  check_names(options_.tests);
  for (const auto& test : known_tests()) {
    auto wanted = wanted_of(test, options_);
    if (wanted.empty()) continue;
    const auto folder = folder_of(test, options_, root);
    // What was asked for must be there; otherwise tests without data are left out, with a note.
    const bool asked = !options_.tests.empty() || !(options_.*test.folder).empty();
    if (!asked && folder.empty()) {
      notes_.push_back(concat(wanted.front(), ": no folder ", test.usual.front(), " in ",
                              root.string(), "; left out"));
      continue;
    }
    IBOT_CHECK_AS(DataError, fs::is_directory(folder), wanted.front(), ": expected a folder ",
                  folder.empty() ? (root / test.usual.front()).string() : folder.string(),
                  ", found none");
    const auto saliency = std::find(wanted.begin(), wanted.end(), "saliency");
    if (saliency != wanted.end() && subject_->saliency.backbone == nullptr) {
      IBOT_CHECK_AS(DataError, options_.tests.empty(),
                    "saliency: expected a ViT, whose class token attends to patches; name one by "
                    "robustness.saliency_weights");
      notes_.push_back(
          "saliency: the network is no ViT; left out without "
          "robustness.saliency_weights");
      wanted.erase(saliency);
    }
    tests_.push_back(test.make({options_, *subject_, how_, folder}, wanted));
    const auto& notes = tests_.back()->notes();
    notes_.insert(notes_.end(), notes.begin(), notes.end());
  }
  IBOT_CHECK_AS(DataError, !tests_.empty(), root.string(),
                ": expected data of a test of robustness: val, bg_challenge, imagenet-a or "
                "imagenet-c; found none");
}

Robustness::~Robustness() = default;

void Robustness::share(const Listener& listener) const {
  std::vector<const ScoredSet*> sets;
  for (const auto& test : tests_) {
    for (const auto& set : test->sets()) sets.push_back(&set);
  }
  const eval::EvaluationMode evaluation_mode(*subject_->network.backbone);
  const auto count = static_cast<int64_t>(sets.size());
  // Every process starts elsewhere; parts that others have finished come from the cache.
  const auto first = how_.rank * count / how_.processes;
  for (int64_t i = 0; i < count; ++i) {
    const auto& set = *sets[static_cast<size_t>((first + i) % count)];
    extract(set.embedder, *set.images, set.name, set.how, subject_->network.device, listener);
  }
}

eval::Report Robustness::run(const Listener& listener) const {
  const eval::EvaluationMode evaluation_mode(*subject_->network.backbone);
  eval::Report report{.task = "robustness", .options = eval::option_values(options_)};
  Identity identity("robustness", kRobustnessVersion);
  identity.add_hash("weights", subject_->network.hash);
  identity.add_hash("classifier",
                    tensors_hash({{"weight", subject_->weight}, {"bias", subject_->bias}}));
  for (const auto& test : tests_) {
    std::vector<eval::FeatureBank> banks;
    for (const auto& set : test->sets()) {
      banks.push_back(extract(set.embedder, *set.images, set.name, set.how,
                              subject_->network.device, listener));
    }
    test->add_to(report, banks);
    for (const auto& set : test->sets()) {
      for (const auto& [item, value] : set.embedder.identity.summary()) {
        if (item == "images") identity.add_hash("images of " + set.name, value);
        if (item == "weights of saliency") identity.add_hash(item, value);
      }
    }
  }
  report.identity = identity.summary();
  return report;
}

}  // namespace ibot::evaluation
