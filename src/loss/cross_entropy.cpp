#include "ibot/loss/cross_entropy.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ibot/base/error.h"

namespace ibot::loss {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// On a CPU what fits a core's cache; elsewhere little beside a step's memory, in few launches.
constexpr int64_t kScoresAtOnce = int64_t{1} << 18, kScoresAtOnceOnDevice = int64_t{1} << 25;

/// Carries a function through the autograd context, which stores nothing but IValues.
struct Held : torch::CustomClassHolder {
  TargetRows::Compute compute;
};

/// Some rows of scores and what they are compared with.
struct Rows {
  int64_t first;
  int64_t count;
  torch::Tensor scores;  // [count, K], float32, divided by the temperature
  torch::Tensor target;

  torch::Tensor of(const torch::Tensor& all) const { return all.narrow(0, first, count); }
};

/// Visits all rows in turn, as many at a time as the limits above allow.
void for_rows(const torch::Tensor& logits, const TargetRows& targets, double temperature,
              const std::function<void(const Rows&)>& visit) {
  const auto total = logits.size(0);
  const auto limit = logits.is_cpu() ? kScoresAtOnce : kScoresAtOnceOnDevice;
  const auto step = std::max<int64_t>(1, limit / std::max<int64_t>(1, logits.size(1)));
  // Once even without rows: the shape of the targets is checked all the same.
  for (int64_t first = 0; first == 0 || first < total; first += step) {
    const auto count = std::min(step, total - first);
    const auto part = logits.narrow(0, first, count);
    const auto target = targets.compute(targets.sources, first, count);
    IBOT_CHECK(target.sizes() == part.sizes(), "cross_entropy: expected targets ", part.sizes(),
               ", got ", target.sizes());
    visit({first, count, part.to(torch::kFloat) / temperature, target});
  }
}

void refuse_second_derivatives() {
  IBOT_CHECK(!torch::GradMode::is_enabled(),
             "cross_entropy: expected first derivatives, got create_graph");
}

struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& logits,
                               const TargetRows& targets, double temperature) {
    auto held = c10::make_intrusive<Held>();
    held->compute = targets.compute;
    variable_list saved{logits};
    saved.insert(saved.end(), targets.sources.begin(), targets.sources.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["held"] = c10::IValue::make_capsule(std::move(held));
    context->saved_data["temperature"] = temperature;
    const auto result = torch::empty({logits.size(0)}, logits.options().dtype(torch::kFloat));
    for_rows(logits, targets, temperature, [&](const Rows& rows) {
      rows.of(result).copy_(rows.scores.log_softmax(-1).mul_(rows.target).sum(-1).neg_());
    });
    return result;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_second_derivatives();
    auto saved = context->get_saved_variables();
    const auto held =
        c10::static_intrusive_pointer_cast<Held>(context->saved_data["held"].toCapsule());
    const double temperature = context->saved_data["temperature"].toDouble();
    const auto logits = saved[0];
    const TargetRows targets({saved.begin() + 1, saved.end()}, held->compute);
    const auto result = torch::empty_like(logits);
    for_rows(logits, targets, temperature, [&](const Rows& rows) {
      const auto weight = (rows.of(gradients[0]) / temperature).unsqueeze(1);  // [count, 1]
      // d/dx -Σ t log softmax(x / τ) = (softmax(x / τ) Σ t - t) / τ: targets need not sum to 1.
      const auto mass = rows.target.sum(-1, /*keepdim=*/true);
      rows.of(result).copy_(rows.scores.softmax(-1).mul_(mass).sub_(rows.target).mul_(weight));
    });
    return {result, torch::Tensor(), torch::Tensor()};
  }
};

/// The same in two launches, where there is own code for it.
struct CenteredEntropy : torch::autograd::Function<CenteredEntropy> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& logits,
                               const kernels::CenteredTeacher& teacher, double temperature) {
    // Four sums of each row that the kernel leaves for the backward pass.
    const auto sums = torch::empty({logits.size(0), 4}, logits.options().dtype(torch::kFloat));
    context->save_for_backward({logits, teacher.logits, teacher.center, sums});
    context->saved_data["teacher_temperature"] = teacher.temperature;
    context->saved_data["temperature"] = temperature;
    return kernels::centered_cross_entropy(logits, teacher, temperature, sums);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_second_derivatives();
    const auto saved = context->get_saved_variables();
    const kernels::CenteredTeacher teacher{saved[1], saved[2],
                                           context->saved_data["teacher_temperature"].toDouble()};
    const auto result = kernels::centered_cross_entropy_backward(
        saved[0], teacher, context->saved_data["temperature"].toDouble(), saved[3], gradients[0]);
    return {result, torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

TargetRows::TargetRows(const torch::Tensor& targets)
    : sources{targets.detach()},
      compute([](const std::vector<torch::Tensor>& all, int64_t first, int64_t count) {
        return all[0].narrow(0, first, count);
      }) {}

torch::Tensor cross_entropy(const torch::Tensor& logits, const TargetRows& targets,
                            double temperature) {
  const auto& centered = targets.centered;
  if (centered && kernels::owns_centered_cross_entropy(logits, *centered)) {
    IBOT_CHECK(centered->logits.sizes() == logits.sizes(), "cross_entropy: expected targets ",
               logits.sizes(), ", got ", centered->logits.sizes());
    return CenteredEntropy::apply(logits, *centered, temperature);
  }
  return CrossEntropy::apply(logits, targets, temperature);
}

}  // namespace ibot::loss
