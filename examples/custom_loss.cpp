// custom_loss [STEPS]: a step of one's own with a further term: uniformity of the class tokens.
#include <cstdlib>
#include <iostream>

#include "ibot/batch/synthetic_source.h"
#include "ibot/optim/ema.h"
#include "ibot/optim/optimizer.h"
#include "ibot/train/student_teacher.h"

namespace {

/// log mean exp(-2 |x - y|²) over pairs of tokens on the unit sphere; low if they are spread.
///
///   tokens  [B, D]
///
/// Source: Wang and Isola 2020, eq. 2.
torch::Tensor uniformity_loss(const torch::Tensor& tokens) {
  const auto unit = tokens / tokens.norm(2, -1, true).clamp_min(1e-12);
  return torch::pdist(unit).square().mul(-2).exp().mean().log();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace ibot;
  const int64_t images = 4;
  const models::BackboneOptions backbone{.arch = "vit_tiny",
                                         .patch_size = 8,
                                         .image_size = 32,
                                         .embed_dim = 64,
                                         .depth = {2},
                                         .heads = {2}};
  const models::HeadOptions head{.prototypes = 64, .patch_prototypes = 64};
  train::StudentTeacher networks(backbone, head, /*seed=*/0);
  loss::IbotLoss ibot_loss(loss::LossOptions{}, 64, 64);
  optim::Optimizer optimizer(optim::OptimizerKind::kAdamW,
                             optim::trained_parameters(networks.student()));
  const auto averaged = optim::common_parameters(networks.teacher(), networks.student());
  const auto grid = models::mask_grid(backbone, 32);
  batch::SyntheticSource source({.images = images, .global_size = 32, .grid = grid});

  const int steps = argc > 1 ? std::atoi(argv[1]) : 3;
  for (int step = 0; step < steps; ++step) {
    const auto batch = batch::prepared(*source.next(), torch::kCPU, {});
    const auto teacher = networks.teacher_forward(batch);
    const auto student = networks.student_forward(batch);
    const auto terms = ibot_loss->forward(student, teacher, {batch.pairs.weight, batch.pairs.views},
                                          /*global_views=*/2, {.cls = 0.04, .patch = 0.04});
    const auto spread = uniformity_loss(student.class_token.narrow(0, 0, images));
    const auto total = terms.total + 0.1 * spread;
    networks.student().zero_grad();
    total.backward();
    optim::clip_gradients_(optimizer.parameters(), 3.0);
    optimizer.step({.lr = 1e-3, .weight_decay = 0.04});
    ibot_loss->move_centers_(teacher.class_logits.mean(0), teacher.patch_mean);
    optim::ema_update_(averaged, 0.996);
    std::cout << "loss " << total.item<double>() << ", uniformity " << spread.item<double>()
              << '\n';
  }
}
