#include "ibot-data/pack.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "common/data_notes.h"
#include "common/logging.h"
#include "common/output_folder.h"
#include "common/progress.h"
#include "common/run_main.h"
#include "ibot/loading/pack.h"

namespace ibot::apps {

void add_pack_arguments(CLI::App& command, PackArguments& arguments) {
  command.add_option("SRC", arguments.source, "Image folder: one subfolder per class, or none")
      ->required();
  command
      .add_option(
          "OUT", arguments.out,
          "New folder, or one where packing was interrupted; receives shard-000000.tar, ... "
          "and their index")
      ->required();
  command.add_option("--shard-size", arguments.shard_bytes, "Largest shard: 1G, 256M, bytes")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
  command.add_option("--seed", arguments.seed,
                     "Random seed of the order, in which images are shuffled once");
  command.add_option("--workers", arguments.workers, "Threads that read images")
      ->check(CLI::Range(1, 4096));
}

int pack_images(const PackArguments& arguments) {
  const auto source = open_input([&] { return data::ImageFolder(arguments.source); });
  log_notes(arguments.source, source);
  check_folder(arguments.out);
  Progress progress({.label = "pack", .unit = "images", .total = source.size(), .item = "images"});
  const auto summary = data::pack(source, arguments.out,
                                  {.shard_bytes = static_cast<int64_t>(arguments.shard_bytes),
                                   .seed = arguments.seed,
                                   .workers = arguments.workers,
                                   .progress = [&](int64_t images) { progress.update(images); }});
  progress.finish();
  if (summary.resumed_images > 0) {
    log_info(concat(summary.resumed_images, " images were packed already"));
  }
  std::cout << arguments.out << ": " << summary.images << " images in " << summary.shards
            << " shards, " << summary.bytes << " bytes\n";
  return kDone;
}

}  // namespace ibot::apps
