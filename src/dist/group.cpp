#include "ibot/dist/group.h"

#include <torch/csrc/autograd/custom_function.h>

#include <mutex>
#include <utility>

#include "dist/group_state.h"

namespace ibot::dist {
namespace {

using std::chrono::milliseconds;

/// How often a waiting rank checks that the others are alive.
constexpr milliseconds kGlance{200};

/// Of c10d's messages, which continue with a C++ stack trace.
std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

c10d::ReduceOp operation(Reduction reduction) {
  return reduction == Reduction::kMax ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
}

/// Leaks a backend on purpose: see ~GroupState.
void abandon(c10::intrusive_ptr<c10d::Backend> backend) {
  static std::mutex mutex;
  static auto& abandoned = *new std::vector<c10::intrusive_ptr<c10d::Backend>>;
  const std::lock_guard lock(mutex);
  abandoned.push_back(std::move(backend));
}

/// Holds a group in the autograd graph, whose saved data must be IValues.
struct GroupHolder : torch::CustomClassHolder {
  explicit GroupHolder(Group held) : group(std::move(held)) {}
  Group group;
};

struct AllReduceSum : torch::autograd::Function<AllReduceSum> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& tensor, const Group& group) {
    context->saved_data["group"] =
        c10::IValue::make_capsule(c10::make_intrusive<GroupHolder>(group));
    auto sum = tensor.clone(at::MemoryFormat::Contiguous);
    group.all_reduce_(sum, Reduction::kSum);
    return sum;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto held = context->saved_data["group"].toCapsule();
    auto sum = gradients[0].clone(at::MemoryFormat::Contiguous);
    c10::static_intrusive_pointer_cast<GroupHolder>(held)->group.all_reduce_(sum, Reduction::kSum);
    return {sum, torch::Tensor()};
  }
};

}  // namespace

GroupState::GroupState(c10::intrusive_ptr<c10d::Backend> backend, torch::Device device,
                       std::unique_ptr<Watch> watch,
                       std::vector<c10::intrusive_ptr<c10d::Store>> stores)
    : stores_(std::move(stores)),
      backend_(std::move(backend)),
      device_(device),
      watch_(std::move(watch)) {}

// A backend's destructor waits for its operations, and those that involve a lost rank never finish.
GroupState::~GroupState() {
  if (!lost_) {
    try {
      backend_->shutdown();
    } catch (const std::exception&) {
      // Nothing is lost: all results have arrived.
    }
  }
  watch_.reset();
  if (lost_) abandon(std::move(backend_));
}

void GroupState::lose(const std::string& reason) {
  lost_ = true;
  watch_->follow();
  throw PeerError("ranks: " + reason);
}

void GroupState::check() {
  const auto trouble = watch_->trouble();
  if (!trouble.empty()) lose(trouble);
}

c10::intrusive_ptr<c10d::Work> GroupState::start(
    const std::function<c10::intrusive_ptr<c10d::Work>(c10d::Backend&)>& operation) {
  check();
  watch_->count_operation();
  try {
    return operation(*backend_);
  } catch (const c10::DistError& error) {
    lose(watch_->cause(first_line(error)));
  }
}

void GroupState::wait(c10d::Work& work) {
  // NCCL: only the stream waits. The watch aborts the backend if a rank is lost meanwhile.
  if (!device_.is_cpu()) {
    try {
      work.wait();
    } catch (const std::exception& error) {
      lose(watch_->cause(first_line(error)));
    }
    return;
  }
  while (true) {
    try {
      work.wait(kGlance);
      return;
    } catch (const std::exception& error) {
      // wait() throws alike when kGlance has passed and when the operation has failed.
      if (work.isCompleted() && !work.isSuccess()) lose(watch_->cause(first_line(error)));
      if (!work.isCompleted()) check();
    }
  }
}

void GroupState::check_on_host(const torch::Tensor& result) {
  if (!device_.is_cpu() && result.is_cpu()) check();
}

