#include "support/device_double.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/Operators.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/HPUHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>
#include <set>

namespace ibot::testing {
namespace {

constexpr auto kType = c10::DeviceType::HPU;
const c10::Device kDouble(kType, 0);

/// Memory mapped twice: where tensors say it is, the host faults; the double's operators use the
/// other place.
class Memory {
 public:
  static Memory& instance() {
    static Memory& memory = *new Memory;  // outlives every static tensor
    return memory;
  }

  void* take(size_t bytes) {
    if (bytes == 0) return nullptr;
    const std::lock_guard lock(mutex_);
    const size_t size = (bytes + kStep - 1) / kStep * kStep;
    auto& free = free_[size];
    size_t offset = end_;
    if (!free.empty()) {
      offset = free.back();
      free.pop_back();
    } else {
      TORCH_CHECK(end_ + size <= kBytes, "device double: out of memory");
      end_ += size;
    }
    sizes_[offset] = size;
    std::memset(open_ + offset, 0xFF, size);  // NaN in every floating-point type
    return closed_ + offset;
  }

  void give_back(void* pointer) {
    if (!pointer) return;
    const std::lock_guard lock(mutex_);
    const auto offset = static_cast<size_t>(static_cast<char*>(pointer) - closed_);
    free_[sizes_.at(offset)].push_back(offset);
  }

  /// Where the bytes of a tensor's pointer can be read and written.
  void* opened(const void* pointer) const {
    return open_ + (static_cast<const char*>(pointer) - closed_);
  }

 private:
  static constexpr size_t kBytes = size_t{1} << 32, kStep = 256;

  Memory() {
    const int file = memfd_create("device double", 0);
    TORCH_CHECK(file >= 0 && ftruncate(file, kBytes) == 0, "device double: no memory file");
    const auto map = [file](int protection) {
      void* place = mmap(nullptr, kBytes, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
      TORCH_CHECK(place != MAP_FAILED, "device double: cannot map its memory");
      return static_cast<char*>(place);
    };
    open_ = map(PROT_READ | PROT_WRITE);
    closed_ = map(PROT_NONE);
    close(file);
  }

  std::mutex mutex_;
  char* open_ = nullptr;
  char* closed_ = nullptr;
  size_t end_ = 0;
  std::map<size_t, size_t> sizes_;
  std::map<size_t, std::vector<size_t>> free_;
};

struct Allocator final : c10::Allocator {
  static void give_back(void* pointer) { Memory::instance().give_back(pointer); }
  c10::DataPtr allocate(size_t bytes) override {
    void* pointer = Memory::instance().take(bytes);
    return {pointer, pointer, &give_back, kDouble};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(Memory::instance().opened(to), Memory::instance().opened(from), bytes);
  }
};

Allocator allocator;
REGISTER_ALLOCATOR(kType, &allocator);

/// One stream on which everything is done at once.
struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kType; }
  c10::Device exchangeDevice(c10::Device) const override { return kDouble; }
  c10::Device getDevice() const override { return kDouble; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream getDefaultStream(c10::Device device) const override { return getStream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
  void destroyEvent(void*, c10::DeviceIndex) const noexcept override {}
  void record(void**, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void synchronizeEvent(void*) const override {}
};
C10_REGISTER_GUARD_IMPL(HPU, Guard);

/// Of the watch that lives; none: not counted. Operators run on the autograd engine's thread too.
std::mutex watch_mutex;
bool watching = false;
std::vector<std::string> seen;

/// An operator that the CPU does for the double copies its arguments, which is not the program's
/// doing.
thread_local bool within_operator = false;

struct Within {
  Within() : was(within_operator) { within_operator = true; }
  ~Within() { within_operator = was; }
  Within(const Within&) = delete;
  Within& operator=(const Within&) = delete;
  bool was;
};

void note(const std::string& crossing) {
  if (within_operator) return;
  const std::lock_guard lock(watch_mutex);
  if (watching) seen.push_back(crossing);
}

/// Visits the tensors of an operator's arguments, those in lists too.
template <class Visit>
void for_tensors(const c10::OperatorHandle& op, const torch::jit::Stack& stack, Visit&& visit) {
  const auto count = op.schema().arguments().size();
  for (const auto& value : torch::jit::last(stack, count)) {
    if (value.isTensor()) {
      visit(value.toTensor());
    } else if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorVector()) visit(tensor);
    } else if (value.isOptionalTensorList()) {
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector()) {
        if (tensor) visit(*tensor);
      }
    }
  }
}

void refuse_mixed(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  for_tensors(op, stack, [&](const at::Tensor& tensor) {
    TORCH_CHECK(!tensor.defined() || tensor.device() == kDouble || tensor.dim() == 0,
                op.schema().name(), ": expected all tensors on ", kDouble, ", got one on ",
                tensor.device());
  });
}

/// Whether the operator's result has a size, or is a number, that a GPU's host has to wait for.
bool waits(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  static const std::set<std::string> names{"aten::_local_scalar_dense",
                                           "aten::nonzero",
                                           "aten::masked_select",
                                           "aten::equal",
                                           "aten::_unique2",
                                           "aten::unique_dim",
                                           "aten::unique_consecutive",
                                           "aten::is_nonzero",
                                           "aten::bincount",
                                           "aten::repeat_interleave"};
  if (names.count(op.schema().name())) return true;
  bool by_mask = false;
  for (const auto& value : torch::jit::last(stack, op.schema().arguments().size())) {
    if (!value.isOptionalTensorList()) continue;  // as of index and index_put
    for (const std::optional<at::Tensor>& index : value.toOptionalTensorVector()) {
      by_mask |= index && index->defined() && index->scalar_type() == at::kBool;
    }
  }
  return by_mask;
}

void on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  refuse_mixed(op, *stack);
  if (waits(op, *stack)) note(op.schema().name());
  const Within within;
  at::native::cpu_fallback(op, stack);
}

