// ibot-model: inspects, converts and exports files of weights.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "common/run_main.h"
#include "common/run_weights.h"
#include "ibot-model/commands.h"

namespace {

struct Arguments {
  std::string file;
  std::string key = "teacher";
  ibot::apps::ConvertArguments convert;
  ibot::apps::ExportArguments script;
};

void add_overrides(CLI::App& command, std::vector<std::string>& overrides) {
  command
      .add_option("section.key=value", overrides,
                  "what the file does not contain, such as backbone.heads=6 for an unusual width")
      ->option_text("...");
}

void add_key(CLI::App& command, std::string& key) {
  command
      .add_option("--key", key,
                  "which network of the file: teacher (default) or student if it holds both, "
                  "otherwise the key under which it is stored")
      ->option_text("teacher|student|NAME");
}

void add_commands(CLI::App& app, Arguments& arguments) {
  app.require_subcommand(1);
  auto* info = app.add_subcommand("info", "print the contents of a file of weights");
  info->add_option("FILE", arguments.file,
                   "a checkpoint, a .safetensors, a .pth or the folder of a run")
      ->option_text(" ")
      ->required();
  add_key(*info, arguments.key);

  auto* convert = app.add_subcommand("convert", "write weights in another format");
  auto& to = arguments.convert;
  convert->add_option("IN", to.from, "a checkpoint, a .safetensors, a .pth or the folder of a run")
      ->option_text(" ")
      ->required();
  convert->add_option("OUT", to.to, "a .safetensors or a .pth")->option_text(" ")->required();
  convert
      ->add_option("--part", to.part,
                   "backbone (default): in a .safetensors with the names of timm, in a .pth as "
                   "the official scripts extract it; network: backbone and head, as the official "
                   "evaluations read them; dense: a trained segmentor or detector, in a .pth as "
                   "mmsegmentation and mmdetection have it; all: the whole run with its "
                   "optimizer, to resume from")
      ->check(CLI::IsMember({"backbone", "network", "dense", "all"}))
      ->option_text("backbone|network|dense|all");
  add_key(*convert, to.key);
  add_overrides(*convert, to.overrides);

  auto* script = app.add_subcommand("export", "write a ViT backbone as a TorchScript program");
  script
      ->add_option("IN", arguments.script.from,
                   "a checkpoint, a .safetensors, a .pth or the folder of a run")
      ->option_text(" ")
      ->required();
  script->add_option("OUT", arguments.script.to, "the program, a .pt")
      ->option_text(" ")
      ->required();
  add_key(*script, arguments.script.key);
  add_overrides(*script, arguments.script.overrides);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Inspects and converts files of weights.", "ibot-model");
  Arguments arguments;
  add_commands(app, arguments);
  return ibot::apps::run_main(app, argc, argv, [&] {
    using namespace ibot::apps;
    if (app.got_subcommand("info")) return show_info(weights_in(arguments.file), arguments.key);
    if (app.got_subcommand("convert")) {
      auto& from = arguments.convert.from;
      from = arguments.convert.part == "dense" ? network_in(from) : weights_in(from);
      return convert(arguments.convert);
    }
    arguments.script.from = weights_in(arguments.script.from);
    return export_script(arguments.script);
  });
}
