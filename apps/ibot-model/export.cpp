#include <torch/script.h>

#include <sstream>

#include "common/logging.h"
#include "common/output_folder.h"
#include "common/run_main.h"
#include "ibot-model/commands.h"
#include "ibot-model/model_file.h"
#include "ibot/io/file.h"
#include "ibot/models/network.h"
#include "ibot/nn/block.h"

namespace ibot::apps {
namespace {

// A trace would keep the batch size of its example, since sizes are plain integers in C++. So the
// forward pass is written out here once more, in TorchScript; the tests compare the two.

/// One linear layer or norm: "torch.linear(x, self.fc1.weight, self.fc1.bias)".
std::string linear(const std::string& x, const std::string& layer, bool bias = true) {
  return concat("torch.linear(", x, ", self.", layer, ".weight, ",
                bias ? concat("self.", layer, ".bias") : "None", ")");
}

std::string norm(const std::string& x, const std::string& layer, int64_t width) {
  return concat("torch.layer_norm(", x, ", [", width, "], self.", layer, ".weight, self.", layer,
                ".bias, ", nn::kLayerNormEps, ")");
}

std::string block_source(const models::BackboneOptions& options, const models::VitShape& shape) {
  const bool scaled = options.layer_scale > 0;
  const auto qkv = linear(norm("x", "norm1", shape.embed_dim), "attn.qkv", options.qkv_bias);
  const auto hidden = linear(norm("x", "norm2", shape.embed_dim), "mlp.fc1");
  return concat(R"(
def forward(self, x: Tensor) -> Tensor:
    qkv = )",
                qkv, R"(
    q, k, v = qkv.view(x.size(0), x.size(1), 3, )",
                shape.heads, R"(, -1).permute(2, 0, 3, 1, 4).unbind(0)
    y = torch.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    x = x + )",
                scaled ? "self.gamma_1 * " : "", linear("y", "attn.proj"), R"(
    return x + )",
                scaled ? "self.gamma_2 * " : "", linear("torch.gelu(" + hidden + ")", "mlp.fc2"),
                "\n");
}

std::string network_source(const models::BackboneOptions& options, const models::VitShape& shape) {
  const auto patch = options.patch_size;
  std::ostringstream text;
  text << concat(R"(
def forward(self, images: Tensor) -> Tuple[Tensor, Tensor]:
    assert images.size(2) == )",
                 options.image_size, " and images.size(3) == ", options.image_size,
                 ", \"expected images of ", options.image_size, " x ", options.image_size,
                 R"( pixels"
    x = torch.conv2d(images, self.patch_embed.proj.weight, self.patch_embed.proj.bias, [)",
                 patch, ", ", patch, R"(]).flatten(2).transpose(1, 2)
    x = torch.cat([self.cls_token.expand([images.size(0), -1, -1]), x], 1) + self.pos_embed
)");
  for (int64_t i = 0; i < shape.depth; ++i) {
    text << concat("    x = getattr(self.blocks, \"", i, "\").forward(x)\n");
  }
  if (options.mean_pooling) {
    text << "    patches = x[:, 1:]\n    return "
         << norm("patches.mean([1])", "fc_norm", shape.embed_dim) << ", patches\n";
  } else {
    text << "    x = " << norm("x", "norm", shape.embed_dim) << "\n    return x[:, 0], x[:, 1:]\n";
  }
  return text.str();
}

/// The parameters of `module` in a program's module of the same structure.
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

torch::jit::Module program_of(const models::Backbone& backbone,
                              const models::BackboneOptions& options) {
  const auto shape = models::vit_shape(options);
  auto program =
      scripted(backbone, "VisionTransformer", std::make_shared<torch::jit::CompilationUnit>());
  auto blocks = program.attr("blocks").toModule();
  for (int64_t i = 0; i < shape.depth; ++i) {
    blocks.attr(std::to_string(i)).toModule().define(block_source(options, shape));
  }
  program.define(network_source(options, shape));
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
