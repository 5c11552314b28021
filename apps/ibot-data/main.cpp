// ibot-data: inspects image sets, shows their crops, packs them into shards, generates a synthetic
// one.
#include <CLI/App.hpp>

#include "common/run_main.h"
#include "ibot-data/look.h"
#include "ibot-data/pack.h"
#include "ibot-data/show.h"
#include "ibot-data/synth.h"

int main(int argc, char** argv) {
  CLI::App app("Inspects image sets, packs them into tar shards, generates a small synthetic one.",
               "ibot-data");
  app.require_subcommand(1);
  ibot::apps::LookArguments arguments;

  auto* info = app.add_subcommand("info", "Counts images, classes, formats and sizes");
  ibot::apps::add_look_arguments(*info, arguments);
  auto* verify = app.add_subcommand(
      "verify", "Decodes every image; exits with 1 if one is damaged, not for warnings");
  ibot::apps::add_look_arguments(*verify, arguments);
  ibot::apps::ShowArguments show_arguments;
  auto* show = app.add_subcommand("show", "Draws crops and masks as a run would begin with them");
  ibot::apps::add_show_arguments(*show, show_arguments);
  ibot::apps::PackArguments pack_arguments;
  auto* pack = app.add_subcommand("pack", "Writes an image folder as tar shards for WebDataset");
  ibot::apps::add_pack_arguments(*pack, pack_arguments);
  ibot::apps::SynthArguments synth_arguments;
  auto* synth =
      app.add_subcommand("synth", "Generates a labeled image set, the same on every call");
  ibot::apps::add_synth_arguments(*synth, synth_arguments);

  return ibot::apps::run_main(app, argc, argv, [&] {
    if (show->parsed()) return ibot::apps::show_crops(show_arguments);
    if (pack->parsed()) return ibot::apps::pack_images(pack_arguments);
    if (synth->parsed()) return ibot::apps::make_set(synth_arguments);
    return info->parsed() ? ibot::apps::show_info(arguments) : ibot::apps::show_damage(arguments);
  });
}
