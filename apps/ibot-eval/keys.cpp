#include "ibot-eval/keys.h"

#include <algorithm>

#include "ibot-eval/eval_config.h"
#include "ibot/config/key_table.h"
#include "ibot/config/yaml.h"

namespace ibot::apps {
namespace {

/// Sections ("eval.") and keys that a task reads besides the section of its own name.
std::vector<std::string> read_by(const std::string& task) {
  std::vector<std::string> wanted{task + ".", "data.", "augment.mean", "augment.std", "backbone."};
  const auto add = [&](std::vector<std::string> more) {
    wanted.insert(wanted.end(), more.begin(), more.end());
  };
  const bool dense = task == "segment" || task == "detect";
  const bool tuned = task == "finetune" || task == "semi" || task == "transfer";
  if (!dense) add({"eval.", "dataset."});
  if (!dense && !tuned) add({"features."});
  if (tuned) add({"transform.", "mixing.", "head."});
  if (task == "cluster" || task == "patterns") add({"head."});
  if (task == "parts") add({"linear."});
  return wanted;
}

constexpr const char* kTitle =
    "# Keys\n\nEvery key of `ibot-train` and `ibot-eval`, as `section.key=value` on the command "
    "line or nested in a YAML file, with its\ndefault. `--explain KEY` prints one of them. The "
    "sections from `features` on are read by `ibot-eval` alone;\n`ibot-eval --print-config TASK` "
    "lists those of a task. This page is what `ibot-eval --print-config --markdown` prints.\n";

}  // namespace

std::string told_of_keys(const KeyRequest& request) {
  auto config = config::read_config<EvalConfig>(request.config, request.overrides);
  if (!request.explain.empty()) return config::explain(config, request.explain);
  auto sections = config::sections_of(config);
  if (!request.task.empty()) sections = config::selected(sections, read_by(request.task));
  if (request.markdown) return kTitle + config::key_tables(sections);
  return config::write_sections(sections, config::Comments::kText);
}

}  // namespace ibot::apps
