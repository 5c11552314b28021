// Keys that belong to the other program.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "ibot-eval/eval_config.h"
#include "ibot/base/error.h"

namespace ibot::apps {

/// Throws ConfigError, naming ibot-eval, where `key` is of a section that it alone reads.
inline void refuse_key_of_evaluation(const std::string& key) {
  const auto names_in = [](auto&& config) {
    std::vector<std::string> names;
    config.sections([&](const std::string& name, auto&) { names.push_back(name); });
    return names;
  };
  const auto holds = [section = key.substr(0, key.find('.'))](const auto& names) {
    return std::find(names.begin(), names.end(), section) != names.end();
  };
  IBOT_CHECK_AS(ConfigError, holds(names_in(config::RunConfig())) || !holds(names_in(EvalConfig())),
                key, ": a key of ibot-eval; ibot-eval --explain ", key);
}

}  // namespace ibot::apps
