#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include <cmath>
#include <fstream>

#include "ibot-doctor/checks.h"
#include "ibot/dist/rendezvous.h"

namespace ibot::apps {
namespace {

#ifdef IBOT_WITH_CUDA
constexpr bool kForGpus = true;
#else
constexpr bool kForGpus = false;
#endif

struct Gpu {
  std::string name;
  int major = 0;
  int minor = 0;
};

/// What the driver's library says; `version` is 0 without a driver, CUDA 12.4 is 12040.
struct Driver {
  int version = 0;
  std::string problem;
  std::vector<Gpu> gpus;
};

/// The driver's library, loaded by hand: a build for CPUs does not link it, and on a machine
/// without a GPU it is absent.
class DriverLibrary {
 public:
  DriverLibrary() : library_(::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) {}

  explicit operator bool() const { return library_ != nullptr; }

  /// cuda.h: every function returns 0 on success.
  template <class... Arguments>
  int call(const char* name, Arguments... arguments) const {
    using Function = int (*)(Arguments...);
    const auto function = reinterpret_cast<Function>(::dlsym(library_, name));
    return function == nullptr ? -1 : function(arguments...);
  }

 private:
  void* library_;  // never closed: the driver starts threads
};

Gpu describe(const DriverLibrary& library, int index) {
  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
  constexpr int kMajor = 75, kMinor = 76;
  std::array<char, 256> name{};
  Gpu gpu;
  int device = 0;
  library.call("cuDeviceGet", &device, index);
  library.call("cuDeviceGetName", name.data(), static_cast<int>(name.size()) - 1, device);
  library.call("cuDeviceGetAttribute", &gpu.major, kMajor, device);
  library.call("cuDeviceGetAttribute", &gpu.minor, kMinor, device);
  gpu.name = name.data();
  return gpu;
}

Driver ask_driver() {
  Driver driver;
  const DriverLibrary library;
  if (!library) return driver;
  library.call("cuDriverGetVersion", &driver.version);
  if (const int code = library.call("cuInit", 0U); code != 0) {
    driver.problem = concat("cuInit: error ", code);
    return driver;
  }
  int count = 0;
  library.call("cuDeviceGetCount", &count);
  for (int index = 0; index < count; ++index) driver.gpus.push_back(describe(library, index));
  return driver;
}

std::string cuda_text(int64_t version) {
  return concat("CUDA ", version / 1000, '.', version % 1000 / 10);
}

/// The number that `nvidia-smi` shows, such as 580.95.
std::string driver_release() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  std::getline(file, line);
  const auto start = line.find("Module ");
  if (start == std::string::npos) return "";
  const auto first = line.find_first_of("0123456789", start);
  return first == std::string::npos ? "" : line.substr(first, line.find(' ', first) - first);
}

Finding missing_gpus(const Driver& driver) {
  const auto found = !driver.problem.empty() ? "the driver does not start: " + driver.problem
                     : driver.version > 0    ? "a driver, but no GPU"
                                             : "no driver (libcuda.so.1)";
  if (!kForGpus) return {"driver", Verdict::kSkipped, found + "; this build is for CPUs"};
  return {"driver", Verdict::kFailed, found,
          "run on a node with a GPU (Slurm: --gpus-per-node; containers: docker run --gpus all, "
          "apptainer --nv), see what nvidia-smi says and CUDA_VISIBLE_DEVICES; or use the preset "
          "release for CPUs"};
}

Finding unused_gpus(const Driver& driver) {
  return {"driver", Verdict::kWarning,
          concat(driver.gpus.size(), " x ", driver.gpus.front().name, ", ",
                 cuda_text(driver.version), "; this build is for CPUs"),
          "scripts/bootstrap.sh --cuda && cmake --preset cuda && cmake --build --preset cuda"};
}

/// A driver runs programs of its own version of CUDA and of those before, and of later minor ones.
Finding driver_against_build(const Driver& driver) {
  const int64_t built = at::detail::getCUDAHooks().versionCUDART();
  Finding finding{"driver",
                  Verdict::kOk,
                  concat(driver_release(), " for ", cuda_text(driver.version),
                         "; LibTorch is built for ", cuda_text(built)),
                  "",
                  {{"driver_cuda", driver.version}, {"libtorch_cuda", built}}};
  if (driver.version / 1000 < built / 1000) {
    finding.verdict = Verdict::kFailed;
    finding.remedy = concat("update the driver, or build with a LibTorch for CUDA ",
                            driver.version / 1000, " (LIBTORCH, docs/v100.md)");
  }
  return finding;
}

/// Empty if a product of matrices on the GPU is that on the CPU.
std::string product_problem(int64_t index) try {
  const auto generator = at::detail::createCPUGenerator(0);
  const auto left = at::randn({64, 64}, generator, at::kFloat);
  const auto expected = at::matmul(left, left);
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
  const auto found = at::matmul(left.to(device), left.to(device)).cpu();
  // TF32 rounds factors to 11 bits.
  return at::allclose(found, expected, 0.01, 0.1) ? "" : "a product of matrices differs";
} catch (const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return text.substr(0, text.find('\n'));
}

Finding use_of(const Gpu& gpu, int64_t index) {
  const auto problem = product_problem(index);
  const bool no_kernels = problem.find("no kernel image") != std::string::npos;
  return {concat("cuda:", index),
          problem.empty() ? Verdict::kOk : Verdict::kFailed,
          concat(gpu.name, ", compute capability ", gpu.major, '.', gpu.minor,
                 problem.empty() ? "" : ": ", problem),
          problem.empty() ? ""
          : no_kernels    ? "this LibTorch has no kernels for it: use an older one (docs/v100.md)"
                          : "see nvidia-smi -q for errors of memory; choose another GPU with "
                            "CUDA_VISIBLE_DEVICES",
          {{"name", gpu.name}, {"capability", concat(gpu.major, '.', gpu.minor)}}};
}

/// Version of the NCCL that LibTorch has loaded, 2.27.3 as 22703; 0 if none.
int nccl_version() {
  int version = 0;
  const auto function = reinterpret_cast<int (*)(int*)>(::dlsym(RTLD_DEFAULT, "ncclGetVersion"));
  if (function != nullptr) function(&version);
  return version;
}

Finding backend(const std::string& name, torch::DeviceType device) try {
  dist::check_backend(device);
  const int version = device == torch::kCPU ? 0 : nccl_version();
  return {name, Verdict::kOk,
          version == 0 ? "in this build"
                       : concat(version / 10000, '.', version / 100 % 100, '.', version % 100)};
} catch (const ConfigError& error) {
  return {name, Verdict::kWarning, "not in this build: one rank only", error.what()};
}

}  // namespace

std::vector<Finding> check_gpus() {
  std::vector<Finding> findings;
  const auto driver = ask_driver();
  if (driver.gpus.empty()) {
    findings.push_back(missing_gpus(driver));
  } else if (!kForGpus) {
    findings.push_back(unused_gpus(driver));
  } else {
    findings.push_back(driver_against_build(driver));
    for (size_t i = 0; i < driver.gpus.size(); ++i) {
      findings.push_back(use_of(driver.gpus[i], static_cast<int64_t>(i)));
    }
  }
  if (kForGpus) findings.push_back(backend("NCCL", torch::kCUDA));
  findings.push_back(backend("Gloo", torch::kCPU));
  return findings;
}

}  // namespace ibot::apps