/// A GPU's kernel of this, unlike the CPU's, takes no half-precision rows with float32 parameters.
void layer_norm_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& arguments = op.schema().arguments();
  const auto all = torch::jit::last(*stack, arguments.size());
  std::optional<at::ScalarType> type;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto& name = arguments[i].name();
    if (name == "mean" || name == "rstd" || !all[i].isTensor()) continue;
    const auto found = all[i].toTensor().scalar_type();
    TORCH_CHECK(type.value_or(found) == found, op.schema().name(), ": expected all of type ", *type,
                ", got ", name, " of ", found);
    type = found;
  }
  on_cpu(op, stack);
}

at::Tensor opened(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  const auto options = tensor.options().device(at::kCPU);
  if (tensor.numel() == 0) return at::empty_strided(tensor.sizes(), tensor.strides(), options);
  return at::from_blob(Memory::instance().opened(tensor.const_data_ptr()), tensor.sizes(),
                       tensor.strides(), options);
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  if (from.device() != to.device()) {
    note(std::string(to.is_cpu() ? "copy to host" : "copy to device") +
         (non_blocking ? ", without waiting" : ""));
  }
  opened(to).copy_(opened(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  at::Tensor target = to;
  target.resize_(from.sizes());
  return copy_from(from, target, false);
}

/// Moves its running statistics, of which the schema says nothing, so that the fallback would move
/// copies.
std::tuple<at::Tensor, at::Tensor, at::Tensor> batch_norm(
    const at::Tensor& input, const std::optional<at::Tensor>& weight,
    const std::optional<at::Tensor>& bias, const std::optional<at::Tensor>& mean,
    const std::optional<at::Tensor>& variance, bool training, double momentum, double eps) {
  const auto open = [](const std::optional<at::Tensor>& tensor) -> std::optional<at::Tensor> {
    if (!tensor || !tensor->defined()) return std::nullopt;
    TORCH_CHECK(tensor->device() == kDouble, "native_batch_norm: expected all tensors on ",
                kDouble);
    return opened(*tensor);
  };
  const Within within;
  const auto [output, saved_mean, saved_scale] = at::native_batch_norm(
      opened(input), open(weight), open(bias), open(mean), open(variance), training, momentum, eps);
  return {output.to(kDouble), saved_mean.to(kDouble), saved_scale.to(kDouble)};
}

using Sizes = at::IntArrayRef;

/// On the host, half precision as float32: a CPU need not have convolutions of it.
at::Tensor widened(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.device() == kDouble, "convolution: expected all tensors on ", kDouble);
  const bool half = tensor.scalar_type() == at::kHalf || tensor.scalar_type() == at::kBFloat16;
  return half ? opened(tensor).to(at::kFloat) : opened(tensor);
}

// A device without kernels of its own is to implement these two; the fallback does not reach them.
at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, Sizes stride, Sizes padding,
                       Sizes dilation, bool transposed, Sizes output_padding, int64_t groups) {
  std::optional<at::Tensor> shift;
  if (bias && bias->defined()) shift = widened(*bias);
  const Within within;
  return at::convolution(widened(input), widened(weight), shift, stride, padding, dilation,
                         transposed, output_padding, groups)
      .to(input.scalar_type())
      .to(kDouble);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight, Sizes stride,
    Sizes padding, Sizes dilation, bool transposed, Sizes output_padding, int64_t groups,
    std::array<bool, 3> wanted) {
  const Within within;
  const std::vector<int64_t> biases{weight.size(transposed ? 1 : 0) * (transposed ? groups : 1)};
  const auto [of_input, of_weight, of_bias] = at::convolution_backward(
      widened(gradient), widened(input), widened(weight), at::OptionalIntArrayRef(biases), stride,
      padding, dilation, transposed, output_padding, groups, wanted);
  const auto back = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(input.scalar_type()).to(kDouble) : tensor;
  };
  return {back(of_input), back(of_weight), back(of_bias)};
}

