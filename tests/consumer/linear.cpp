// linear WEIGHTS IMAGES: a linear probe of a network on labeled images of one's own.
#include <cstdio>

#include "ibot/evaluation/evaluate.h"
#include "ibot/evaluation/evaluations.h"
#include "ibot/models/weights.h"

int main(int argc, char** argv) {
  using namespace ibot;
  if (argc < 3) return 2;
  const auto weights = models::read_weights(argv[1]);
  const auto options = models::infer_backbone(weights);
  const auto backbone = models::build_backbone(options, models::Role::kTeacher);
  models::load_weights_(*backbone, weights, "backbone.");
  const auto subject = evaluation::subject_of(options, backbone);
  const evaluation::LabeledImages images(argv[2], {});
  evaluation::Source source(subject, &images, {.resize_size = 40, .crop_size = 32});
  const auto probe =
      evaluation::make(eval::LinearOptions{.lr = {0.1}, .epochs = 2, .batch_size = 4});
  std::printf("%.10g\n", evaluation::evaluate(*probe, source).metrics.at("top1"));
}