void GroupState::report_failure(const std::string& message) {
  lost_ = true;
  watch_->report_failure(message);
}

struct Pending::Work {
  std::shared_ptr<GroupState> state;
  c10::intrusive_ptr<c10d::Work> work;
};

void Pending::wait() {
  if (!work_) return;
  const auto work = std::exchange(work_, nullptr);
  work->state->wait(*work->work);
}

int64_t Group::rank() const { return state_ ? state_->backend().getRank() : 0; }
int64_t Group::size() const { return state_ ? state_->backend().getSize() : 1; }

Pending Group::start_all_reduce_(const torch::Tensor& tensor, Reduction reduction) const {
  if (!state_) return {};
  const torch::NoGradGuard no_grad;
  // Divided before the sum, so a mean of finite values stays finite in half precision.
  if (reduction == Reduction::kMean) torch::Tensor(tensor).div_(static_cast<double>(size()));
  std::vector<torch::Tensor> tensors{tensor.detach()};
  c10d::AllreduceOptions options;
  options.reduceOp = operation(reduction);
  auto work = state_->start([&](auto& backend) { return backend.allreduce(tensors, options); });
  return Pending(std::make_shared<Pending::Work>(Pending::Work{state_, std::move(work)}));
}

void Group::all_reduce_(const torch::Tensor& tensor, Reduction reduction) const {
  if (!state_) return;
  const torch::NoGradGuard no_grad;
  const auto moved = tensor.detach().to(state_->device()).contiguous();
  start_all_reduce_(moved, reduction).wait();
  if (!moved.is_same(tensor)) torch::Tensor(tensor).copy_(moved);
  state_->check_on_host(tensor);
}

torch::Tensor Group::all_gather(const torch::Tensor& tensor) const {
  if (!state_) return tensor.unsqueeze(0);
  const torch::NoGradGuard no_grad;
  const auto moved = tensor.detach().to(state_->device()).contiguous();
  auto shape = moved.sizes().vec();
  shape.insert(shape.begin(), size());  // [size, ...]
  const auto all = torch::empty(shape, moved.options());
  std::vector<torch::Tensor> inputs{moved};
  std::vector<std::vector<torch::Tensor>> outputs{all.unbind()};
  state_->wait(*state_->start([&](auto& backend) { return backend.allgather(outputs, inputs); }));
  const auto result = torch::stack(outputs[0]).to(tensor.device());  // [W, …]
  state_->check_on_host(result);
  return result;
}

void Group::broadcast_(const torch::Tensor& tensor, int64_t root) const {
  if (!state_) return;
  const torch::NoGradGuard no_grad;
  const auto moved = tensor.detach().to(state_->device()).contiguous();
  std::vector<torch::Tensor> tensors{moved};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  state_->wait(*state_->start([&](auto& backend) { return backend.broadcast(tensors, options); }));
  if (!moved.is_same(tensor)) torch::Tensor(tensor).copy_(moved);
  state_->check_on_host(tensor);
}

void Group::barrier() const { any(false); }

bool Group::any(bool value) const {
  if (!state_) return value;
  const auto flag = torch::full({}, value ? 1 : 0, torch::kInt);
  all_reduce_(flag, Reduction::kMax);
  return flag.item<int>() != 0;
}

Group::InStep::InStep(const Group& group) : state_(group.state_) {
  if (state_) state_->keep_step(true);
}

Group::InStep::~InStep() {
  if (state_) state_->keep_step(false);
}

void Group::check() const {
  if (state_) state_->check();
}

void Group::report_failure(const std::string& message) const {
  if (state_) state_->report_failure(message);
}

torch::Tensor all_reduce_sum(const torch::Tensor& tensor, const Group& group) {
  return group.size() == 1 ? tensor : AllReduceSum::apply(tensor, group);
}

}  // namespace ibot::dist