at::Tensor empty(Sizes sizes, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &allocator, c10::DispatchKeySet(c10::DispatchKey::HPU),
                                   type.value_or(at::kFloat), format);
}

at::Tensor empty_strided(Sizes sizes, Sizes strides, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device>,
                         std::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &allocator,
                                           c10::DispatchKeySet(c10::DispatchKey::HPU),
                                           type.value_or(at::kFloat));
}

TORCH_LIBRARY_IMPL(_, HPU, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_cpu>()); }

TORCH_LIBRARY_IMPL(aten, HPU, m) {
  m.impl("empty.memory_format", TORCH_FN(empty));
  m.impl("empty_strided", TORCH_FN(empty_strided));
  m.impl("_copy_from", TORCH_FN(copy_from));
  m.impl("_copy_from_and_resize", TORCH_FN(copy_from_and_resize));
  m.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  m.impl("view", TORCH_FN(at::native::view));
  m.impl("unfold", TORCH_FN(at::native::unfold));
  m.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  m.impl("resize_", TORCH_FN(at::native::resize_));
  m.impl("native_batch_norm", TORCH_FN(batch_norm));
  m.impl("convolution_overrideable", TORCH_FN(convolution));
  m.impl("convolution_backward_overrideable", TORCH_FN(convolution_backward));
  // Otherwise composed of other operators, as on no GPU.
  for (const char* name : {"native_layer_norm", "native_layer_norm_backward"}) {
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&layer_norm_on_cpu>());
  }
  m.impl("set_.source_Storage_storage_offset", TORCH_FN(at::native::set_storage_cpu_));
}

TORCH_LIBRARY_IMPL(_, AutocastHPU, m) { m.fallback(torch::CppFunction::makeFallthrough()); }

#define IBOT_LOWER(...) KERNEL(c10::DeviceType::HPU, __VA_ARGS__, lower_precision_fp)
#define IBOT_FP32(...) KERNEL(c10::DeviceType::HPU, __VA_ARGS__, fp32)
#define IBOT_FP32_DTYPE(...) KERNEL(c10::DeviceType::HPU, __VA_ARGS__, fp32_set_opt_dtype)
#define IBOT_PROMOTE(...) KERNEL(c10::DeviceType::HPU, __VA_ARGS__, promote)
TORCH_LIBRARY_IMPL(aten, AutocastHPU, m) {
  AT_FORALL_LOWER_PRECISION_FP(IBOT_LOWER)
  AT_FORALL_FP32(IBOT_FP32)
  AT_FORALL_FP32_SET_OPT_DTYPE(IBOT_FP32_DTYPE)
  AT_FORALL_PROMOTE(IBOT_PROMOTE)
}

}  // namespace

torch::Device device_double() { return kDouble; }

DeviceWatch::DeviceWatch() {
  const std::lock_guard lock(watch_mutex);
  watching = true;
  seen.clear();
}

DeviceWatch::~DeviceWatch() {
  const std::lock_guard lock(watch_mutex);
  watching = false;
}

std::vector<std::string> DeviceWatch::crossings() const {
  const std::lock_guard lock(watch_mutex);
  return seen;
}

}  // namespace ibot::testing

// LibTorch asks its registry for this name.
namespace at {
struct HPUHooks final : HPUHooksInterface {
  explicit HPUHooks(HPUHooksArgs) {}
  void init() const override {}
  bool hasHPU() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  Allocator* getPinnedMemoryAllocator() const override { return getCPUAllocator(); }
  const Generator& getDefaultGenerator(DeviceIndex) const override {
    static const Generator generator = detail::createCPUGenerator();
    return generator;
  }
};
REGISTER_HPU_HOOKS(HPUHooks)
}  // namespace at
