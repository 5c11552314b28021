#include "ibot-data/show.h"

#include <algorithm>
#include <iostream>

#include "common/arguments.h"
#include "common/data_notes.h"
#include "common/loader_of_config.h"
#include "common/logging.h"
#include "common/output_folder.h"
#include "common/picture_files.h"
#include "common/run_main.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"
#include "ibot/loading/open_dataset.h"
#include "ibot/report/sheets.h"

namespace ibot::apps {

void add_show_arguments(CLI::App& command, ShowArguments& arguments) {
  command
      .add_option("DIR", arguments.folder,
                  "Image folder (one subfolder per class, or none), or folder or pattern of tar "
                  "shards")
      ->required();
  command
      .add_option("CONFIG", arguments.words,
                  "As for ibot-train: a YAML file (default: built-in values), then overrides")
      ->option_text("section.key=value ...");
  command.add_option("--images", arguments.images, "Rows of the sheet")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_option("--output", arguments.output, "The sheet, a PNG")->capture_default_str();
}

int show_crops(const ShowArguments& arguments) {
  const auto chosen = split_config_arguments(arguments.words);
  auto config = config::read_config<config::RunConfig>(chosen.file.value_or(""), chosen.overrides);
  config.data.path = arguments.folder;
  const std::filesystem::path output = arguments.output;
  IBOT_CHECK_AS(RequestError, output.extension() == ".png",
                "--output: expected a name in .png, got ", arguments.output);
  if (output.has_parent_path()) prepare_folder(output.parent_path());
  check_file(output);
  const auto images =
      open_input([&] { return data::open_images(arguments.folder, data::Labels::kIgnored); });
  log_notes(arguments.folder, *images);
  config.train.batch_size = std::min(arguments.images, images->size());
  data::MultiCropLoader loader(*images, loader_options(config));
  const auto batch = loader.next();
  for (const auto& bad : loader.take_bad_samples()) {
    log_warning(concat("unreadable image replaced: ", bad.path, ": ", bad.reason));
  }
  io::write_file(arguments.output, png_of(report::crop_sheet(batch.value())));
  std::cout << arguments.output << ": " << config.train.batch_size << " images, "
            << config.augment.global_crops << " global and " << config.augment.local_crops
            << " local crops each\n";
  return kDone;
}

}  // namespace ibot::apps
