// ibot-data: looks through image folders.
#include <CLI/App.hpp>

#include "common/run_main.h"
#include "ibot-data/look.h"

int main(int argc, char** argv) {
  CLI::App app("Looks through image folders.", "ibot-data");
  app.require_subcommand(1);
  ibot::apps::LookArguments arguments;

  auto* info = app.add_subcommand("info", "Counts images, classes, formats and sizes");
  ibot::apps::add_look_arguments(*info, arguments);
  auto* verify =
      app.add_subcommand("verify", "Decodes every image; exits with 1 if one is damaged");
  ibot::apps::add_look_arguments(*verify, arguments);

  return ibot::apps::run_main(app, argc, argv, [&] {
    return info->parsed() ? ibot::apps::show_info(arguments) : ibot::apps::show_damage(arguments);
  });
}
