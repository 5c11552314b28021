#include "nn/recompute.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ibot/nn/autocast_scope.h"

namespace ibot::nn {
namespace {

using Forward = std::function<torch::Tensor(const torch::Tensor&)>;

/// What is run again, under the precision of its first run.
struct Held : torch::CustomClassHolder {
  Forward function;
  std::vector<torch::Tensor> parameters;
  std::optional<torch::ScalarType> precision;
};

/// Weights cast in the first run are in no graph, and those of a second run in one that is gone.
class WithoutCastWeights {
 public:
  WithoutCastWeights() : was_(at::autocast::is_autocast_cache_enabled()) {
    at::autocast::set_autocast_cache_enabled(false);
  }
  ~WithoutCastWeights() { at::autocast::set_autocast_cache_enabled(was_); }
  WithoutCastWeights(const WithoutCastWeights&) = delete;
  WithoutCastWeights& operator=(const WithoutCastWeights&) = delete;

 private:
  bool was_;
};

struct Recompute : torch::autograd::Function<Recompute> {
  // Parameters are inputs, so that their gradients of several calls are added before anything
  // hooked to them sees one.
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const c10::intrusive_ptr<Held>& held, const torch::Tensor& input,
                               at::TensorList) {
    const WithoutCastWeights kept_apart;
    context->save_for_backward({input});
    context->saved_data["held"] = c10::IValue::make_capsule(held);
    return held->function(input);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto held =
        c10::static_intrusive_pointer_cast<Held>(context->saved_data["held"].toCapsule());
    const auto saved = context->get_saved_variables()[0];
    const torch::AutoGradMode with_grad(true);
    // A leaf of its own, so that this graph ends here.
    std::vector<torch::Tensor> inputs{saved.detach().set_requires_grad(saved.requires_grad())};
    torch::Tensor output;
    {
      const WithoutCastWeights kept_apart;
      const AutocastScope autocast(saved.device().type(), held->precision);
      output = held->function(inputs[0]);
    }
    inputs.insert(inputs.end(), held->parameters.begin(), held->parameters.end());
    if (!saved.requires_grad()) inputs.erase(inputs.begin());
    // Unused parameters are allowed and have no gradient.
    auto results = torch::autograd::grad({output}, inputs, gradients, std::nullopt, false, true);
    if (!saved.requires_grad()) results.insert(results.begin(), torch::Tensor());
    results.insert(results.begin(), torch::Tensor());  // of `held`
    return results;
  }
};

}  // namespace

torch::Tensor recomputed(const Forward& function, const torch::Tensor& input,
                         const std::vector<torch::Tensor>& parameters) {
  if (!torch::GradMode::is_enabled()) return function(input);
  auto held = c10::make_intrusive<Held>();
  held->function = function;
  held->parameters = parameters;
  held->precision = autocast_in_force(input.device().type());
  return Recompute::apply(held, input, at::TensorList(parameters));
}

}  // namespace ibot::nn
