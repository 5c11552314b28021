#include "ibot-data/synth.h"

#include <iostream>
#include <sstream>

#include "common/output_folder.h"
#include "common/run_main.h"
#include "ibot/coco/object_synthesis.h"
#include "ibot/config/yaml.h"
#include "ibot/data/scene_synthesis.h"
#include "ibot/data/synthesis.h"

namespace ibot::apps {
namespace {

constexpr const char* kSection = "synth";

template <class Options>
struct SynthConfig {
  Options synth;

  template <class Visitor>
  void sections(Visitor&& section) {
    section(kSection, synth);
  }
};

template <class Options>
Options read_options(const std::vector<std::string>& settings) {
  std::vector<std::string> overrides;
  for (const auto& setting : settings) overrides.push_back(concat(kSection, '.', setting));
  return config::read_config<SynthConfig<Options>>({}, overrides).synth;
}

template <class Options>
std::string settings_help(const std::string& task) {
  std::ostringstream text;
  text << "Settings of --task " << task << ":\n";
  Options defaults;
  defaults.fields([&](const char* key, const auto& value, const char* meaning, const auto&...) {
    text << "  " << key << '=' << value << "  " << meaning << '\n';
  });
  return text.str();
}

std::string classified(const std::vector<std::string>& settings, const std::string& folder) {
  const auto options = read_options<data::SynthesisOptions>(settings);
  data::write_synthetic(options, folder);
  return concat(options.classes, " classes, ", options.classes * options.train_per_class,
                " images in train, ", options.classes * options.val_per_class, " in val, ",
                options.size, " px");
}

std::string segmented(const std::vector<std::string>& settings, const std::string& folder) {
  const auto options = read_options<data::SceneSynthesisOptions>(settings);
  data::write_scenes(options, folder);
  return concat(options.classes, " classes, ", options.train,
                " images with label maps in training, ", options.val, " in validation, ",
                options.size, " px");
}

std::string detected(const std::vector<std::string>& settings, const std::string& folder) {
  const auto options = read_options<coco::ObjectSynthesisOptions>(settings);
  coco::write_objects(options, folder);
  return concat(options.classes, " classes, ", options.train,
                " images with annotated objects in train2017, ", options.val, " in val2017, ",
                options.size, " px");
}

}  // namespace

void add_synth_arguments(CLI::App& command, SynthArguments& arguments) {
  command.add_option("OUT", arguments.folder, "New folder; receives the images of both splits")
      ->required();
  command.add_option("SETTINGS", arguments.settings, "key=value, see below");
  command
      .add_option(
          "--task", arguments.task,
          "what the images are labeled for: classify (default), a class each, in train/ and "
          "val/; segment, a class for every pixel, in the layout of ADE20K; detect, boxes and "
          "masks of objects, in that of COCO")
      ->check(CLI::IsMember({"classify", "segment", "detect"}))
      ->option_text("classify|segment|detect");
  command.footer(settings_help<data::SynthesisOptions>("classify") +
                 settings_help<data::SceneSynthesisOptions>("segment") +
                 settings_help<coco::ObjectSynthesisOptions>("detect"));
}

int make_set(const SynthArguments& arguments) {
  check_folder(arguments.folder);
  try {
    auto* const draw = arguments.task == "segment"  ? segmented
                       : arguments.task == "detect" ? detected
                                                    : classified;
    const auto drawn = draw(arguments.settings, arguments.folder);
    std::cout << arguments.folder << ": " << drawn << "\n";
  } catch (const DataError& error) {
    throw RequestError(error.what());
  }
  return kDone;
}

}  // namespace ibot::apps
