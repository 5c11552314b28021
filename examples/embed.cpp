// embed CHECKPOINT IMAGE...: the teacher's class token of each image, a line of numbers each.
#include <c10/core/InferenceMode.h>

#include <cstdio>

#include "ibot/batch/normalization.h"
#include "ibot/codec/decode.h"
#include "ibot/config/run_config.h"
#include "ibot/image/eval_transform.h"
#include "ibot/io/file.h"
#include "ibot/models/backbone.h"
#include "ibot/models/weights.h"

namespace {

using namespace ibot;

/// A checkpoint states its configuration; of official files, shapes tell that of the backbone.
config::RunConfig config_of(const models::Weights& weights) {
  if (!weights.config.empty()) {
    return config::parse_config<config::RunConfig>(weights.config, weights.source);
  }
  config::RunConfig config;
  config.backbone = models::infer_backbone(weights);
  return config;
}

/// [1, 3, S, S], uint8: resized and cropped as evaluations do.
torch::Tensor pixels_of(const std::string& file, const eval::InRunOptions& options) {
  const auto text = io::read_file(file);
  const std::vector<uint8_t> bytes(text.begin(), text.end());
  const auto side = options.crop_size;
  const auto pixels = torch::empty({1, 3, side, side}, torch::kByte);
  data::eval_transform(data::decode(bytes, file),
                       {.resize_size = options.resize_size, .crop_size = side},
                       {pixels.data_ptr<uint8_t>(), side, side});
  return pixels;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) return 2;
  const auto weights = models::read_weights(argv[1]);
  const auto config = config_of(weights);
  const auto backbone = models::build_backbone(config.backbone, models::Role::kTeacher);
  models::load_weights_(*backbone, weights, "backbone.");
  backbone->eval();
  const c10::InferenceMode no_gradients;
  for (int i = 2; i < argc; ++i) {
    const auto images =
        batch::normalized(pixels_of(argv[i], config.eval), config.augment.normalization);
    const auto token = backbone->forward(images).class_token[0].contiguous();  // [D]
    for (int64_t d = 0; d < token.numel(); ++d) std::printf("%.6g ", token.data_ptr<float>()[d]);
    std::putchar('\n');
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
