#include "ibot-data/synth.h"

#include <iostream>
#include <sstream>

#include "common/output_folder.h"
#include "common/run_main.h"
#include "ibot/config/yaml.h"
#include "ibot/data/synthesis.h"

namespace ibot::apps {
namespace {

constexpr const char* kSection = "synth";

struct SynthConfig {
  data::SynthesisOptions synth;

  template <class Visitor>
  void sections(Visitor&& section) {
    section(kSection, synth);
  }
};

data::SynthesisOptions read_options(const std::vector<std::string>& settings) {
  std::vector<std::string> overrides;
  for (const auto& setting : settings) overrides.push_back(concat(kSection, '.', setting));
  return config::read_config<SynthConfig>({}, overrides).synth;
}

std::string settings_help() {
  std::ostringstream text;
  text << "Settings:\n";
  data::SynthesisOptions defaults;
  defaults.fields([&](const char* key, const auto& value, const char* meaning, const auto&...) {
    text << "  " << key << '=' << value << "  " << meaning << '\n';
  });
  return text.str();
}

}  // namespace

void add_synth_arguments(CLI::App& command, SynthArguments& arguments) {
  command.add_option("OUT", arguments.folder, "New folder; receives train/ and val/")->required();
  command.add_option("SETTINGS", arguments.settings, "key=value, see below");
  command.footer(settings_help());
}

int make_set(const SynthArguments& arguments) {
  const auto options = read_options(arguments.settings);
  check_folder(arguments.folder);
  try {
    data::write_synthetic(options, arguments.folder);
  } catch (const DataError& error) {
    throw RequestError(error.what());
  }
  std::cout << arguments.folder << ": " << options.classes << " classes, "
            << options.classes * options.train_per_class << " images in train, "
            << options.classes * options.val_per_class << " in val, " << options.size << " px\n";
  return kDone;
}

}  // namespace ibot::apps
