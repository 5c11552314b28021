// linear WEIGHTS IMAGES: a linear probe of a network on labeled images of one's own.
#include <cstdio>

#include "ibot/eval/linear_probe.h"
#include "ibot/evaluation/extraction.h"
#include "ibot/loading/training_loader.h"
#include "ibot/models/weights.h"

int main(int argc, char** argv) {
  using namespace ibot;
  if (argc < 3) return 2;
  const auto weights = models::read_weights(argv[1]);
  const auto options = models::infer_backbone(weights);
  const auto backbone = models::build_backbone(options, models::Role::kTeacher);
  models::load_weights_(*backbone, weights, "backbone.");
  backbone->eval();
  const evaluation::LabeledImages images(argv[2], {});
  const evaluation::ExtractionOptions extraction{.resize_size = 40, .crop_size = 32};
  const auto features = [&](const torch::Tensor& crops) {
    const torch::NoGradGuard no_grad;
    return eval::image_features(*backbone, batch::normalized(crops, extraction.normalization),
                                extraction.features);
  };
  data::TrainingLoader crops(images.train(), {.transform = {.size = 32,
                                                            .filter = data::Filter::kBilinear,
                                                            .rand_operations = 0,
                                                            .color_jitter = 0},
                                              .batch_size = 4,
                                              .drop_last = false,
                                              .num_epochs = 2});
  eval::LinearProbe probe({.linear = {.lr = {0.1}, .epochs = 2, .batch_size = 4},
                           .classes = images.classes(),
                           .steps_per_epoch = crops.steps_per_epoch()},
                          features,
                          extract(evaluation::subject_of(options, backbone), images.test(),
                                  images.hash(data::Split::kVal), "val", extraction),
                          torch::kCPU);
  probe.run(crops);
  std::printf("%.10g\n", probe.best().top1);
}
