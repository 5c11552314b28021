// knn WEIGHTS IMAGES: k-NN of a network's features on labeled images of one's own, as a report.
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
  const auto knn = evaluation::make(eval::KnnOptions{{1, 3}, 0.07});
  std::fputs(eval::to_json(evaluation::evaluate(*knn, source)).c_str(), stdout);
}
