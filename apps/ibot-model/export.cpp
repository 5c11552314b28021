#include <torch/script.h>

#include <sstream>

#include "common/logging.h"
#include "common/output_folder.h"
#include "common/run_main.h"
#include "ibot-model/commands.h"
#include "ibot-model/model_file.h"
#include "ibot/io/file.h"
#include "ibot/models/architecture.h"
#include "ibot/models/weights.h"

namespace ibot::apps {
namespace {

/// Copies the parameters of `module` to a TorchScript module of the same structure.
torch::jit::Module scripted(const torch::nn::Module& module, const std::string& name,
                            const std::shared_ptr<torch::jit::CompilationUnit>& unit) {
  torch::jit::Module result("__torch__." + name, unit, /*shouldMangle=*/true);
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    result.register_parameter(parameter.key(), parameter.value().detach().clone(),
                              /*is_buffer=*/false);
  }
  for (const auto& child : module.named_children()) {
    result.register_module(child.key(), scripted(*child.value(), "Layers", unit));
  }
  return result;
}

/// The submodule with this dotted name.
torch::jit::Module module_at(torch::jit::Module module, const std::string& name) {
  std::istringstream parts(name);
  for (std::string part; std::getline(parts, part, '.');) module = module.attr(part).toModule();
  return module;
}

torch::jit::Module program_of(const models::Backbone& backbone,
                              const models::BackboneOptions& options) {
  const auto& architecture = models::architecture_of(options.arch);
  check_option(architecture.scripts != nullptr, "arch",
               "expected an architecture that has a TorchScript program, got ", options.arch,
               "; export a ViT");
  const auto type = backbone.name();  // with its namespaces
  auto program = scripted(backbone, type.substr(type.rfind(':') + 1),
                          std::make_shared<torch::jit::CompilationUnit>());
  for (const auto& forward : architecture.scripts(options)) {
    module_at(program, forward.module).define(forward.source);
  }
  program.eval();
  return program;
}

}  // namespace

int export_script(const ExportArguments& arguments) {
  const auto file = read_model_file(arguments.from, arguments.key);
  check_file(arguments.to);
  const auto& weights = whole(network_of(file, arguments.key));
  const auto options = config_of(file, arguments.overrides).backbone;
  const auto backbone = models::build_backbone(options, models::Role::kTeacher);
  const auto report =
      open_input([&] { return models::load_weights_(*backbone, weights, "backbone."); });
  log_info(models::summary(report));
  std::ostringstream bytes;
  program_of(*backbone, options).save(bytes);
  io::write_file(arguments.to, bytes.str());
  log_info(concat("wrote ", arguments.to, ": images [B, 3, ", options.image_size, ", ",
                  options.image_size, "] to class and patch tokens"));
  return kDone;
}

}  // namespace ibot::apps
